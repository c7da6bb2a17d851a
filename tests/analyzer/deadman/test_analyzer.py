"""The analyzer and the process that watches it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from alertmanager.backlog import Row
from analyzer.assembly import assemble, prepare
from analyzer.service import Analyzer
from model.alert import Alert
from model.labels import Labels
from tests.analyzer.conftest import START, settings_of


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[tuple[Analyzer, Path]]:
    out = tmp_path / "said"
    dead_man = {"silence": "30s", "command": ["/usr/bin/tee", "-a", str(out)]}
    (tmp_path / "state").mkdir()
    settings = settings_of(
        tmp_path / "state", analyzer={"dead_man": dead_man, "tick": "100ms"}, rules={"shipped": False}
    )
    analyzer = Analyzer(settings, lambda: settings, "0.0.0")
    await analyzer.start()
    yield analyzer, out
    if analyzer.guard.up:
        await analyzer.stop()


async def test_finished_ticks_are_beats_and_a_graceful_stop_says_goodbye(
    watched: tuple[Analyzer, Path],
) -> None:
    analyzer, out = watched
    analyzer._tick()
    assert analyzer.guard.beats > 0
    before = analyzer.guard.pid
    assert before is not None
    text = analyzer.telemetry.render()
    assert b"fleetowl_deadman_child_up 1" in text
    assert b'fleetowl_deadman_peers{state="heard"} 0' in text
    await analyzer.stop()
    assert analyzer.guard.pid is None
    assert not out.exists()  # nobody was silent


def test_a_watchdog_that_came_by_the_api_and_falls_silent_is_an_incident(tmp_path: Path) -> None:
    sections: dict[str, Any] = {"rules": {"shipped": False}}
    pipeline = assemble(prepare(settings_of(tmp_path, **sections)), START)
    sign = Alert(Labels({"alertname": "Watchdog", "cluster": "berlin"}), {}, START, START + 240_000)
    pipeline.backlog.add([sign], Row(pipeline.backlog.number(), START, b"[]").sequence, START)
    pipeline.step(START + 1000)
    for minute in range(1, 5):
        pipeline.step(START + minute * 60_000)
    assert pipeline.incidents.ordered() == []
    pipeline.step(START + 302_000)
    (incident,) = pipeline.incidents.ordered()
    assert (incident.tier.name, incident.root.name) == ("P1", "DeadManSilent")
    assert pipeline.peers.news[0].labels["cluster"] == "berlin"
    pipeline.database.close()
