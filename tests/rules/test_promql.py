"""What is Fleetowl's own in PromQL: $scrapes, intervals of rows, refusals by name, remembered label work."""

from __future__ import annotations

import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.labels import Labels
from model.moment import MINUTE, SECOND
from rules.promql.answer import Matrix, Scalar, Vector
from rules.promql.context import Notes, Options
from rules.promql.errors import EvaluationError, PromQLError
from rules.promql.expression import parse
from rules.promql.frame import Projection, frame_of
from rules.promql.scrapes import Span, parse_span, with_interval
from telemetry.window import Window
from tests.rules.cluster import START, Cluster
from tests.rules.expressions import Maker


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
        ("limitk(1, x)", "limitk"),
        ("info(x)", "info"),
        ("histogram_count(x)", "histogram_count"),
        ("x @ 99999999999", "@"),
        ("max_over_time(x[$scrapes(2):1m])", "$scrapes"),
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


def numbers() -> tuple[Cluster, int]:
    """`g` is 0, 1, 2, ... each second; `h_bucket` a classic histogram."""
    it = Cluster()
    for second in range(121):
        buckets = {f'h_bucket{{le="{le}"}}': second * n for le, n in (("1", 1.0), ("2", 3.0), ("+Inf", 4.0))}
        it.write(START + second * SECOND, {"g": float(second), **buckets})
    return it, START + 120 * SECOND


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f"g @ {START // SECOND + 7}", 7),
        (f"g @ {START // SECOND + 7} offset 3s", 4),
        ("g @ end() offset 20s", 100),
        ("sum_over_time(g[10s:5s])", 120 + 115),
        ("max_over_time((g % 10)[1m:1s])", 9),
        ("sum_over_time(g[10s:5s] offset 1s)", 115 + 110),
        ("last_over_time(g[1m] @ start())", 120),
        ("g + 1_000", 1120),
        ("g + 0x_ff", 375),
        ("g * 0 + 1h30m", 5400),
        ("mad_over_time(g[5s])", 1),
        ("double_exponential_smoothing(g[10s], 0.5, 0.1)", 120),
        ("ts_of_min_over_time(g[10s])", START // SECOND + 111),
        ("histogram_quantile(0.25, rate(h[1m]))", 1),
        ("histogram_quantile(0.25, sum(rate(h[1m])))", 1),
        ("histogram_fraction(0, 2, rate(h_bucket[1m]))", 0.75),
        ("histogram_fraction(0.5, 1.5, h)", 0.375),
        ("min_of(3, 2) * g / g", 2),
    ],
)
def test_values(text: str, value: float) -> None:
    it, now = numbers()
    found = parse(text).evaluate(it.window, now)
    assert isinstance(found, Vector)
    assert found.values.tolist() == pytest.approx([value])


def test_times_before_the_epoch_can_be_asked_for() -> None:
    it = Cluster()
    assert vector(it, "g @ -10", START) == vector(it, "sum_over_time(g[1m] @ -1_0.5)", START) == {}


def test_a_range_vector_is_an_answer() -> None:
    it, now = numbers()
    found = parse("g[3s]").evaluate(it.window, now)
    assert isinstance(found, Matrix)
    assert found.labels == [Labels({"__name__": "g"})]
    assert found.values[0].tolist() == [118, 119, 120]
    assert found.times[0].tolist() == [now - 2000, now - 1000, now]


def test_a_range_query_is_the_instant_query_at_each_step() -> None:
    it, now = numbers()
    start = now - 30 * SECOND
    for text in ("rate(g[10s])", "max_over_time(rate(g[10s])[20s:2s])", "g > 50", "time()", "g @ end()"):
        matrix = parse(text).evaluate_range(it.window, start, now, 7 * SECOND)
        [(_, times, values)] = matrix.series()
        assert times.tolist() == list(range(start, now + 1, 7 * SECOND)), text
        if "@" not in text:
            each = [parse(text).evaluate(it.window, at) for at in times.tolist()]
            assert values.tolist() == [
                float(one.values[0]) if isinstance(one, Vector) else one.value  # type: ignore[union-attr]
                for one in each
            ]
    assert set(parse("g @ end()").evaluate_range(it.window, start, now, SECOND).values[0]) == {120}


def test_a_string_has_no_range() -> None:
    for text in ('"x"', "g[1m]"):
        with pytest.raises(EvaluationError):
            parse(text).evaluate_range(Window(), 0, 1, 1)


@pytest.mark.parametrize(
    ("text", "warnings", "infos"),
    [
        ("rate(g[1m])", 0, 1),
        ("rate(h_bucket[1m])", 0, 0),
        ("rate(nothing[1m])", 0, 0),
        ("quantile(1.5, g)", 1, 0),
        ("quantile_over_time(-1, g[1m])", 1, 0),
        ("histogram_quantile(0.5, g)", 1, 0),
        ("histogram_quantile(0.5, -1 * rate(h_bucket[1m]))", 0, 1),
        ("sort(g)", 0, 0),
    ],
)
def test_what_is_dubious_is_said(text: str, warnings: int, infos: int) -> None:
    it, now = numbers()
    notes = Notes()
    parse(text).evaluate(it.window, now, notes=notes)
    assert (len(notes.warnings), len(notes.infos)) == (warnings, infos), notes


def test_a_vllm_name_finds_other_engines() -> None:
    it = Cluster()
    it.write(
        START,
        {
            'vllm:kv_cache_usage_perc{pod="a"}': 0.1,
            'vllm:gpu_cache_usage_perc{pod="a"}': 0.2,
            'vllm:gpu_cache_usage_perc{pod="b"}': 0.3,
            'sglang:token_usage{pod="c"}': 0.4,
            'nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",pod="d"}': 0.5,
            'nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="used",pod="d"}': 99,
        },
    )
    assert vector(it, "max by (pod) (vllm:kv_cache_usage_perc)", START) == {
        '{pod="a"}': 0.1,
        '{pod="b"}': 0.3,
        '{pod="c"}': 0.4,
        '{pod="d"}': 0.5,
    }
    high = vector(it, 'vllm:kv_cache_usage_perc{pod=~"b|c"} > 0.35', START)
    assert high == {'sglang:token_usage{pod="c"}': 0.4}


def test_a_selector_has_a_limit() -> None:
    it, now = fleet()
    parse("c").evaluate(it.window, now, Options(max_series=2))
    with pytest.raises(EvaluationError, match=r'__name__="c".*touches 2 series, more than the 1'):
        parse("sum(rate(c[1m]))").evaluate(it.window, now, Options(max_series=1))


def test_the_order_that_was_asked_for_is_kept() -> None:
    it = Cluster()
    it.write(START, {'x{n="1"}': 3.0, 'x{n="2"}': math.nan, 'x{n="3"}': 9.0, 'x{n="10"}': 1.0})
    for text, order in (
        ("sort(x)", ["10", "1", "3", "2"]),
        ("sort_desc(x)", ["3", "1", "10", "2"]),
        ("topk(2, x)", ["3", "1"]),
        ('sort_by_label(x, "n")', ["1", "2", "3", "10"]),
    ):
        found = parse(text).evaluate(it.window, START)
        assert isinstance(found, Vector)
        assert [labels["n"] for labels in found.labels] == order, text


def test_scrapes_in_a_string_is_text() -> None:
    assert parse('x{a="[$scrapes(2)]"}').selectors[0][1].value == "[$scrapes(2)]"


def test_an_expression_knows_how_far_back_it_reads() -> None:
    expression = parse("rate(x[5m] offset 1m) > max_over_time(y[$scrapes(4)])")
    assert expression.longest_range(15 * SECOND) == 6 * MINUTE
    assert expression.longest_range(2 * MINUTE) == 8 * MINUTE
    assert with_interval("rate(y[$scrapes(4)])", 15 * SECOND) == "rate(y[1m])"
    assert parse("max_over_time(rate(x[5m])[1h:1m] offset 1m)").longest_range(SECOND) == 66 * MINUTE
    assert parse("x @ 5").longest_range(SECOND) == 0
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


def test_what_is_said_to_have_no_rows_has_none() -> None:
    """Random expressions on an empty window, at moments of all hours."""
    window, moments = Window(), range(0, 10**9, 10**8 + 4321)
    maker, silent = Maker(5, [100]), 0
    for text in [maker.expression() for _ in range(400)]:
        expression = parse(text)
        if not expression.without_series(window):
            continue
        silent += 1
        for at in moments:
            with suppress(EvaluationError):
                answer = expression.evaluate(window, at)
                assert isinstance(answer, Vector), text
                assert not answer.labels, text
    assert silent > 200


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


def test_subqueries_have_a_limit_of_steps_together() -> None:
    it, now = numbers()
    text = "max_over_time(max_over_time(g[1m:1s])[1m:1s])"
    parse(text).evaluate(it.window, now, Options(max_steps=3660))
    with pytest.raises(EvaluationError, match="more than 100 moments"):
        parse(text).evaluate(it.window, now, Options(max_steps=100))


@pytest.mark.parametrize("text", ["topk(Inf, g)", "topk(1e19, g)", "bottomk(NaN, g)", "count_values('', g)"])
def test_what_is_no_parameter_is_refused(text: str) -> None:
    it, now = numbers()
    with pytest.raises((EvaluationError, PromQLError)):
        parse(text).evaluate(it.window, now)


def test_whole_parameters_are_cut_and_others_are_not() -> None:
    it, now = fleet()
    assert len(vector(it, "topk(1.5, c)", now)) == 1
    assert vector(it, "topk(0.5, c)", now) == {}
    assert all(math.isnan(value) for value in vector(it, "round(c, 0)", now).values())
    with pytest.raises(PromQLError, match="1000y is out of range"):
        parse("rate(c[1000y])")


def test_names_that_told_rows_apart_and_go_are_missed() -> None:
    it = Cluster()
    it.write(START, {'a{x="1"}': 1.0, 'b{x="1"}': 2.0})
    both = '{__name__=~"a|b"}'
    with pytest.raises(EvaluationError, match="same labelset"):
        parse(f"{both} + on (__name__) {both}").evaluate(it.window, START)


def test_a_mixed_result_keeps_its_frame() -> None:
    it, now = fleet()
    matrix = parse("(-c) or up").evaluate_range(it.window, now - 10 * SECOND, now, SECOND)
    assert len(matrix.labels) == 2
    assert all(len(times) == 11 for times in matrix.times)
