"""What senders were told yes for is told, whatever else of a tick fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select

from alertmanager.backlog import INTAKE, Row, append
from alertmanager.configuration_file import load_file
from alertmanager.intake import encode
from alertmanager.silences import Draft
from analyzer.api.alertmanager.standing import standing_of
from analyzer.pipeline import Pipeline
from model.alert import Alert
from model.labels import Labels
from model.matcher import Matcher, Op
from tests.analyzer.conftest import START

Make = Callable[..., Pipeline]
AT_ONCE = {
    "route": {"receiver": "log", "group_wait": "0s"},
    "receivers": [{"name": "log", "log_configs": [{}]}],
}


def fails(*given: object, **named: object) -> None:
    raise RuntimeError("a defect")


def accept(pipeline: Pipeline, now: int, *alerts: Alert) -> None:
    row = Row(pipeline.backlog.number(), now, encode(alerts))
    with pipeline.database.transaction() as tx:
        append(tx, [row])
    pipeline.backlog.add(alerts, row.sequence, now)


def journalled(pipeline: Pipeline) -> int:
    with pipeline.database.reading() as tx:
        return tx.scalar(select(func.count()).select_from(INTAKE)) or 0


def alert(name: str, now: int = START, **labels: str) -> Alert:
    return Alert(Labels({"alertname": name, **labels}), starts_at=now)


@pytest.fixture
def pipeline(make_pipeline: Make) -> Pipeline:
    return make_pipeline(START, rules={"shipped": False}, alertmanager=AT_ONCE)


@pytest.mark.parametrize("room", ["rules", "peers"])
def test_a_step_that_fails_keeps_no_accepted_alert_back(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, room: str
) -> None:
    monkeypatch.setattr(getattr(pipeline, room), "step", fails)
    accept(pipeline, START, alert("Down", tier="P0"))
    told = [one for second in range(3) for one in pipeline.step(START + second * 1000).notifications]
    assert [one.name for one in told[0].alerts] == ["Down"]
    assert journalled(pipeline) == 0
    pipeline.database.close()


def test_what_the_dispatcher_was_not_given_stays_on_disk_and_comes_again(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(pipeline, START, alert("Down", tier="P0"))
    with monkeypatch.context() as broken:
        broken.setattr(pipeline.alerting, "notify", fails)
        pipeline.step(START)
        pipeline.step(START + 1000)
    assert journalled(pipeline) == 1
    with monkeypatch.context() as broken:
        broken.setattr(pipeline.backlog, "take", fails)
        pipeline.step(START + 2000)
    assert journalled(pipeline) == 1
    told = pipeline.step(START + 3000).notifications
    assert [one.name for one in told[0].alerts] == ["Down"]
    assert journalled(pipeline) == 0
    pipeline.database.close()


def test_a_tick_without_rules_repeats_nothing(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    accept(pipeline, START, alert("Down"))
    pipeline.step(START)
    monkeypatch.setattr(pipeline.rules, "step", fails)
    pipeline.step(START + 1000)
    assert pipeline.alerts == []
    pipeline.database.close()


@pytest.mark.parametrize("plain", [False, True])
def test_a_watchdog_is_an_alert_like_any_other_for_a_plain_file(
    pipeline: Pipeline, tmp_path: Path, plain: bool
) -> None:
    path = tmp_path / "am.yml"
    path.write_text(
        "route: {receiver: x, group_wait: 0s}\nreceivers: [{name: x, webhook_configs: [{url: 'http://h/'}]}]"
    )
    if plain:
        settings = pipeline.settings.model_copy(update={"alertmanager": load_file(path)})
        pipeline.reload(settings, [], [], START)
    accept(pipeline, START, alert("Watchdog"))
    told = pipeline.step(START).notifications
    assert [one.name for each in told for one in each.alerts] == (["Watchdog"] if plain else [])
    listed = [*pipeline.alerting.quiet(START), *pipeline.dispatcher.alerts]
    assert [one.name for one in listed] == ["Watchdog"]
    accept(pipeline, START + 1000, Alert(Labels({"alertname": "Watchdog"}), {}, START, START + 500))
    pipeline.step(START + 1000)
    assert not pipeline.alerting.quiet(START + 1000)
    pipeline.database.close()


def test_asking_for_what_waits_leaves_nothing_behind(pipeline: Pipeline) -> None:
    silences = pipeline.alerting.silences
    silences.set(Draft((Matcher("a", Op.EQUAL, "b"),), START, START + 9000, "me", "work"), START)
    waiting = alert("Down", a="b")
    assert standing_of(pipeline.alerting, waiting, [], START).why == ()
    assert not silences._index._answers
    pipeline.database.close()
