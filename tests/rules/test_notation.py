"""The series notation; what is refused is what the real promtool refuses, too."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from model.labels import Labels
from rules.unittest.notation import NotationError, parse_metric, parse_series, parse_values
from telemetry.bits import STALE_NAN
from tests.rules.promtool import promtool

GOOD = {
    "1": [1],
    "0x4": [0] * 5,
    "1e-3x2": [0.001] * 3,
    "inf": [math.inf],
    "+Inf -INF": [math.inf, -math.inf],
    "010 08": [8, 8],
    "1-2x3": [1, -1, -3, -5],
    "-1+.5x2": [-1, -0.5, 0],
    "1 -2x1": [1, -2, -2],
    "_x2 5. _": [None, None, 5, None],
    "  1 \t 2 ": [1, 2],
    "+1+1x2": [1, 2, 3],
    "": [],
}
BAD = [
    *["NaNx3", "Infx3", "1 - 2", "1+-2x3", "stalex2", "1x", "x3", "1x2.5", "1x2,3", "1e400", "1+1x2_", "_1"],
    *["1,2", "1x2x3", "1+Infx2", "1+1x-2", "_ x2", "1 x2", "Stale", "0xff"],
]
GOOD_METRICS = {
    "x": {"__name__": "x"},
    "x{}": {"__name__": "x"},
    'x{a="b",}': {"__name__": "x", "a": "b"},
    "x{a='b', sum=`c`}": {"__name__": "x", "a": "b", "sum": "c"},
    '{__name__="x"}': {"__name__": "x"},
    'x{a="b\\"\\n\\u00e9"}': {"__name__": "x", "a": 'b"\né'},
    'x{a=""}': {"__name__": "x"},
    "a:b": {"__name__": "a:b"},
    "sum": {"__name__": "sum"},
}
BAD_METRICS = [
    'x {a="b"}',
    "x{,}",
    'x{a="b" c="d"}',
    'x{a=~"b"}',
    'x{a="b",a="c"}',
    "x{",
    'x{a="\\q"}',
    "x{a}",
]


@pytest.mark.parametrize("text", GOOD)
def test_values(text: str) -> None:
    assert parse_values(text) == GOOD[text]


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_value(text: str) -> None:
    with pytest.raises(NotationError):
        parse_values(text)


@pytest.mark.parametrize("text", GOOD_METRICS)
def test_metrics(text: str) -> None:
    assert parse_metric(text) == Labels(GOOD_METRICS[text])


@pytest.mark.parametrize("text", BAD_METRICS)
def test_what_is_no_metric(text: str) -> None:
    with pytest.raises(NotationError):
        parse_series(f"{text} 1")


def test_names_outside_the_classic_alphabet_stand_in_quotes() -> None:
    labels, values = parse_series('{"http.requests", "größe"="1"} 2')
    assert (labels, values) == (Labels({"__name__": "http.requests", "größe": "1"}), [2])


def test_the_stale_marker_and_nan_are_not_the_same() -> None:
    stale, plain = parse_values("stale NaN")
    assert stale is STALE_NAN
    assert plain is not None
    assert math.isnan(plain)


def test_native_histograms_are_named() -> None:
    with pytest.raises(NotationError, match="native histograms"):
        parse_values("{{schema:0 sum:3}}x3")


def test_a_slip_does_not_fill_the_memory() -> None:
    with pytest.raises(NotationError, match="more than"):
        parse_values("1x99999999999")


NUMBERS = st.floats(allow_nan=False).map(lambda value: (repr(value), value))


@given(st.lists(NUMBERS | st.just(("_", None))))
def test_what_python_writes_is_read_back(pairs: list[tuple[str, float | None]]) -> None:
    text = " ".join(word.replace("inf", "Inf") for word, _ in pairs)
    assert parse_values(text) == [value for _, value in pairs]


@pytest.mark.peer
def test_promtool_refuses_the_same(tmp_path: Path, peer_binary: Callable[[str], str]) -> None:
    texts = [("x", values) for values in (*GOOD, *BAD)] + [(m, "1") for m in (*GOOD_METRICS, *BAD_METRICS)]
    paths = [tmp_path / f"{number}.yml" for number in range(len(texts))]
    for path, (series, values) in zip(paths, texts, strict=True):
        test = {"interval": "1m", "input_series": [{"series": series, "values": values}]}
        path.write_text(yaml.safe_dump({"tests": [test]}))
    status, output = promtool(peer_binary, "test", "rules", *map(str, paths))
    assert status == 1
    told = output.split("Unit Testing:  ")[1:]
    for path, (series, values), said in zip(paths, texts, told, strict=True):
        assert said.startswith(f"{path}\n")
        good = values in GOOD if series == "x" else series in GOOD_METRICS
        assert ("SUCCESS" in said) == good, f"{series} {values}: {output}"
