"""Prometheus' read API: its errors in its words, its parameters, and what is bounded."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from analyzer.api.evaluation import MOST_POINTS
from analyzer.service import Analyzer
from model.labels import NAME, Labels
from rules.promql.expression import Expression
from tests.analyzer.heat import write
from tests.analyzer.reading import Client, Parameter

Run = Callable[..., Awaitable[Analyzer]]

BAD: list[tuple[str, dict[str, Parameter], str]] = [
    (
        "query",
        {"query": "up", "time": "yesterday"},
        'invalid parameter "time": cannot parse "yesterday" to a valid',
    ),
    (
        "query",
        {"query": "up", "time": "nan"},
        'invalid parameter "time": cannot parse "nan" to a valid timestamp',
    ),
    (
        "query",
        {"query": "up", "timeout": "soon"},
        'invalid parameter "timeout": cannot parse "soon" to a valid duration',
    ),
    ("query", {"query": "up", "limit": "x"}, 'invalid parameter "limit": cannot parse "x" to a valid number'),
    ("query", {"query": "up", "limit": "-1"}, 'invalid parameter "limit": -1 is negative'),
    ("query", {"query": "up", "lookback_delta": "x"}, 'invalid parameter "lookback_delta": cannot parse "x"'),
    ("query", {"query": "up{"}, 'invalid parameter "query": '),
    ("query", {}, 'invalid parameter "query": '),
    (
        "query_range",
        {"query": "up", "end": "1", "step": "1"},
        'invalid parameter "start": cannot parse "" to',
    ),
    (
        "query_range",
        {"query": "up", "start": "1", "end": "x", "step": "1"},
        'invalid parameter "end": cannot parse "x"',
    ),
    (
        "query_range",
        {"query": "up", "start": "1", "end": "2"},
        'invalid parameter "step": cannot parse "" to a valid duration',
    ),
    (
        "query_range",
        {"query": "up", "start": "10", "end": "0", "step": "1"},
        'invalid parameter "end": end timestamp must not be before start time',
    ),
    (
        "query_range",
        {"query": "up", "start": "0", "end": "10", "step": "0"},
        'invalid parameter "step": zero or negative query resolution step widths are not accepted. '
        "Try a positive integer",
    ),
    (
        "query_range",
        {"query": "up", "start": "0", "end": "11001", "step": "1"},
        "exceeded maximum resolution of 11,000 points per timeseries. "
        "Try decreasing the query resolution (?step=XX)",
    ),
    (
        "query_range",
        {"query": '("a")', "start": "0", "end": "1", "step": "1"},
        'invalid expression type "string" for range query, must be Scalar or instant Vector',
    ),
    (
        "query_range",
        {"query": "up[5m]", "start": "0", "end": "1", "step": "1"},
        'invalid expression type "range vector" for range query, must be Scalar or instant Vector',
    ),
    ("series", {}, "no match[] parameter provided"),
    ("series", {"match[]": "up{"}, 'invalid parameter "match[]": '),
    (
        "series",
        {"match[]": "rate(up[5m])"},
        'invalid parameter "match[]": rate(up[5m]) is no series selector',
    ),
    (
        "series",
        {"match[]": "up offset 5m"},
        'invalid parameter "match[]": up offset 5m is no series selector',
    ),
    (
        "series",
        {"match[]": '{a=~".*"}'},
        'invalid parameter "match[]": vector selector must contain at least one non-empty matcher',
    ),
    ("series", {"match[]": ["up", '{a=~"("}']}, 'invalid parameter "match[]": '),
    ("labels", {"match[]": "up{"}, 'invalid parameter "match[]": '),
    ("labels", {"start": "x"}, 'invalid parameter "start": cannot parse "x" to a valid timestamp'),
    ("metadata", {"limit": "x"}, 'invalid parameter "limit": cannot parse "x" to a valid number'),
    ("targets/metadata", {"match_target": "{"}, 'invalid parameter "match_target": '),
    ("rules", {"type": "x"}, 'invalid parameter "type": not supported value "x"'),
    (
        "rules",
        {"exclude_alerts": "x"},
        'invalid parameter "exclude_alerts": cannot parse "x" to a valid bool',
    ),
    (
        "rules",
        {"group_next_token": "x"},
        'invalid parameter "group_next_token": group_limit needs to be present',
    ),
    (
        "rules",
        {"group_limit": "1", "group_next_token": "x"},
        "invalid group_next_token 'x'. were rule groups changed?",
    ),
    (
        "query_exemplars",
        {"query": "up", "start": "2", "end": "1"},
        "end timestamp must not be before start timestamp",
    ),
    ("format_query", {"query": "up{"}, 'invalid parameter "query": '),
]


async def test_wrong_parameters_are_named_and_quoted(client: Client) -> None:
    for path, parameters, sentence in BAD:
        status, kind, error = await client.error(f"/api/v1/{path}", parameters)
        assert (status, kind) == (400, "bad_data"), (path, parameters)
        assert error.startswith(sentence), (path, parameters, error)


async def test_what_the_data_do_not_allow_is_422(analyzer: Analyzer, client: Client) -> None:
    write(analyzer, {"a": 1, "b": 2})
    query = "temperature / on () temperature"
    status, kind, _ = await client.error("/api/v1/query", {"query": query})
    assert (status, kind) == (422, "execution")
    now = analyzer.clock.now() / 1000
    asked: dict[str, Parameter] = {"query": query, "start": now, "end": now, "step": 1}
    status, kind, _ = await client.error("/api/v1/query_range", asked)
    assert (status, kind) == (422, "execution")


async def test_unknown_parameters_are_ignored_and_the_form_wins(client: Client) -> None:
    url = "/api/v1/query?query=1&time=4&stats=all&dedup=true"
    _, body = await client.ask(url, {"query": "2"}, "POST")
    assert body["data"]["result"] == [4, "2"]


@pytest.mark.parametrize("step", ["5", "5.0", "5s", "5000ms"])
async def test_steps_are_seconds_or_durations(analyzer: Analyzer, client: Client, step: str) -> None:
    now = write(analyzer, {"a": 1.5}, samples=4) / 1000
    asked: dict[str, Parameter] = {"query": "temperature", "start": now - 15, "end": now, "step": step}
    (series,) = (await client.get("/api/v1/query_range", asked))["result"]
    assert [value for _, value in series["values"]] == ["1.5"] * 4


async def test_a_range_query_says_at_each_step_what_an_instant_query_says(
    analyzer: Analyzer, client: Client
) -> None:
    """The series come and go, so that the steps have different label sets."""
    window, now = analyzer.pipeline.window, analyzer.clock.now()
    window.advance(now)
    target = window.target("rooms", 5000)
    rng = np.random.default_rng(7)
    labels = [Labels({NAME: "m", "n": str(number)}) for number in range(9)]
    ids = np.array([window.series(target, one, "gauge") for one in labels])
    for back in range(30, -1, -1):
        there = rng.random(len(ids)) < 0.8
        scale = 10.0 ** rng.integers(-9, 24, there.sum())
        window.append(target, now - back * 5000, ids[there], rng.normal(size=there.sum()) * scale)
    for query in ("m > 0", "sum(m)", "rate(m[1m])", "time()", "-m"):
        asked: dict[str, Parameter] = {
            "query": query,
            "start": (now - 150_000) / 1000,
            "end": now / 1000,
            "step": 7,
            "lookback_delta": "6s",
        }
        matrix = (await client.get("/api/v1/query_range", asked))["result"]
        got = {
            (json.dumps(series["metric"]), at): value for series in matrix for at, value in series["values"]
        }
        expected = {}
        for at in range(now - 150_000, now + 1, 7000):
            asked = {"query": query, "time": at / 1000, "lookback_delta": "6s"}
            data = await client.get("/api/v1/query", asked)
            rows = data["result"]
            if data["resultType"] == "scalar":
                rows = [{"metric": {}, "value": rows}]
            expected.update({(json.dumps(row["metric"]), row["value"][0]): row["value"][1] for row in rows})
        assert got == expected
        assert [series["metric"] for series in matrix] == sorted(
            (series["metric"] for series in matrix), key=lambda metric: sorted(metric.items())
        )


async def test_limits_cut_and_say_so(analyzer: Analyzer, client: Client) -> None:
    now = write(analyzer, {"a": 1, "b": 2, "c": 3}) / 1000
    asks: list[tuple[str, dict[str, Parameter]]] = [
        ("query", {"query": "temperature"}),
        ("query_range", {"query": "temperature", "start": now, "end": now, "step": 1}),
        ("series", {"match[]": "temperature"}),
        ("labels", {"match[]": "temperature"}),
        ("label/room/values", {}),
    ]
    for path, parameters in asks:
        _, body = await client.ask(f"/api/v1/{path}", {**parameters, "limit": 2})
        data = body["data"]
        assert len(data["result"] if isinstance(data, dict) else data) == 2, path
        assert "results truncated due to limit" in body["warnings"], path
        _, body = await client.ask(f"/api/v1/{path}", {**parameters, "limit": 4})
        assert "results truncated due to limit" not in body.get("warnings", []), path


async def test_annotations_stand_beside_the_data(
    analyzer: Analyzer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(analyzer, {"a": 1})
    before = Expression.evaluate

    def noting(self: Expression, window: Any, at: int, options: Any, notes: Any) -> Any:
        notes.warn("the quantile is no quantile")
        notes.inform("the metric might not be a counter")
        return before(self, window, at, options, notes)

    monkeypatch.setattr(Expression, "evaluate", noting)
    _, body = await client.ask("/api/v1/query", {"query": "temperature"})
    assert body["warnings"] == ["PromQL warning: the quantile is no quantile"]
    assert body["infos"] == ["PromQL info: the metric might not be a counter"]


async def test_a_query_of_scores_is_told_that_not_all_are_there(analyzer: Analyzer, client: Client) -> None:
    write(analyzer, {"a": 1})
    _, body = await client.ask("/api/v1/query", {"query": "fleetowl_anomaly_score > 1"})
    (said,) = body["infos"]
    assert said.startswith("fleetowl_anomaly_score of single series is made for the metrics that a rule or")


async def test_what_is_older_than_the_window_is_said(analyzer: Analyzer, client: Client) -> None:
    now = write(analyzer, {"a": 1}, samples=3) / 1000
    oldest = "the window begins at"

    async def warnings(path: str, **parameters: Parameter) -> list[str]:
        _, body = await client.ask(f"/api/v1/{path}", parameters)
        found: list[str] = body.get("warnings", [])
        return [one for one in found if one.startswith(oldest)]

    assert await warnings("query", query="temperature") == []
    assert len(await warnings("query", query="temperature", time=now - 60)) == 1
    assert len(await warnings("query", query="rate(temperature[5m])")) == 1
    assert await warnings("query", query="1 + 1", time=4) == []
    span: dict[str, Parameter] = {"end": now, "step": 5}
    assert await warnings("query_range", query="temperature", start=now - 5, **span) == []
    assert len(await warnings("query_range", query="temperature", start=now - 3600, **span)) == 1
    assert len(await warnings("labels", start=now - 3600)) == 1
    assert await warnings("labels") == []


async def test_too_many_points_are_refused(
    analyzer: Analyzer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_POINTS >= 11_000 * 100
    now = write(analyzer, {"a": 1, "b": 2}) / 1000
    monkeypatch.setattr("analyzer.api.evaluation.MOST_POINTS", 5)
    asked: dict[str, Parameter] = {"query": "temperature", "start": now, "end": now + 1, "step": 1}
    assert len((await client.get("/api/v1/query_range", asked))["result"]) == 2
    status, kind, error = await client.error("/api/v1/query_range", {**asked, "end": now + 2})
    assert (status, kind) == (422, "execution")
    assert "too many samples" in error


async def test_the_timeout_of_a_query_is_kept(analyzer: Analyzer, client: Client) -> None:
    now = write(analyzer, {"a": 1}) / 1000
    asked: dict[str, Parameter] = {"query": "temperature", "start": now - 110, "end": now, "step": "0.01"}
    status, kind, error = await client.error("/api/v1/query_range", {**asked, "timeout": "20ms"})
    assert (status, kind) == (503, "timeout")
    assert error == "query timed out in query execution"


async def test_a_query_leaves_nothing_in_the_window(analyzer: Analyzer, client: Client) -> None:
    now = write(analyzer, {"a": 1}) / 1000
    window = analyzer.pipeline.window
    for name in "xy":
        sid = window.series(window.target("rooms", 5000), Labels({NAME: "m", "n": name}))
        window.append(window.target("rooms", 5000), round(now * 1000), np.array([sid]), np.ones(1))
    for number in range(5):
        asked: dict[str, Parameter] = {"query": f'temperature{{room!="{number}"}}'}
        await client.get("/api/v1/query", asked)
        await client.get("/api/v1/query_range", {**asked, "start": now - 5, "end": now, "step": 1})
        await client.error("/api/v1/query", {"query": f'm{{n!="{number}"}} / on () m'})
    assert not any(
        matcher.value in map(str, range(5)) for matchers in window._selected for matcher in matchers
    )


async def test_series_end_with_the_span(analyzer: Analyzer, client: Client) -> None:
    now = write(analyzer, {"a": 1}, samples=3) / 1000
    everything = await client.get("/api/v1/series", {"match[]": ["temperature", '{room="a"}']})
    assert {NAME: "temperature", "room": "a", "instance": "attic"} in everything
    assert len(everything) == len({json.dumps(one) for one in everything})
    asked: dict[str, Parameter] = {"match[]": "temperature"}
    assert await client.get("/api/v1/series", {**asked, "start": now + 60}) == []
    assert await client.get("/api/v1/series", {**asked, "end": now - 3600}) == []
    assert await client.get("/api/v1/series", {**asked, "start": now, "end": now - 1}) == []
    assert len(await client.get("/api/v1/series", {**asked, "start": "-292273086-05-16T16:47:06Z"})) == 1
    assert await client.get("/api/v1/label/room/values", {**asked, "start": now + 60}) == []
    assert await client.get("/api/v1/labels", {"end": now - 3600}) == []
    assert await client.get("/api/v1/label/nosuch/values") == []
    assert await client.get("/api/v1/label/U__room/values", asked) == ["a"]
