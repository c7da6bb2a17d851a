"""`fleetowl agent --once`: forms, exit status, and what a terminal gets that a pipe does not."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from agent.settings import AgentSettings
from agent.snapshot.shape import SCHEMA_VERSION, Finding, HostView, NodeView, Snapshot
from fleetowl import once, terminal
from fleetowl.cli import main

NODE = NodeView("gpu-7", HostView("Linux 6.1.0", 2), driver_state="absent", driver_reason="no library")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[NodeView]:
    """What the look sees; a test may put another node in its place."""
    nodes = [NODE]

    async def look(_: AgentSettings) -> Snapshot:
        return Snapshot(SCHEMA_VERSION, 1.7e9, tuple(nodes))

    monkeypatch.setattr(once, "look", look)
    return nodes


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["agent", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_a_node_without_a_gpu_is_fine(seen: list[NodeView]) -> None:
    status, out, err = run("--once")
    assert (status, err) == (0, "")
    assert out == "gpu-7  Linux 6.1.0  2 CPUs\n\nNo NVIDIA GPU on this node: no library. That is fine.\n"


@pytest.mark.parametrize(("severity", "status"), [("broken", 1), ("warning", 0), ("note", 0)])
def test_what_does_not_work_is_exit_1(seen: list[NodeView], severity: str, status: int) -> None:
    finding = Finding(severity, "pods", "it says why")  # type: ignore[arg-type]
    seen[0] = dataclasses.replace(NODE, missing=(finding,))
    told = run("--once")
    assert told[0] == status
    assert "  pods  it says why\n" in told[1]


def test_json_and_yaml_say_the_same(seen: list[NodeView]) -> None:
    as_json, as_yaml = (
        json.loads(run("--once", "-o", "json")[1]),
        yaml.safe_load(run("--once", "-o", "yaml")[1]),
    )
    assert as_json == json.loads(json.dumps(as_yaml))
    assert as_json["schema_version"] == SCHEMA_VERSION
    assert as_json["nodes"][0]["gpus"] == []


def test_a_form_without_once_is_a_usage_error() -> None:
    status, _, err = run("-o", "json")
    assert status == 2
    assert "--once" in err


def test_a_wrong_configuration_is_exit_2(seen: list[NodeView], tmp_path: Path) -> None:
    path = tmp_path / "agent.yml"
    path.write_text("agent: {intervall: 1s}")
    status, out, err = run("--once", "--config", str(path))
    assert (status, out) == (2, "")
    assert "agent.intervall" in err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "wanted"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    stream: io.StringIO, environment: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert terminal.wants_colour(stream) is wanted


def test_only_a_terminal_has_a_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "93")
    assert terminal.terminal_width(Terminal()) == 93
    assert terminal.terminal_width(io.StringIO()) is None
