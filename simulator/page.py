"""Text exposition with everything but the values written once: a page is built seldom and rendered often.

The label order is the caller's, since exporters differ in it; `wire.render` sorts and is for our own metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from model.labels import escape
from simulator.histogram import Histogram
from wire.render import format_value

Pairs = Iterable[tuple[str, str]]
Read = Callable[[], Sequence[float]]
Format = Callable[[float], str]


def python_number(value: float) -> str:
    """As prometheus_client writes it, with Go's exponent from a million on: `3.0`, `1.7672e+09`."""
    text = format_value(value)
    whole, point, fraction = text.partition(".")
    if value <= 0 or not point or len(whole) <= 6:
        return text
    mantissa = f"{whole[0]}.{whole[1:]}{fraction}".rstrip("0").rstrip(".")
    return f"{mantissa}e+{len(whole) - 1:02d}"


def go_number(value: float) -> str:
    """As Go exporters write it: `3`, `0.55`, `1.7672256e+09`."""
    text = f"{value:.17g}" if value != int(value) else str(int(value))
    return text if abs(value) < 1e9 or "e" in text else python_number(value)


def six_digits(value: float) -> str:
    """As dcgm-exporter writes floating point fields: `16.365000`."""
    return f"{value:.6f}"


def series(name: str, pairs: Pairs) -> str:
    """A sample line up to its value."""
    inner = ",".join(f'{key}="{escape(value)}"' for key, value in pairs)
    return f"{name}{{{inner}}} " if inner else f"{name} "


class Page:
    """One /metrics page."""

    def __init__(self, number: Format) -> None:
        self._number = number
        self._blocks: list[tuple[list[str], Read, Format]] = []
        self._pending = ""  # text that stands before the next sample

    def header(self, name: str, kind: str, help_text: str) -> None:
        """Begin a family."""
        self._pending += f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n"

    def samples(self, starts: Sequence[str], read: Read, number: Format | None = None) -> None:
        """Samples of the present family: their line starts, and what gives their values in the same order."""
        if starts:
            first, *rest = starts
            self._blocks.append(([self._pending + first, *rest], read, number or self._number))
            self._pending = ""

    def sample(self, start: str, read: Callable[[], float], number: Format | None = None) -> None:
        """One sample."""
        self.samples([start], lambda: (read(),), number)

    def constant(self, start: str, value: float) -> None:
        """A sample that never changes."""
        self.samples([start], lambda: (value,))

    def histogram(self, name: str, before: Pairs, after: Pairs, histogram: Histogram) -> None:
        """Buckets, count and sum; `before` and `after` are the labels around `le`."""
        before, after = list(before), list(after)
        edges = [*(str(edge) for edge in histogram.edges), "+Inf"]
        starts = [series(f"{name}_bucket", [*before, ("le", edge), *after]) for edge in edges]
        starts += [series(f"{name}_{part}", [*before, *after]) for part in ("count", "sum")]

        def read() -> list[float]:
            buckets = histogram.cumulative()
            return [*buckets, buckets[-1], histogram.sum]

        self.samples(starts, read)

    def render(self) -> bytes:
        """The page with the values of now."""
        lines = [
            start + number(value)
            for starts, read, number in self._blocks
            for start, value in zip(starts, read(), strict=True)
        ]
        text = "\n".join(lines)
        return f"{text}\n".encode() if text else b""
