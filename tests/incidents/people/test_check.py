"""Everything that is wrong with people, schedules and policies is said at once, with the way out."""

from __future__ import annotations

from typing import Any

import pytest

from incidents.people.check import problems_of_on_call
from incidents.people.settings import OnCallSettings
from model.settings import ConfigurationError, load_section

RECEIVERS = ["ada-phone", "team"]


def wrong(**body: Any) -> dict[str, str]:
    settings = load_section(OnCallSettings, body, "f.yml", "incidents.on_call")
    found = problems_of_on_call(settings, RECEIVERS, "f.yml")
    assert all(problem.hint for problem in found)
    return {
        problem.key.removeprefix("incidents.on_call."): f"{problem.message}; {problem.hint}"
        for problem in found
    }


def test_all_errors_come_at_once_with_their_keys() -> None:
    found = wrong(
        people=[{"name": "ada", "phone": ["ada-fone"]}, {"name": "bo"}],
        schedules=[
            {
                "name": "ops",
                "time_zone": "Europe/Berlim",
                "layers": [{"people": []}, {"people": ["adda"]}],
                "overrides": [{"who": "bo", "from": "2026-11-20T10:00", "until": "2026-11-20 10:00:00"}],
            }
        ],
        escalation={"P1": {"steps": [{"schedules": ["opps"]}, {"receivers": ["nobody"]}, {}]}},
        fallback=["x"],
        core_services=["a=~("],
        quiet_hours={"time_zone": "Mars/Base"},
    )
    assert set(found) == {
        "people.0.phone.0",
        "people.1",
        "schedules.0.time_zone",
        "schedules.0.layers.0.people",
        "schedules.0.layers.1.people.0",
        "schedules.0.overrides.0.until",
        "escalation.P1.steps.0.schedules.0",
        "escalation.P1.steps.1.receivers.0",
        "escalation.P1.steps.2",
        "fallback.0",
        "core_services.0",
        "quiet_hours.time_zone",
    }
    assert "did you mean ada-phone?" in found["people.0.phone.0"]
    assert "did you mean Europe/Berlin?" in found["schedules.0.time_zone"]
    assert "did you mean ada?" in found["schedules.0.layers.1.people.0"]


def test_a_receiver_without_an_integration_reaches_nobody() -> None:
    body = {
        "people": [{"name": "bo", "im": ["team"]}],
        "fallback": ["team"],
        "status_receivers": ["ada-phone"],
    }
    settings = OnCallSettings.model_validate(body)
    found = problems_of_on_call(settings, RECEIVERS, "f.yml", mute=["team"])
    assert [problem.key.removeprefix("incidents.on_call.") for problem in found] == [
        "people.0.im.0",
        "fallback.0",
    ]
    assert "has no integration" in found[0].message


def test_times_as_yaml_reads_them() -> None:
    settings = OnCallSettings.model_validate(
        {
            "people": [{"name": "ada", "receivers": ["team"]}],
            "schedules": [{"name": "ops", "layers": [{"people": ["ada"], "handover": 10 * 60 + 30}]}],
            "quiet_hours": {
                "times": [{"weekdays": ["monday:friday", "sun"], "from": "22:00", "to": "07:00"}]
            },
        }
    )
    assert settings.schedules[0].layers[0].handover == 630
    assert settings.quiet_hours.times[0].weekdays == (0, 1, 2, 3, 4, 6)
    assert OnCallSettings.model_validate(settings.model_dump(mode="json", by_alias=True)) == settings


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"digest": {"at": "9 o'clock"}}, "write for example 09:00"),
        ({"digest": {"weekday": "moonday"}}, "write for example monday"),
        (
            {
                "schedules": [
                    {"name": "a", "layers": [], "overrides": [{"who": "a", "from": "x", "until": "y"}]}
                ]
            },
            "2026-12-24T18:00",
        ),
        ({"escalation": {"P4": {}}}, "P0"),
    ],
)
def test_values_that_are_none_of_theirs(body: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        wrong(**body)
