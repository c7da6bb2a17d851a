"""Text exposition out of samples, with the part before each number kept from call to call.

Rendering 240 gauges through a registry takes milliseconds; they differ from the last time only in their
numbers, so the name and the labels are spelled once. A TextRenderer looks each series up; a PageRenderer is
for thousands of them, in lists that stay the same objects.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter

from model.labels import LABEL_NAME, METRIC_NAME, NAME, Labels, escape
from model.metric import Metric, Sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SPECIAL = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}
_SUFFIXED = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}


def format_value(value: float) -> str:
    """The shortest text that reads back as the same float.

    >>> format_value(0.1), format_value(float("inf"))
    ('0.1', '+Inf')
    """
    text = repr(float(value))
    return _SPECIAL.get(text, text)


def format_values(values: array[float]) -> list[bytes]:
    """The text of each value, as format_value gives it.

    >>> format_values(array("d", [1.0, 0.1])), format_values(array("d", [float("nan")]))
    ([b'1.0', b'0.1'], [b'NaN'])
    """
    if math.isfinite(sum(values)):  # so are all of them: none needs a spelling of its own
        return repr(values.tolist())[1:-1].encode().split(b", ")  # a third cheaper than one by one
    return [format_value(value).encode() for value in values]


def format_series(labels: Mapping[str, str]) -> str:
    """The series as it stands before its value; names outside the classic alphabet go in quotes.

    >>> format_series({"__name__": "up", "job": "a"}), format_series({"__name__": "a.b"})
    ('up{job="a"}', '{"a.b"}')
    """
    name = labels.get(NAME, "")
    plain = METRIC_NAME.fullmatch(name) is not None
    inside = [] if plain else [f'"{escape(name)}"']
    for key, value in labels.items():
        if key != NAME:
            spelled = key if LABEL_NAME.fullmatch(key) else f'"{escape(key)}"'
            inside.append(f'{spelled}="{escape(value)}"')
    front = name if plain else ""
    return f"{front}{{{','.join(inside)}}}" if inside else front


class Families:
    """What is declared of each family: its HELP and TYPE, and to which one a suffixed series belongs."""

    def __init__(self) -> None:
        self.version = 0  # changes with every declaration that says something else
        self._headers: dict[str, str] = {}
        self._family_of: dict[str, str] = {}

    def declare(self, metric: Metric) -> None:
        """Give a family its HELP and TYPE."""
        text = metric.help.replace("\\", "\\\\").replace("\n", "\\n")
        name = metric.name if METRIC_NAME.fullmatch(metric.name) else f'"{escape(metric.name)}"'
        kind = "untyped" if metric.type == "unknown" else metric.type
        header = (f"# HELP {name} {text}\n" if text else "") + f"# TYPE {name} {kind}\n"
        if self._headers.get(metric.name) == header:
            return
        self._headers[metric.name] = header
        self._family_of[metric.name] = metric.name
        for suffix in _SUFFIXED.get(metric.type, ()):
            self._family_of[metric.name + suffix] = metric.name
        self.version += 1

    def header(self, family: str) -> str:
        """The lines before its samples, empty if it is not declared."""
        return self._headers.get(family, "")

    def of(self, name: str) -> str:
        """The family of the series of this name."""
        return self._family_of.get(name, name)


class TextRenderer:
    """Renderer of the same series again and again, grouped by family as the format demands.

    >>> renderer = TextRenderer([Metric("up", "gauge", "Whether it answers.")])
    >>> print(renderer.render([(Labels({"__name__": "up"}), 1.0)]).decode(), end="")
    # HELP up Whether it answers.
    # TYPE up gauge
    up 1.0
    """

    def __init__(self, metrics: Iterable[Metric] = ()) -> None:
        self._families = Families()
        self._cache: dict[Labels, tuple[str, bytes]] = {}
        for metric in metrics:
            self.declare(metric)

    def declare(self, metric: Metric) -> None:
        """Give a family its HELP and TYPE; what is not declared is rendered without."""
        before = self._families.version
        self._families.declare(metric)
        if self._families.version != before:
            self._cache.clear()

    def render(self, samples: Iterable[tuple[Labels, float]]) -> bytes:
        """The samples as text/plain; families in the order of their first sample."""
        cache, families = self._cache, dict[str, list[bytes]]()
        rendered = 0
        for labels, value in samples:
            entry = cache.get(labels)
            if entry is None:
                entry = cache[labels] = self._entry(labels)
            lines = families.get(entry[0])
            if lines is None:
                lines = families[entry[0]] = [self._families.header(entry[0]).encode()]
            lines.append(b"%s %s\n" % (entry[1], format_value(value).encode()))
            rendered += 1
        if len(cache) > 4 * rendered + 1000:
            cache.clear()  # series come and go; the living are spelled again
        return b"".join(part for lines in families.values() for part in lines)

    def render_own(self, samples: Iterable[Sample]) -> bytes:
        """The same for samples of Fleetowl's own metrics."""
        return self.render((Labels({**sample.labels, NAME: sample.name}), sample.value) for sample in samples)

    def _entry(self, labels: Labels) -> tuple[str, bytes]:
        return self._families.of(labels.name), format_series(labels).encode()


class _Part:
    """A list of series as it is spelled: the text before each number, and the places of each family."""

    def __init__(self, series: Sequence[Labels], families: Families) -> None:
        self.series = series
        self.spelled = [f"\n{format_series(labels)} ".encode() for labels in series]
        self.families: dict[str, list[int]] = {}
        for place, labels in enumerate(series):
            self.families.setdefault(families.of(labels.name), []).append(place)


class PageRenderer:
    """Renderer of lists of series, told apart as objects: whoever changes a list hands in another one.

    While the lists stay, a call formats the numbers and joins them with what stands between them.
    """

    def __init__(self, families: Families) -> None:
        self._families = families
        self._version = -1
        self._parts: dict[int, _Part] = {}  # by the id of the list, which the part keeps alive
        self._shown: list[_Part] = []
        self._in_order: Callable[[list[bytes]], Sequence[bytes]] = list
        self._pieces: list[bytes] = []  # the text before a number, its place, the text before the next

    def render(self, parts: Sequence[tuple[Sequence[Labels], Sequence[float]]]) -> bytes:
        """The samples as text/plain; families in the order of their first sample.

        Raises ValueError if there are not as many numbers as series.
        """
        if any(len(series) != len(values) for series, values in parts):
            raise ValueError("not as many values as series")
        self._look_at([series for series, _ in parts])
        values = array("d")
        for _, more in parts:
            values.extend(more)
        if not values:
            return b""
        self._pieces[1::2] = self._in_order(format_values(values))
        return b"".join(self._pieces)

    def _look_at(self, lists: Sequence[Sequence[Labels]]) -> None:
        """Lay the page out anew unless it is the one before."""
        if self._version != self._families.version:
            self._version = self._families.version
            self._parts.clear()
            self._shown = []
        shown = [self._parts.get(id(series)) or self._part(series) for series in lists]
        if shown != self._shown or not shown:
            self._parts = {id(part.series): part for part in shown}
            self._shown = shown
            self._lay_out()

    def _part(self, series: Sequence[Labels]) -> _Part:
        part = self._parts[id(series)] = _Part(series, self._families)
        return part

    def _lay_out(self) -> None:
        """Gather each family from all parts: the format wants it in one piece."""
        pieces: dict[str, tuple[list[int], list[bytes]]] = {}
        begin = 0
        for part in self._shown:
            for family, places in part.families.items():
                order, between = pieces.setdefault(family, ([], []))
                order += [begin + place for place in places]
                between += [part.spelled[place] for place in places]
            begin += len(part.series)
        for family, (_, between) in pieces.items():
            between[0] = b"\n" + self._families.header(family).encode() + between[0][1:]
        all_between = [*chain.from_iterable(between for _, between in pieces.values()), b"\n"]
        all_between[0] = all_between[0].removeprefix(b"\n")
        order = [*chain.from_iterable(order for order, _ in pieces.values())]
        self._in_order = itemgetter(*order) if len(order) > 1 else list
        self._pieces = [b""] * (2 * len(all_between) - 1)
        self._pieces[::2] = all_between
