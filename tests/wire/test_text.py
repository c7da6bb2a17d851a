"""The text decoder on sound input, on nasty input, and against prometheus_client's parser."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from model.labels import NAME, Labels
from wire.render import TextRenderer
from wire.text import MalformedExposition, TextDecoder

Series = dict[Labels, float]


def decoded(body: bytes, decoder: TextDecoder | None = None, content_type: str = "") -> Series:
    decoder = decoder or TextDecoder()
    found = decoder.decode(body, content_type)
    return {decoder.labels[local]: value for local, value in zip(found.ids, found.values, strict=True)}


def one(line: bytes) -> tuple[Labels, float]:
    """The only sample of a line, decoded three times: unknown, known, and with the known line in between."""
    decoder = TextDecoder()
    results = [decoded(body, decoder) for body in (line, line + b"\n", b"# a comment\n" + line + b"\n")]
    assert [list(map(repr, r.items())) for r in results[1:]] == [list(map(repr, results[0].items()))] * 2
    ((labels, value),) = results[0].items()
    return labels, value


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def as_bits(series: Series) -> dict[Labels, bytes]:
    return {labels: bits(value) for labels, value in series.items()}


def reason(body: bytes, content_type: str = "") -> MalformedExposition:
    decoder = TextDecoder()
    with pytest.raises(MalformedExposition) as caught:
        decoder.decode(body, content_type)
    return caught.value


# Sound input.


@pytest.mark.parametrize(
    ("line", "labels", "value"),
    [
        (b"up 1", {NAME: "up"}, 1.0),
        (b"up{} 1", {NAME: "up"}, 1.0),
        (b'x{a="b"} 0.5', {NAME: "x", "a": "b"}, 0.5),
        (b'x{a="b",} 0.5', {NAME: "x", "a": "b"}, 0.5),
        (b'x{a=""} 1', {NAME: "x"}, 1.0),
        (b'x {a="b"}\t1', {NAME: "x", "a": "b"}, 1.0),
        (b' \tx{ a = "b" , c="d" }  1 ', {NAME: "x", "a": "b", "c": "d"}, 1.0),
        (b'x{a="b"}1', {NAME: "x", "a": "b"}, 1.0),
        (b'x{a="}"} 1', {NAME: "x", "a": "}"}, 1.0),
        (b'x{a="{b=\\"c\\"} 5"} 1', {NAME: "x", "a": '{b="c"} 5'}, 1.0),
        (b'x{a="1 2, b=3 # {} "} 1', {NAME: "x", "a": "1 2, b=3 # {} "}, 1.0),
        (b'x{a="\\\\ \\" \\n \\t"} 1', {NAME: "x", "a": '\\ " \n \\t'}, 1.0),
        (b'x{a="\\\\"} 1', {NAME: "x", "a": "\\"}, 1.0),
        ('x{a="größe 日本"} 1'.encode(), {NAME: "x", "a": "größe 日本"}, 1.0),
        (b'{"a.b"} 1', {NAME: "a.b"}, 1.0),
        (b'{"a.b",c="d","e.f"="g"} 1', {NAME: "a.b", "c": "d", "e.f": "g"}, 1.0),
        (b'x{"e.f"="g"} 1', {NAME: "x", "e.f": "g"}, 1.0),
        (b'x{a="b"} 1e3', {NAME: "x", "a": "b"}, 1000.0),
        (b"x 1e-400", {NAME: "x"}, 0.0),
        (b"x .5", {NAME: "x"}, 0.5),
        (b"x 5.", {NAME: "x"}, 5.0),
        (b"x +5", {NAME: "x"}, 5.0),
        (b"x -0", {NAME: "x"}, -0.0),
        (b"x 0.1234567890123456789", {NAME: "x"}, 0.1234567890123456789),
        (b"x +Inf", {NAME: "x"}, math.inf),
        (b"x -Inf", {NAME: "x"}, -math.inf),
        (b"x Inf", {NAME: "x"}, math.inf),
        (b"x -infinity", {NAME: "x"}, -math.inf),
        (b"x NaN", {NAME: "x"}, math.nan),
        (b"x nan", {NAME: "x"}, math.nan),
    ],
)
def test_a_line_means(line: bytes, labels: dict[str, str], value: float) -> None:
    found, number = one(line)
    assert found == Labels(labels)
    assert bits(number) == bits(value)


@pytest.mark.parametrize(
    "number",
    [
        "1_000",
        "0x1p3",
        "0x10",
        "1e400",
        "-1e400",
        "+NaN",
        "-nan",
        "1e",
        "e5",
        ".",
        "--1",
        "1,5",
        "infinite",
        "1\x0c",
        "١",
    ],
)
def test_a_number_that_prometheus_does_not_read_is_malformed(number: str) -> None:
    decoder = TextDecoder()
    decoder.decode(b"x 1\ny 2\n")
    for name in ("x", "new"):  # the known path and the careful one
        with pytest.raises(MalformedExposition, match="line 2"):
            decoder.decode(f"y 2\n{name} {number}\n".encode())


def test_line_ends_of_windows_and_a_missing_last_newline() -> None:
    decoder = TextDecoder()
    for _ in range(2):
        assert decoded(b'# HELP x y\r\nx{a="b"} 1\r\ny 2', decoder) == {
            Labels({NAME: "x", "a": "b"}): 1.0,
            Labels({NAME: "y"}): 2.0,
        }


def test_nothing_is_nothing() -> None:
    assert decoded(b"") == decoded(b"\n\n") == decoded(b"# only a comment") == {}


def test_lines_in_another_order_are_the_same_series() -> None:
    decoder = TextDecoder()
    first = decoded(b"a 1\nb 2\nc 3\n", decoder)
    assert decoded(b"c 3\na 1\nb 2\n", decoder) == first
    assert decoded(b"b 2\nnew 4\nc 3\n", decoder) == {
        Labels({NAME: name}): value for name, value in (("b", 2.0), ("new", 4.0), ("c", 3.0))
    }
    assert len(decoder.labels) == 4


def test_labels_in_another_order_are_the_same_series() -> None:
    decoder = TextDecoder()
    found = decoder.decode(b'x{a="1",b="2"} 1\nx{b="2",a="1"} 2\n')
    assert (found.values, found.refused) == ([1.0], {"duplicate": 1})


def test_of_a_series_that_comes_twice_the_first_counts() -> None:
    decoder = TextDecoder()
    for _ in range(2):
        found = decoder.decode(b"x 1\ny 5\nx 2\n")
        assert (found.values, found.refused) == ([1.0, 5.0], {"duplicate": 1})


def test_timestamps() -> None:
    decoder = TextDecoder()
    for _ in range(2):
        found = decoder.decode(b'x{a="b c"} 1 1700000000000\ny 2\nz\t3\t5\n')
        assert found.values == [1.0, 2.0, 3.0]
        assert found.timestamps == [1_700_000_000_000, 0, 5]
    # The same series with another time is another sample, and a plain line does not get a stale time.
    assert decoder.decode(b'x{a="b c"} 1\n').timestamps is None
    assert decoder.decode(b"y 1 10\ny 1 20\ny 2 20\n").refused == {"duplicate": 1}


@pytest.mark.parametrize("line", [b"x 1 1.5", b"x 1 -5", b"x 1 abc", b"x 1 5 6", b"x 1 " + b"9" * 17])
def test_a_timestamp_is_milliseconds_in_digits(line: bytes) -> None:
    assert reason(b"x 1\n" + line).line_number == 2


def test_openmetrics() -> None:
    body = (
        b"# HELP foo help\n# TYPE foo counter\n# UNIT foo seconds\n"
        b'foo_total{a="b"} 17.0 1520879607.789 # {trace_id="a } # b"} 0.67 1520879607.5\n'
        b'foo_created{a="b"} 1520430000.123\n# TYPE h histogram\n'
        b'h_bucket{le="1.0"} 3 # {} 0.5\nh_bucket{le="+Inf"} 3\nh_count 3\nh_sum 2\n# EOF\n'
    )
    kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    decoder = TextDecoder()
    for _ in range(2):
        found = decoder.decode(body, kind)
        assert [decoder.labels[local].name for local in found.ids] == [
            "foo_total", "foo_created", "h_bucket", "h_bucket", "h_count", "h_sum",
        ]  # fmt: skip
        assert found.values == [17.0, 1520430000.123, 3.0, 3.0, 3.0, 2.0]
        assert found.timestamps == [1_520_879_607_789, 0, 0, 0, 0, 0]
    assert decoder.types["foo_total"] == "counter"
    assert decoder.types["foo_created"] == "gauge"
    assert decoder.types["h_bucket"] == decoder.types["h_sum"] == decoder.types["h_count"] == "histogram"


def test_openmetrics_without_its_end_is_cut_off() -> None:
    assert "EOF" in reason(b"x 1\n", "application/openmetrics-text").why
    assert "EOF" in reason(b"x 1\n# EOF\nx 2\n", "application/openmetrics-text").why
    assert decoded(b"x 1\n# EOF", content_type="application/openmetrics-text")


@pytest.mark.parametrize("exemplar", [b"# 5", b'# {a="b"', b'# {a="b"}', b'# {a="b"} x', b'# {a="b"} 1 2 3'])
def test_a_broken_exemplar_is_malformed(exemplar: bytes) -> None:
    assert reason(b"x 1 " + exemplar).line_number == 1


def test_types_of_the_text_format() -> None:
    decoder = TextDecoder()
    decoder.decode(
        b"# TYPE c counter\nc 1\n# TYPE h histogram\nh_count 1\n# TYPE s summary\ns_sum 1\n"
        b"# TYPE u untyped\nu 1\n#TYPE no counter\n# TYPE s_count gauge\n# TYPE h_created gauge\n"
    )
    assert decoder.types["c"] == "counter"
    assert decoder.types["h_count"] == "histogram"
    assert decoder.types["s_sum"] == decoder.types["s"] == "summary"
    assert decoder.types["s_count"] == "gauge", (
        "what a family says itself wins over what follows from another"
    )
    assert decoder.types["u"] == "unknown"
    assert "no" not in decoder.types


# Damage.


@pytest.mark.parametrize(
    "line",
    [
        b"x",
        b"x ",
        b"x{",
        b"x{a",
        b"x{a=",
        b'x{a="b',
        b'x{a="b"',
        b'x{a="b"}',
        b'x{a="b"} ',
        b'x{a="b" c="d"} 1',
        b'x{a="b",,c="d"} 1',
        b'x{,a="b"} 1',
        b"x{a=b} 1",
        b'x{"a.b"} 1',
        b'{a="b"} 1',
        b"{} 1",
        b'{""} 1',
        b'{a="b","c.d"} 1',
        b'x{="b"} 1',
        b'1x{a="b"} 1',
        b"x-y 1",
        b'x{a-b="c"} 1',
        b'x{a="b"}} 1',
        b"<html> 1",
        b'x{a="\xff\xfe"} 1',
        b"# TYPE x",
        b"# TYPE",
        b"# TYPE x coun",
        b"# TYPE 5x counter",
    ],
)
def test_malformed_lines_are_named(line: bytes) -> None:
    error = reason(b"good 1\n" + line)
    assert error.line_number == 2
    assert len(str(error)) < 250


def test_a_cut_off_body_is_malformed_unless_cut_within_the_last_number() -> None:
    whole = b'# HELP x some help\n# TYPE x gauge\nx{a="b c",d="e"} 125\n'
    line = whole.index(b"x{")
    value = whole.index(b"125")
    for cut in range(line + 1, value + 1):
        reason(whole[:cut])
    # Undetectable without Content-Length: a shorter number is a number too.
    assert list(decoded(whole[: value + 1]).values()) == [1.0]


def test_malformed_bodies_leave_the_decoder_fit() -> None:
    decoder = TextDecoder()
    first = decoded(b"x 1\ny 2\n", decoder)
    with pytest.raises(MalformedExposition):
        decoder.decode(b"z 1\nx 1\ny{ 2\n")
    assert decoded(b"x 1\ny 2\n", decoder) == first


# Against the reference parser, and with itself.

CAPTURES = [
    "captures/dcgm-exporter-real-L4-idle.prom",
    "captures/node_exporter-1.5-debian12.prom",
    "captures/node_exporter-openmetrics.txt",
    "vllm/idle.prom",
]


def reference(body: str, parse: object = parse_text) -> Series:
    assert callable(parse)

    def name_of(sample: Any) -> str:
        """As the body spells it: the parser gives a counter of the text format OpenMetrics' suffix."""
        name = str(sample.name)
        return name if f"\n{name}" in f"\n{body}" else name.removesuffix("_total")

    return {
        Labels({**sample.labels, NAME: name_of(sample)}): float(sample.value)
        for family in parse(body)
        for sample in family.samples
    }


@pytest.mark.parametrize("name", CAPTURES)
def test_real_captures_decode_as_the_reference_parser_says(shared_data: Path, name: str) -> None:
    body = (shared_data / name).read_bytes()
    expected = as_bits(reference(body.decode()))
    decoder = TextDecoder()
    for _ in range(2):
        assert as_bits(decoded(body, decoder)) == expected


names = st.from_regex(r"[a-z_:][a-z0-9_:]{0,8}", fullmatch=True)
label_names = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('\\"\n{},= #'), max_size=12)
label_sets = st.builds(
    lambda name, labels: Labels({**labels, NAME: name}),
    names,
    st.dictionaries(label_names, texts, max_size=4),
)
any_label_sets = st.builds(
    lambda name, labels: Labels({**labels, NAME: name}),
    texts.filter(bool),
    st.dictionaries(texts.filter(lambda text: text not in ("", NAME)), texts, max_size=4),
)
samples = st.dictionaries(any_label_sets, st.floats(), max_size=8)


@given(samples)
@settings(max_examples=150)
def test_what_is_rendered_reads_back(series: Series) -> None:
    body = TextRenderer().render(series.items())
    decoder = TextDecoder()
    expected = {labels: repr(value) for labels, value in series.items()}
    for _ in range(2):
        found = {labels: repr(value) for labels, value in decoded(body, decoder).items()}
        assert found == expected


@given(st.dictionaries(label_sets, st.floats(), max_size=8), st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_shuffled_lines_decode_to_the_same(series: Series, random: Random) -> None:
    body = TextRenderer().render(series.items())
    lines = body.split(b"\n")[:-1]
    random.shuffle(lines)
    shuffled = b"\n".join([*lines, b""])
    decoder = TextDecoder()
    straight = decoded(body, decoder)
    assert as_bits(decoded(shuffled, decoder)) == as_bits(straight)
    assert as_bits(decoded(shuffled)) == as_bits(straight)


plain_texts = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=8
)
plain_sets = st.builds(
    lambda name, labels: Labels({**labels, NAME: name}),
    names.map(lambda name: "m_" + name.replace(":", "_") + "_x"),
    st.dictionaries(label_names, plain_texts, max_size=4),
)


@given(st.dictionaries(plain_sets, st.floats(), min_size=1, max_size=8))
@settings(max_examples=100)
def test_valid_text_reads_as_in_the_reference_parser(series: Series) -> None:
    body = TextRenderer().render(series.items())
    ours = {labels: repr(value) for labels, value in decoded(body).items()}
    assert ours == {labels: repr(value) for labels, value in reference(body.decode()).items()}


@given(st.dictionaries(plain_sets, st.floats(), min_size=1, max_size=4))
@settings(max_examples=100)
def test_valid_openmetrics_reads_as_in_the_reference_parser(series: Series) -> None:
    by_name = sorted(series.items(), key=lambda pair: pair[0].name)
    body = TextRenderer().render(by_name) + b"# EOF\n"
    ours = {
        labels: repr(value) for labels, value in decoded(body, None, "application/openmetrics-text").items()
    }
    assert ours == {
        labels: repr(value) for labels, value in reference(body.decode(), parse_openmetrics).items()
    }


@given(st.binary(max_size=80) | st.text('x{}=",\\ #1.e+-\n\t', max_size=60).map(str.encode))
@settings(max_examples=300)
def test_whatever_comes_is_decoded_or_refused(body: bytes) -> None:
    decoder = TextDecoder()
    for content_type in ("", "application/openmetrics-text"):
        try:
            found = decoder.decode(body, content_type)
        except MalformedExposition as error:
            assert error.line_number > 0  # noqa: PT017 - both ways are fine
        else:
            assert len(found.ids) == len(found.values)
            again = decoder.decode(body, content_type)
            assert (again.ids, list(map(repr, again.values))) == (found.ids, list(map(repr, found.values)))
