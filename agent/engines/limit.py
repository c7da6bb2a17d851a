"""The cap on an engine's series: what serving is judged by first, then what comes first on the page.

Prometheus fails a scrape beyond its sample_limit. Here an engine that begins to show too much would be blind
just when something is wrong with it, so the rest is left out and counted instead. It is cut from the page
before it is decoded: nothing is remembered of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from agent.engines.digest import LORA_INFO, PROCESS_START
from wire import aliases

_SAMPLE = re.compile(rb"^[ \t]*+(?:([a-zA-Z_:][a-zA-Z0-9_:]*)|[^#\s])[^\n]*", re.MULTILINE)
_TYPE = re.compile(rb"^#[ \t]*TYPE[ \t]+(\S+)[^\n]*", re.MULTILINE)
_SUFFIXES = (b"_bucket", b"_sum", b"_count", b"_total")
_END = b"# EOF"
_SPARE_LINES = 1000
_STRETCH = 128 * 1024
"""Bytes searched at once: other threads stand still meanwhile, and comments may go on for megabytes."""


class Cut(NamedTuple):
    """A page within the limit, and how many samples it lost."""

    body: bytes
    refused: int = 0


def cut(body: bytes, limit: int) -> Cut:
    """The page with at most `limit` samples: the same ones each time that it shows the same series."""
    lines = body.count(b"\n")
    if lines < limit:
        return Cut(body)  # not even as many lines
    first: list[tuple[int, int]] = []
    rest: list[tuple[int, int]] = []
    count = 0
    serving = _serving()
    for found in _all(_SAMPLE, body):
        count += 1
        kept = first if found[1] in serving else rest
        if len(kept) < limit:
            kept.append(found.span())
    if count <= limit and lines <= 3 * limit + _SPARE_LINES:
        return Cut(body)  # else it is mostly comments: those that matter are kept
    chosen = sorted([*first, *rest[: limit - len(first)]])
    samples = [body[start:end] for start, end in chosen]
    end = [_END] if body.rstrip().endswith(_END) else []
    return Cut(b"\n".join([*_types(body, samples), *samples, *end, b""]), count - len(samples))


def _all(pattern: re.Pattern[bytes], body: bytes) -> Iterator[re.Match[bytes]]:
    """Every match, each within a line."""
    start = 0
    while start < len(body):
        end = body.find(b"\n", start + _STRETCH)
        end = end if end >= 0 else len(body)
        yield from pattern.finditer(body, start, end)
        start = end


@cache
def _serving() -> frozenset[bytes]:
    """The families that rules are written with, under every name that an engine gives them."""
    names = {PROCESS_START, LORA_INFO, *aliases.exposed()}
    for of_family in aliases.exposed().values():
        names |= {alias.name for alias in of_family}
    return frozenset(name.encode() for name in names)


def _types(body: bytes, samples: Iterable[bytes]) -> list[bytes]:
    families = set()
    for line in samples:
        found = _SAMPLE.match(line)
        if found is not None and found[1]:
            families.add(found[1])
            families |= {found[1].removesuffix(suffix) for suffix in _SUFFIXES}
    return [*{found[1]: found[0] for found in _all(_TYPE, body) if found[1] in families}.values()]
