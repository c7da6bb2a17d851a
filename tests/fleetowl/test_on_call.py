"""What the commands say of people and schedules in a configuration file."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from fleetowl.checks import check_configuration
from fleetowl.cli import main
from model.settings import ConfigurationError

CONFIGURATION = """
rules: {shipped: false}
runbooks: {shipped: false}
alertmanager:
  route: {receiver: team}
  receivers: [{name: team, log_configs: [{}]}]
incidents:
  on_call:
    people:
      - {name: ada, im: [team]}
    schedules:
      - name: ops
        time_zone: Europe/Berlin
        layers:
          - people: [ada]
            handover: 10:30
            restrictions: [{weekdays: "monday:friday", from: 08:00, to: 18:00}]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "fleetowl.yml"
    path.write_text(CONFIGURATION)
    return path


def test_a_gap_is_a_warning(config: Path) -> None:
    *_, last = check_configuration(config)
    assert last.startswith("warning: nobody is on duty in ops from ")
    assert last.endswith(": the fallback is notified then")


def test_who_is_on_duty_by_the_file(config: Path) -> None:
    result = CliRunner().invoke(main, ["oncall", "--config", str(config), "-o", "json"])
    assert result.exit_code == 0
    assert '"schedule": "ops"' in result.output


def test_what_is_wrong_in_any_room_is_said_at_once(config: Path) -> None:
    wrong = CONFIGURATION.replace("im: [team]", "im: [teem]").replace("people: [ada]", "people: [eda]")
    config.write_text(wrong)
    with pytest.raises(ConfigurationError) as raised:
        list(check_configuration(config))
    assert [problem.key for problem in raised.value.problems] == [
        "incidents.on_call.people.0.im.0",
        "incidents.on_call.schedules.0.layers.0.people.0",
    ]


def test_a_person_whose_receiver_has_no_integration_is_said(config: Path) -> None:
    config.write_text(CONFIGURATION.replace("log_configs: [{}]", "log_configs: []"))
    with pytest.raises(ConfigurationError, match="the receiver 'team' has no integration: it reaches nobody"):
        list(check_configuration(config))
