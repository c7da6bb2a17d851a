"""Text exposition out of samples, with the part before each number kept from call to call.

Rendering 240 gauges through a registry takes milliseconds; they differ from the last time only in their
numbers, so the name and the labels are spelled once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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


class TextRenderer:
    """Renderer of the same series again and again, grouped by family as the format demands.

    >>> renderer = TextRenderer([Metric("up", "gauge", "Whether it answers.")])
    >>> print(renderer.render([(Labels({"__name__": "up"}), 1.0)]).decode(), end="")
    # HELP up Whether it answers.
    # TYPE up gauge
    up 1.0
    """

    def __init__(self, metrics: Iterable[Metric] = ()) -> None:
        self._headers: dict[str, bytes] = {}
        self._families: dict[str, str] = {}
        self._cache: dict[Labels, tuple[str, bytes]] = {}
        for metric in metrics:
            self.declare(metric)

    def declare(self, metric: Metric) -> None:
        """Give a family its HELP and TYPE; what is not declared is rendered without."""
        text = metric.help.replace("\\", "\\\\").replace("\n", "\\n")
        name = metric.name if METRIC_NAME.fullmatch(metric.name) else f'"{escape(metric.name)}"'
        kind = "untyped" if metric.type == "unknown" else metric.type
        header = (f"# HELP {name} {text}\n" if text else "") + f"# TYPE {name} {kind}\n"
        if self._headers.get(metric.name) == header.encode():
            return
        self._headers[metric.name] = header.encode()
        self._families[metric.name] = metric.name
        for suffix in _SUFFIXED.get(metric.type, ()):
            self._families[metric.name + suffix] = metric.name
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
                lines = families[entry[0]] = [self._headers.get(entry[0], b"")]
            lines.append(b"%s %s\n" % (entry[1], format_value(value).encode()))
            rendered += 1
        if len(cache) > 4 * rendered + 1000:
            cache.clear()  # series come and go; the living are spelled again
        return b"".join(part for lines in families.values() for part in lines)

    def render_own(self, samples: Iterable[Sample]) -> bytes:
        """The same for samples of Fleetowl's own metrics."""
        return self.render((Labels({**sample.labels, NAME: sample.name}), sample.value) for sample in samples)

    def _entry(self, labels: Labels) -> tuple[str, bytes]:
        return self._families.get(labels.name, labels.name), format_series(labels).encode()
