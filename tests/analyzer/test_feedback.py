"""Feedback over HTTP and by the command line: marked, listed, taken back, and there after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from click.testing import CliRunner

from analyzer.pipeline import Pipeline
from analyzer.service import Analyzer
from fleetowl.cli import main
from model.alert import Alert
from model.labels import NAME, Labels, format_fingerprint
from tests.analyzer.conftest import START

TOKEN = "secret-token"
HOT = {"gpu": "3", "node": "n1", "metric": "DCGM_FI_DEV_GPU_TEMP", "detector": "level"}


def score(pipeline: Pipeline, now: int, *gpus: str) -> None:
    pipeline.window.advance(now)
    target = pipeline.window.target("n1", 5_000)
    for gpu in gpus:
        labels = Labels({NAME: "fleetowl_anomaly_score", **HOT, "gpu": gpu})
        sid = pipeline.window.series(target, labels, "gauge")
        pipeline.window.append(target, now, np.array([sid]), np.array([3.0]))


@pytest.fixture
async def scored(run_analyzer: Callable[..., Awaitable[Analyzer]]) -> Analyzer:
    analyzer = await run_analyzer(analyzer={"token": TOKEN})
    score(analyzer.pipeline, analyzer.clock.now(), "3", "4")
    return analyzer


async def ask(analyzer: Analyzer, method: str, path: str, token: str = TOKEN, **body: Any) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method, f"http://{analyzer.address}/api/v1/feedback{path}", json=body or None, headers=headers
        ) as response,
    ):
        return response.status, await response.json()


async def test_marked_listed_and_taken_back(scored: Analyzer) -> None:
    body: dict[str, Any] = {"verdict": "noise", "who": "ada", "why": "it is\nsummer", "matchers": ['gpu="3"']}
    for token, says in (("", "and none was sent"), ("x", "and another was sent")):
        status, answer = await ask(scored, "POST", "", token=token, **body)
        assert (status, says in answer["error"]) == (401, True)
    status, answer = await ask(scored, "POST", "", **body)
    assert status == 200
    assert answer["data"]["said"].endswith("as noise: weight 0.5")
    status, answer = await ask(scored, "GET", "", token="")
    (mark,) = answer["data"]["feedback"]
    assert (mark["id"], mark["who"], mark["why"], mark["labels"]) == (1, "ada", "it is summer", HOT)
    assert mark["weight"] == 0.5
    assert (await ask(scored, "DELETE", "/1?who=bob", token=""))[0] == 401
    assert (await ask(scored, "DELETE", "/1"))[0] == 400
    assert (await ask(scored, "DELETE", "/1?who=bob"))[0] == 200
    assert (await ask(scored, "DELETE", "/1?who=bob"))[0] == 409
    assert (await ask(scored, "DELETE", "/7?who=bob"))[0] == 404
    assert (await ask(scored, "GET", ""))[1]["data"] == {"feedback": []}
    (mark,) = (await ask(scored, "GET", "?state=all"))[1]["data"]["feedback"]
    assert (mark["undone_by"], mark["weight"]) == ("bob", 1)


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"verdict": "loud", "who": "a", "matchers": ["gpu=3"]}, 400, "it must be noise or real"),
        ({"verdict": "noise", "who": " ", "matchers": ["gpu=3"]}, 400, "say who marks it"),
        ({"verdict": "noise", "who": "a", "reason": "x", "matchers": ["gpu=3"]}, 400, 'unknown key "reason"'),
        ({"verdict": "noise", "who": "a"}, 400, "one of matchers, alert and incident"),
        ({"verdict": "noise", "who": "a", "matchers": ["gpu=3"], "alert": "x"}, 400, "one of matchers"),
        ({"verdict": "noise", "who": "a", "matchers": ["gpu=~("]}, 400, "matchers"),
        ({"verdict": "noise", "who": "a", "matchers": ["gpu=9"]}, 404, "there is no such anomaly series"),
        ({"verdict": "noise", "who": "a", "alert": "00ff00ff00ff00ff"}, 404, "there is no alert"),
        ({"verdict": "noise", "who": "a", "incident": "INC-9"}, 404, "there is no incident INC-9"),
    ],
)
async def test_what_cannot_be_marked_is_said(
    scored: Analyzer, body: dict[str, Any], status: int, says: str
) -> None:
    answered, answer = await ask(scored, "POST", "", **body)
    assert answered == status, answer
    assert says in answer["error"]


async def test_the_anomaly_behind_an_incident_and_an_alert(scored: Analyzer) -> None:
    pipeline, now = scored.pipeline, scored.clock.now()
    alert = Alert(Labels({"alertname": "Hot", "tier": "P2", **HOT}), {"summary": "hot"}, now)
    (placed,) = pipeline.incidents.step(now, [alert])
    status, _ = await ask(scored, "POST", "", verdict="noise", who="ada", incident=placed.incident)
    assert status == 200
    assert [mark.labels for mark in pipeline.feedback.marks()] == [Labels(HOT)]
    pipeline.alerts = [alert]
    named = format_fingerprint(alert.fingerprint)
    assert (await ask(scored, "POST", "", verdict="real", who="ada", alert=named))[0] == 200
    assert pipeline.feedback.weight(Labels(HOT)) == 1


async def test_by_the_command_line(scored: Analyzer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    url = ("--url", f"http://{scored.address}")

    async def run(*words: str, changes: bool = True) -> str:
        secret = ("--token-file", str(token)) if changes else ()
        done = await asyncio.to_thread(CliRunner().invoke, main, ["feedback", *words, *url, *secret])
        assert done.exit_code == 0, done.output
        return done.output

    said = await run("noise", "gpu=3", "--why", "summer", "--who", "ada")
    first, second = said.splitlines()
    assert first.endswith("as noise: weight 0.5")
    assert second.startswith("  1  {")
    listed = (await run("list", changes=False)).splitlines()
    assert listed[0].split() == ["ID", "BATCH", "VERDICT", "WEIGHT", "NOW", "SINCE", "WHO", "ANOMALY", "WHY"]
    assert listed[1].startswith("1   1      noise    0.5         ")
    assert listed[1].endswith("summer")
    assert '"verdict": "noise"' in await run("list", "-o", "json", changes=False)
    assert "took feedback 1 back" in await run("undo", "1", "--who", "bob")
    assert "undone by bob" in await run("list", "--all", changes=False)
    assert (await run("list", changes=False)).strip() == "nobody has marked an anomaly"
    assert "would mark 2 anomaly series as noise" in await run("noise", "gpu=~.", "--dry-run")
    assert (await run("list", changes=False)).strip() == "nobody has marked an anomaly"
    assert (await run("noise", "gpu=~.")).endswith("fleetowl feedback undo --batch 2\n")
    assert "took batch 2 of feedback back: 2 marks" in await run("undo", "--batch", "2")
    await run("noise", "gpu=~.")
    assert len((await run("undo", "4", "5")).splitlines()) == 2


def test_the_command_line_wants_one_way_of_naming(tmp_path: Path) -> None:
    for words in (["noise"], ["real", "gpu=3", "--alert", "x"], ["noise", "gpu=3", "--who", " "]):
        done = CliRunner().invoke(main, ["feedback", *words])
        assert done.exit_code == 2
        assert "Error: " in done.output


def test_feedback_is_there_after_a_restart(make_pipeline: Callable[..., Pipeline]) -> None:
    first = make_pipeline(rules={"shipped": False})
    score(first, START, "3")
    first.feedback.marked(first.feedback.find([]), "noise", "ada", START)
    first.step(START)
    assert first.kept
    first.database.close()
    second = make_pipeline(START + 60_000, rules={"shipped": False})
    assert second.feedback.weight(Labels(HOT)) == 0.5
    second.step(START + 60_000)
    found = second.window.find(Labels({NAME: "fleetowl_anomaly_weight", **HOT}))
    assert found is not None
    assert second.window.last(np.array([found]))[1].tolist() == [0.5]
    second.database.close()
