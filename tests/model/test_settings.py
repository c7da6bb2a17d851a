"""The types that every section of the configuration shares."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from model.settings import (
    ConfigurationError,
    Duration,
    Settings,
    format_size,
    load_section,
    parse_listen,
    parse_size,
)


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


class Inner(Settings):
    """A section within a section."""

    on: bool = False


class InnerSettings(Settings):
    """One that may be left to a word."""


class Outer(Settings):
    """One field of each kind."""

    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()
    one: Annotated[tuple[int, ...], Field(max_length=1)] = ()
    name: str = Field("x", min_length=1)
    count: int = 0
    level: int = Field(0, ge=0)
    wait: Duration = Field(1000, ge=1000, lt=5_400_000)

    renamed: ClassVar = {"mode": "inner"}
    either: InnerSettings | Literal["none"] = "none"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"inner": "SEKRET"}, "inner: must be a mapping, got a text"),
        ({"many": {"on": True}}, "many: must be a list, got a mapping"),
        ({"many": [None]}, "many.0: must be a mapping, got nothing"),
        ({"many": [{"on": "x"}]}, "many.0.on: must be true or false, got 'x'"),
        ({"one": [1, 2]}, "one: must have at most 1 item, got 2"),
        ({"one": [[1] * 999]}, "one.0: must be a whole number, got a list"),
        ({"name": 5}, "name: must be a text, got a number"),
        ({"name": ""}, "name: must not be empty"),
        ({"count": "9" * 2000 + "x"}, f"count: must be a whole number, got '{'9' * 80}'..."),
        ({"level": -1}, "level: must be greater than or equal to 0, got -1"),
        ({"wait": "500ms"}, "wait: must be greater than or equal to 1s, got 500ms"),
        ({"wait": "2h"}, "wait: must be less than 1h30m, got 2h"),
        ({"wait": 0}, "wait: must be greater than or equal to 1s, got 0s"),
        ({"mode": {}}, "mode: unknown key (it is now inner)"),
        ({"either": "nine"}, "either: must be a mapping or 'none', got a text"),
    ],
)
def test_what_is_wrong_is_said_without_words_of_the_library(data: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_section(Outer, data, "a.yml")
    assert str(caught.value) == f"a.yml: {said}"
