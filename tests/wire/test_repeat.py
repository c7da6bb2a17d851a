"""A decoder that reads only what changed says the same as one that reads every line."""

from __future__ import annotations

import struct
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from wire.text import Exposition, MalformedExposition, TextDecoder, TextLimits

LINES = (
    b"# TYPE a counter",
    b"# TYPE b gauge",
    b"a 1",
    b"a 2",
    b'b{x="1"} 3',
    b'b{x="1"} +Inf',
    b'b{x="1"} NaN',
    b'b{x="2"} 1e3',
    b'b{x="2"} 1_0',
    b'b{x="2"} 0x10',
    b"a  4",
    b"a 5 ",
    b"a 6 1234",
    b'DCGM_FI_DEV_GPU_TEMP{gpu="0"} 2147483632',
    b'DCGM_FI_DEV_GPU_TEMP{gpu="0"} 40',
    b"a",
    b"",
    b"# EOF",
)


def _said(decoder: TextDecoder, body: bytes, content_type: str) -> object:
    try:
        found = decoder.decode(body, content_type)
    except MalformedExposition as error:
        return str(error)
    return _spelled(found, decoder), found.refused


def _spelled(found: Exposition, decoder: TextDecoder) -> list[tuple[str, bytes]]:
    return [
        (str(decoder.labels[local]), struct.pack("<d", value))
        for local, value in zip(found.ids, found.values, strict=True)
    ]


@given(
    st.lists(st.tuples(st.lists(st.sampled_from(LINES), max_size=6), st.booleans()), min_size=2, max_size=40)
)
@settings(max_examples=150, deadline=None)
def test_bodies_in_a_row_decode_as_without_the_memory(bodies: list[tuple[list[bytes], bool]]) -> None:
    plain, repeats = TextDecoder(), TextDecoder(repeats=True)
    for lines, openmetrics in bodies:
        content_type = "application/openmetrics-text" if openmetrics else ""
        body = b"\n".join(lines)
        for _ in range(2):
            assert _said(repeats, body, content_type) == _said(plain, body, content_type)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats()), min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
def test_new_numbers_of_the_same_series(changes: list[tuple[str, float]]) -> None:
    plain, repeats = TextDecoder(), TextDecoder(repeats=True)
    page = dict.fromkeys("abc", 0.0)
    for name, value in changes:
        page[name] = value
        body = "".join(f"# TYPE {name} gauge\n{name} {value!r}\n" for name, value in page.items()).encode()
        assert _said(repeats, body, "") == _said(plain, body, "")


def test_a_value_handed_out_stays_as_it_was() -> None:
    decoder = TextDecoder(repeats=True)
    decoder.decode(b"a 1\nb 1\n")
    before = decoder.decode(b"a 2\nb 1\n")
    decoder.decode(b"a 3\nb 1\n")
    assert before.values == [2.0, 1.0]


def test_series_that_are_given_new_ids_are_still_themselves() -> None:
    decoder = TextDecoder(TextLimits(keep_scrapes=2), repeats=True)
    junk = b"".join(b"junk%d 1\n" % number for number in range(300))
    for step in range(12):
        body = b"# TYPE a counter\na %d\nb 1\n" % step
        found = decoder.decode((junk if step < 2 else b"") + body)
        last = [str(decoder.labels[local]) for local in found.ids[-2:]]
        assert (last, found.values[-2:]) == (["a", "b"], [step, 1.0])
        assert decoder.types["a"] == "counter"
    assert len(decoder.labels) == 2


def test_real_captures_in_a_row(shared_data: Path) -> None:
    plain, repeats = TextDecoder(), TextDecoder(repeats=True)
    taken = 0
    for file in sorted((shared_data / "vllm").glob("series-*/*.prom")):
        assert _said(repeats, file.read_bytes(), "") == _said(plain, file.read_bytes(), "")
        taken += repeats._repeat is not None
    assert taken > 10
