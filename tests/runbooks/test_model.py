"""Runbook files: what loads, and that everything wrong is said at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from model.settings import ConfigurationError
from runbooks.expression import UnknownVariable, checked, fill
from runbooks.library import shipped
from runbooks.model import load_runbooks
from runbooks.settings import RunbookSettings

SHIPPED = (shipped() / "gpu-lost-cordon.yml").read_text()


def broken(folder: Path, **changes: object) -> list[str]:
    """What loading says of the shipped runbook with keys changed (dots become double underscores)."""
    data = yaml.safe_load(SHIPPED)
    for key, value in changes.items():
        *path, last = key.split("__")
        place = data
        for part in path:
            place = place[int(part) if part.isdigit() else part]
        place[last] = value
    (folder / "broken.yml").write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigurationError) as found:
        load_runbooks([folder])
    return [str(problem) for problem in found.value.problems]


def test_the_shipped_runbooks_load_and_are_dry_runs() -> None:
    runbooks = load_runbooks([shipped()])
    assert [runbook.name for runbook in runbooks] == ["gpu-lost-cordon"]
    assert {runbook.mode for runbook in runbooks} == {"dry-run"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mode": "approve"}, "mode: must be 'dry-run' or 'auto'"),
        ({"mode": "yolo"}, "mode: must be 'dry-run' or 'auto', got 'yolo'"),
        ({"guards__budgett": {}}, "guards.budgett: unknown key (did you mean budget?)"),
        ({"match__tiers": ["P7"]}, "match.tiers: 'P7' is no tier: known are P0, P1, P2, P3"),
        ({"match__max_event_age": 5}, "match.max_event_age: 5 has no unit: write 5s or 5m"),
        ({"evidence__require": 1}, "evidence.require: must be greater than or equal to 2, got 1"),
        ({"evidence__require": 4}, "evidence: 4 kinds are required but the signs have only 3"),
        ({"steps": [{"action": "node.drain", "undo": "node.uncordon"}]}, "steps.0.action: must be"),
        (
            {"evidence__signs__0__expr": "rate(up"},
            "evidence.signs.0.expr: is not PromQL that can be evaluated here: ",
        ),
        ({"evidence__signs__0__expr": "up{a='$pod'}"}, "unknown variable $pod: known are $node, $uuid, $gpu"),
        ({"evidence__signs__0__expr": "scalar(up) + 1"}, "signs.0.expr: is a number, not a vector"),
        ({"evidence__signs__0__expr": "holt_winters(up[5m], 1, 1)"}, "signs.0.expr: is not PromQL"),
        ({"evidence__signs__0__fact": "node.not_ready"}, "give exactly one of expr and fact"),
        ({"verify__all": []}, "verify.all: must not be empty"),
    ],
)
def test_what_does_not_work_is_an_error_that_names_its_key(
    tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    (problem,) = broken(tmp_path, **changes)
    assert f"{tmp_path}/broken.yml: " in problem
    assert says in problem


def test_every_problem_of_every_file_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("- a list")
    (tmp_path / "b.yml").write_text("a: [")
    (tmp_path / "c.yml").write_text(SHIPPED)
    (tmp_path / "d.yml").write_text(SHIPPED)
    (tmp_path / "notes.txt").write_text("not read")
    problems = broken(tmp_path, mode="approve", metadata__version=0)
    assert len(problems) == 5
    assert any("'gpu-lost-cordon' is also in" in problem for problem in problems)
    with pytest.raises(ConfigurationError, match="nowhere"):
        load_runbooks([tmp_path / "nowhere"])


def test_a_file_may_be_named_as_well_as_its_folder(tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text(SHIPPED)
    (tmp_path / "two.yml").write_text("not: a runbook")
    assert [runbook.name for runbook in load_runbooks([tmp_path / "one.yml"])] == ["gpu-lost-cordon"]


def test_label_values_cannot_leave_their_quotes() -> None:
    assert fill('up{node="$node"}', {"node": 'a"} or up{b="\n'}) == 'up{node="a\\"} or up{b=\\"\\n"}'
    assert checked(fill('up{node="$node"}', {"node": 'a"} or vector(1'}))
    with pytest.raises(UnknownVariable, match=r"gives no \$uuid"):
        fill("up{uuid='$uuid'}", {"node": "node-1", "uuid": ""})


def test_reading_the_settings_needs_nothing_of_the_analyzer() -> None:
    """The agent loads the same configuration and has neither numpy nor a PromQL parser."""
    code = "import sys, runbooks.settings; print({'numpy', 'promql_parser', 'lightkube'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_remediation_is_off_by_default() -> None:
    assert not RunbookSettings().enabled
    with pytest.raises(ValueError, match="context is given without kubeconfig"):
        RunbookSettings.model_validate({"context": "prod"})
    assert all(field.description for field in RunbookSettings.model_fields.values())


def test_a_condition_may_not_read_what_people_said() -> None:
    with pytest.raises(ValueError, match="may not read fleetowl_anomaly_weight"):
        checked('fleetowl_anomaly_weight{node="$node"} < 1')
