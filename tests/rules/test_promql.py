"""What is Fleetowl's own in PromQL: $scrapes, intervals of rows, refusals by name, remembered label work."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.labels import Labels
from model.moment import MINUTE, SECOND
from rules.promql.answer import Scalar, Vector
from rules.promql.errors import EvaluationError, PromQLError
from rules.promql.expression import parse
from rules.promql.frame import Projection, frame_of
from rules.promql.scrapes import Span, parse_span, with_interval
from telemetry.window import Window
from tests.rules.cluster import START, Cluster


def vector(it: Cluster, text: str, at: int) -> dict[str, float]:
    found = parse(text).evaluate(it.window, at)
    assert isinstance(found, Vector)
    return {str(labels): float(value) for labels, value in zip(found.labels, found.values, strict=True)}


def fleet() -> tuple[Cluster, int]:
    """`c` counts 2 a second on a target scraped each second, and on one scraped each 15 s."""
    it = Cluster()
    for second in range(121):
        now = START + second * SECOND
        it.write(now, {'c{node="fast"}': 2.0 * second, 'up{node="fast"}': 1})
        if second % 15 == 0:
            it.write(now, {'c{node="slow"}': 2.0 * second, 'up{node="slow"}': 1}, interval=15 * SECOND)
    return it, START + 120 * SECOND


def test_a_range_in_scrapes_follows_the_interval_of_what_it_reads() -> None:
    it, now = fleet()
    assert vector(it, "count_over_time(c[$scrapes(4)])", now) == {'{node="fast"}': 4, '{node="slow"}': 4}
    assert vector(it, "rate(c[$scrapes(4)])", now) == {'{node="fast"}': 2, '{node="slow"}': 2}


def test_the_interval_of_senders_that_state_none_is_seen_in_the_data() -> None:
    it = Cluster()
    target = it.window.target("remote", 0)
    sid = it.window.series(target, Labels({"__name__": "x"}))
    times = START + np.arange(30) * 10 * SECOND
    it.window.append_each(target, times, np.full(30, sid), np.arange(30.0))
    assert vector(it, "count_over_time(x[$scrapes(3)])", int(times[-1])) == {"{}": 3}
    found = parse("x").evaluate(it.window, int(times[-1]))
    assert isinstance(found, Vector)
    assert found.intervals.tolist() == [10 * SECOND]


def test_rows_know_the_interval_of_their_series() -> None:
    it, now = fleet()
    for text in ("c", "c * 2", "rate(c[1m]) > 0", "c and up", "c + on (node) up", "max by (node) (c)"):
        found = parse(text).evaluate(it.window, now)
        assert isinstance(found, Vector)
        by_node = dict(zip((row["node"] for row in found.labels), found.intervals.tolist(), strict=True))
        assert by_node == {"fast": SECOND, "slow": 15 * SECOND}, text
    [total] = parse("sum(c)").evaluate(it.window, now).intervals  # type: ignore[union-attr]
    assert total == 15 * SECOND


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("x @ 100", "the @ modifier"),
        ("rate(x[5m] @ end())", "the @ modifier"),
        ("rate(x[5m:1m])", "subqueries"),
        ("max_over_time(rate(x[1m])[5m:])", "subqueries"),
        ("x[5m]", "a range vector as a result"),
        ("limitk(1, x)", "limitk"),
        ("double_exponential_smoothing(x[5m], 0.5, 0.5)", "double_exponential_smoothing"),
        ("mad_over_time(x[5m])", "mad_over_time"),
        ("x + fill(0) y", "fill"),
        ('x{a="1" or b="2"}', "`or` between matchers"),
        ('x{a=~"("}', "("),
        ("rate(x[$scrapes(0)])", "$scrapes"),
        ("x offset $scrapes(2)", "$scrapes"),
        ("rate(x[$rate_interval])", "$rate_interval"),
        ("sum(", ""),
        ("", ""),
    ],
)
def test_what_is_not_supported_is_named_at_load(text: str, named: str) -> None:
    with pytest.raises(PromQLError) as caught:
        parse(text)
    assert named in str(caught.value)


def test_scrapes_in_a_string_is_text() -> None:
    assert parse('x{a="[$scrapes(2)]"}').selectors[0][1].value == "[$scrapes(2)]"


def test_an_expression_knows_how_far_back_it_reads() -> None:
    expression = parse("rate(x[5m] offset 1m) > max_over_time(y[$scrapes(4)])")
    assert expression.longest_range(15 * SECOND) == 6 * MINUTE
    assert expression.longest_range(2 * MINUTE) == 8 * MINUTE
    assert with_interval("rate(y[$scrapes(4)])", 15 * SECOND) == "rate(y[1m])"
    assert parse_span("$scrapes(2)") == Span(scrapes=2)


def test_label_work_is_kept_while_the_series_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    it, now = fleet()
    expression = parse("sum by (node) (rate(c[1m])) / on (node) up > 0")
    expression.evaluate(it.window, now)
    monkeypatch.setattr(Projection, "keys", None)  # any further label work fails
    it.write(now + SECOND, {'c{node="fast"}': 300.0, 'up{node="fast"}': 1})
    assert isinstance(expression.evaluate(it.window, now + SECOND), Vector)
    monkeypatch.undo()
    it.write(now + 2 * SECOND, {'c{node="new"}': 1.0, 'up{node="new"}': 1})
    found = expression.evaluate(it.window, now + 2 * SECOND)
    assert isinstance(found, Vector)


def test_new_series_are_seen_and_stale_ones_are_not() -> None:
    it, now = fleet()
    expression = parse("up")
    assert len(expression.evaluate(it.window, now).labels) == 2  # type: ignore[union-attr]
    it.write(now + SECOND, {'up{node="new"}': 1})
    assert len(expression.evaluate(it.window, now + SECOND).labels) == 3  # type: ignore[union-attr]
    it.stale(now + 2 * SECOND, 'up{node="new"}')
    assert len(expression.evaluate(it.window, now + 2 * SECOND).labels) == 2  # type: ignore[union-attr]


def test_ambiguous_matches_are_errors() -> None:
    it = Cluster()
    it.write(START, {'a{x="1"}': 1, 'a{x="2"}': 2, 'b{x="1"}': 1, 'b{x="2"}': 2})
    for text in ("a * on () b", "a * on () group_left b", "sum(a) * on () b", "-{__name__=~'a|b'}"):
        with pytest.raises(EvaluationError):
            parse(text).evaluate(it.window, START)
    assert len(vector(it, "a * on () group_left sum(b)", START)) == 2


def test_a_number_is_a_scalar() -> None:
    assert parse("2 ^ 3 % 5").evaluate(Window(), START) == Scalar(3)
    assert parse("1 / 0").evaluate(Window(), START) == Scalar(math.inf)


names = st.sampled_from(["a", "b", "c", "__name__"])
label_sets = st.dictionaries(names, st.sampled_from(["1", "2"])).map(Labels)
projections = st.builds(Projection, st.booleans(), st.frozensets(names))


@given(st.lists(label_sets, max_size=8), projections, projections)
def test_keys_stand_for_projected_labels(rows: list[Labels], first: Projection, second: Projection) -> None:
    frame = frame_of(rows).project(first)
    expected = [second.apply(first.apply(row)) for row in rows]
    assert list(frame.project(second)) == expected
    keys = frame.keys(second)
    for one in range(len(rows)):
        for other in range(len(rows)):
            assert (keys[one] == keys[other]) == (expected[one] == expected[other])
