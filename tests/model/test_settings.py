"""The types that every section of the configuration shares."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.settings import format_size, parse_listen, parse_size


@given(st.integers(0, 1 << 50) | st.integers(0, 1 << 20).map(lambda count: count << 20))
def test_a_size_reads_back_as_it_was_written(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize("value", [True, -1, "lots", "10 XB", "", None])
def test_sizes_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(value)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("127.0.0.1:9482", ("127.0.0.1", 9482)),
        (":9482", ("", 9482)),
        ("[::1]:0", ("::1", 0)),
        ("host.example:80", ("host.example", 80)),
    ],
)
def test_listen(text: str, parsed: tuple[str, int]) -> None:
    assert parse_listen(text) == parsed


@pytest.mark.parametrize("text", ["host", "host:", "host:x", "::1:80", "host:70000"])
def test_listen_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an address"):
        parse_listen(text)
