"""What the dead man's child decides to tell, on a clock of the test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analyzer.deadman import child
from analyzer.deadman.child import Channel, Message, Watch, payload
from analyzer.deadman.guard import Guard
from analyzer.deadman.settings import DeadManSettings, problems_of_dead_man

WALL = 1_795_132_800.0


def watching(*ticks: float) -> Watch:
    watch = Watch("owl", 10, 0)
    for moment in ticks:
        assert watch.line("tick", moment, WALL) is None
    return watch


def test_silence_is_told_once_and_its_end_too() -> None:
    watch = watching(1, 2, 3)
    assert watch.check(12.9, WALL) is None
    assert watch.next_check(4) == 9
    told = watch.check(13, WALL)
    assert told is not None
    assert (told.status, told.text) == ("firing", "owl has finished no tick for 10 s")
    assert watch.check(100, WALL) is None
    back = watch.line("tick", 60, WALL)
    assert back is not None
    assert (back.status, back.text) == ("resolved", "owl ticks again after 57 s")
    again = watch.check(71, WALL)
    assert again is not None
    assert again.key != told.key


def test_an_analyzer_that_never_ticks_is_silent_too() -> None:
    assert watching().check(10, WALL) is not None


def test_an_end_without_a_goodbye_is_told_and_a_graceful_one_is_not() -> None:
    told = watching(1).ended(WALL)
    assert told is not None
    assert "has ended without a goodbye" in told.text
    watch = watching(1)
    assert watch.line("bye", 2, WALL) is None
    assert watch.check(100, WALL) is None
    assert watch.ended(WALL) is None


def test_a_child_that_did_not_run_itself_blames_nobody() -> None:
    watch = watching(1)
    watch.overslept(60, 61)
    assert watch.check(61, WALL) is None
    assert watch.check(71, WALL) is not None


def test_a_channel_that_fails_is_tried_again_and_gives_up_after_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[str] = []
    down = True

    def run(argv: list[str], body: bytes, timeout: float = 0) -> None:
        if down:
            raise OSError("no")
        taken.append(json.loads(body)["alerts"][0]["annotations"]["summary"])

    monkeypatch.setattr(child, "_run", run)
    channel = Channel({"kind": "command", "argv": ["x"]}, {}, [])
    channel.tell(Message("A", "firing", "first", "1", WALL))
    channel.tell(Message("A", "firing", "second", "2", WALL + 3000))
    waits: list[float] = []
    for _ in range(9):
        channel.step(now := sum(waits), WALL + now)
        waits.append(channel.next_step(now))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    channel.step(10_000, WALL + 3700)
    down = False
    channel.step(20_000, WALL + 3800)
    assert taken == ["second"]
    assert not channel.busy


def test_the_message_has_the_form_of_alertmanagers_webhook() -> None:
    body = payload(Message("FleetowlDeadMan", "firing", "it is silent", "k", WALL), {"instance": "n1"})
    assert (body["version"], body["status"], body["truncatedAlerts"]) == ("4", "firing", 0)
    (alert,) = body["alerts"]
    assert alert["labels"] == {
        "alertname": "FleetowlDeadMan", "tier": "P0", "severity": "critical", "instance": "n1"
    }  # fmt: skip
    assert (alert["startsAt"], alert["endsAt"]) == ("2026-11-20T00:00:00.000Z", "0001-01-01T00:00:00Z")


def test_without_a_channel_there_is_no_child() -> None:
    guard = Guard(DeadManSettings())
    guard.start(0)
    guard.beat(60_000)
    assert (guard.up, guard.beats, guard.restarts) == (False, 0, 0)


def test_a_goodbye_ends_the_child_in_peace(tmp_path: Path) -> None:
    out = tmp_path / "said"
    guard = Guard(DeadManSettings(command=("/usr/bin/tee", str(out))))
    guard.start(0)
    assert guard.up
    guard.beat(0)
    assert guard.say("Some", "firing", "\N{OWL}" * 2000, "key")  # longer than a pipe takes at once
    started = guard._child
    assert started is not None
    guard.bye()
    assert started.wait(5) == 0
    assert json.loads(out.read_text())["alerts"][0]["labels"]["alertname"] == "Some"
    assert (guard.pid, guard.beats) == (None, 1)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"webhook_url": "ftp://x"}, "webhook_url"),
        ({"command": ["/no/such/program"]}, "command.0"),
        ({"apprise_urls_file": "/no/such/file"}, ""),
        ({"peers": {"matchers": ["a=~("]}}, "peers.matchers.0"),
        ({"peers": {"expect": [{}]}}, "peers.expect.0"),
    ],
)
def test_what_is_wrong_is_said_before_anybody_is_silent(body: dict[str, Any], key: str) -> None:
    (problem,) = problems_of_dead_man(DeadManSettings.model_validate(body))
    assert problem.key == f"analyzer.dead_man.{key}"
    assert problem.hint
    assert "secret" not in problem.message
