"""One analyzer as a process: who may have its state, what a reload takes over, what is refused at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import aiohttp
import pytest

from alertmanager.backlog import Row
from alertmanager.intake import encode
from analyzer.assembly import assemble, prepare
from analyzer.journal import Journal
from analyzer.service import Analyzer, replace_fixed
from model.alert import Alert
from model.labels import Labels
from model.settings import ConfigurationError
from telemetry.frame_ingest import RESTART_GRACE, FrameReceiver, NodeRecord
from telemetry.window import Window
from tests.analyzer.conftest import START, settings_of

Run = Callable[..., Awaitable[Analyzer]]
ALERT = Alert(Labels({"alertname": "Down"}), starts_at=START)


async def test_a_second_analyzer_on_the_same_state_is_refused(run_analyzer: Run, tmp_path: Path) -> None:
    await run_analyzer()
    settings = settings_of(tmp_path / "state")
    with pytest.raises(ConfigurationError, match="another analyzer keeps its state here"):
        Analyzer(settings, lambda: settings)


async def test_the_state_can_be_had_again_after_a_stop(run_analyzer: Run, tmp_path: Path) -> None:
    await (await run_analyzer()).stop()
    settings = settings_of(tmp_path / "state")
    await Analyzer(settings, lambda: settings).stop()


async def test_what_is_on_its_way_to_the_disk_is_waited_for(
    run_analyzer: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyzer = await run_analyzer()
    write, stopping = Journal._write, threading.Event()

    def slow(self: Journal, rows: Sequence[Row]) -> None:
        stopping.wait(5)
        write(self, rows)

    monkeypatch.setattr(Journal, "_write", slow)
    row = Row(analyzer.pipeline.backlog.number(), START, encode([ALERT]))
    sent = asyncio.create_task(analyzer.posting.journal.append(row, [ALERT]))
    await asyncio.sleep(0)
    stopped = asyncio.create_task(analyzer.stop())
    asyncio.get_running_loop().call_later(0.2, stopping.set)
    await stopped
    assert sent.done()
    await sent
    restarted = assemble(prepare(settings_of(tmp_path / "state")), START)
    assert len(restarted.backlog) == 1
    restarted.database.close()


async def test_what_fires_already_has_its_place_after_a_restart(run_analyzer: Run) -> None:
    first = await run_analyzer()
    first.pipeline.backlog.add([ALERT], 1, first.clock.now())
    first.pipeline.step(first.clock.now())
    await first.stop()
    assert len((await run_analyzer()).posting._admission) == 1


async def test_a_reload_says_what_only_a_restart_changes(tmp_path: Path) -> None:
    old = settings_of(tmp_path, rules={"shipped": False})
    new = settings_of(
        tmp_path, rules={"shipped": True}, telemetry={"retention": "30m"}, analyzer={"tick": "2s"}
    )
    settings, kept = replace_fixed(new, old)
    assert kept == ["analyzer.tick", "telemetry"]
    assert settings.rules.shipped
    assert settings.telemetry == old.telemetry
    assert settings.analyzer.tick == old.analyzer.tick


async def test_a_wrong_reload_keeps_the_old_configuration(run_analyzer: Run, tmp_path: Path) -> None:
    analyzer = await run_analyzer()
    wrong = settings_of(tmp_path / "state", rules={"files": [str(tmp_path / "missing.yml")]})
    analyzer._load = lambda: wrong
    before = analyzer.settings
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://{analyzer.address}/-/reload") as response,
    ):
        assert response.status == 400
        assert "missing.yml" in await response.text()
    assert analyzer.settings == before
    assert {s.name: s.value for s in analyzer._samples()}["fleetowl_config_last_reload_successful"] == 0


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"analyzer": {"token_file": "/no/such/token"}}, "analyzer.token_file"),
        ({"analyzer": {"database": "nonsense"}}, "analyzer.database"),
        ({"analyzer": {"database": "postgresql+nodriver://x/y"}}, "analyzer.database"),
        ({"runbooks": {"enabled": True, "kubeconfig": "/no/such/config"}}, "runbooks.kubeconfig"),
    ],
)
def test_what_is_missing_is_said_before_the_start(
    tmp_path: Path, sections: dict[str, dict[str, object]], key: str
) -> None:
    with pytest.raises(ConfigurationError, match=key):
        prepare(settings_of(tmp_path, **sections))


def test_actions_are_audited_beside_the_state_unless_told_otherwise(tmp_path: Path) -> None:
    assert prepare(settings_of(tmp_path)).settings.runbooks.audit_file == tmp_path / "audit.jsonl"


def test_an_agent_has_time_to_come_back_after_our_restart() -> None:
    window = Window()
    frames = FrameReceiver(window)
    frames.restore([NodeRecord("n1", 1000, START)], START)
    for now in range(START, START + RESTART_GRACE + 2500, 500):
        window.advance(now)
        assert frames.expire(now) == []
    assert len(frames.expire(START + RESTART_GRACE + 3000)) == 1


def test_state_that_is_only_in_memory_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "state").write_text("a file where the directory should be")
    pipeline = assemble(prepare(settings_of(tmp_path / "state")), START)
    assert "going on in memory" in caplog.text
    assert {s.name: s.value for s in pipeline.samples(START)}["fleetowl_store_up"] == 0
