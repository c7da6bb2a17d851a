"""Label sets as Prometheus means them: a sorted map of names to values, the name included."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import TypeVar, overload

NAME = "__name__"
METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
"""Names in the classic alphabet: what Prometheus takes without quotes."""

FNV_OFFSET = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3
_MASK = 0xFFFFFFFFFFFFFFFF


Default = TypeVar("Default")


class Labels(Mapping[str, str]):
    """An immutable label set, sorted by name, without empty values.

    An empty value means "no such label" (Prometheus data model), so it is dropped here once
    and no reader has to think of it again.

    >>> Labels({"b": "2", "a": "1", "c": ""})
    {a="1", b="2"}
    """

    __slots__ = ("__dict__", "_hash", "pairs")

    def __init__(self, labels: Mapping[str, str] | Collection[tuple[str, str]] = ()) -> None:
        if isinstance(labels, Labels):
            self.pairs: tuple[tuple[str, str], ...] = labels.pairs
        else:
            # Pairs that come as tuples are kept: a thousand series of a target share those of its labels.
            items = labels.items() if isinstance(labels, Mapping) else labels
            self.pairs = tuple(sorted([pair for pair in items if pair[1]]))
        self._hash = hash(self.pairs)

    @cached_property
    def _map(self) -> dict[str, str]:
        """Made at the first question: most series of an agent are never asked one."""
        return dict(self.pairs)

    def __getitem__(self, name: str) -> str:
        return self._map[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._map)

    def __len__(self) -> int:
        return len(self.pairs)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Labels):
            return self.pairs == other.pairs
        return NotImplemented

    def __lt__(self, other: Labels) -> bool:
        return self.pairs < other.pairs

    def __repr__(self) -> str:
        return format_labels(self)

    @overload
    def get(self, name: str, /) -> str | None: ...
    @overload
    def get(self, name: str, /, default: str) -> str: ...
    @overload
    def get(self, name: str, /, default: Default) -> str | Default: ...
    def get(self, name: str, /, default: object = None) -> object:
        """As of every mapping. Few labels are searched as fast as a map answers, and no map is kept."""
        for key, value in self.pairs:
            if key == name:
                return value
        return default

    def value(self, name: str) -> str:
        """The value of a label, empty where there is none (as in a matcher)."""
        for key, value in self.pairs:
            if key == name:
                return value
        return ""

    @property
    def name(self) -> str:
        """The metric name, empty where there is none."""
        for name, value in self.pairs:
            if name == NAME:
                return value
        return ""

    def only(self, names: Collection[str]) -> Labels:
        """These labels and no others: `by (...)`, `on (...)`."""
        return Labels([pair for pair in self.pairs if pair[0] in names])

    def without(self, *names: str) -> Labels:
        """All but these labels: `without (...)`, `ignoring (...)`."""
        return Labels([pair for pair in self.pairs if pair[0] not in names])

    def merged(self, other: Mapping[str, str]) -> Labels:
        """Both label sets; `other` wins, and an empty value in it removes the label."""
        return Labels({**self._map, **other})

    @cached_property
    def fingerprint(self) -> int:
        """The 64-bit FNV-1a hash that Prometheus and Alertmanager call a fingerprint.

        Source: prometheus/common model/signature.go: name, 0xff, value, 0xff for each label in order.
        """
        state = FNV_OFFSET
        for name, value in self.pairs:
            for byte in b"%s\xff%s\xff" % (name.encode(), value.encode()):
                state = ((state ^ byte) * FNV_PRIME) & _MASK
        return state


def format_fingerprint(fingerprint: int) -> str:
    """Sixteen hexadecimal digits, as Alertmanager's API writes a fingerprint."""
    return f"{fingerprint:016x}"


def escape(value: str) -> str:
    """A label value as it stands between quotes in the text format."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def format_labels(labels: Mapping[str, str]) -> str:
    """The label set as a selector would spell it, the metric name in front.

    >>> format_labels(Labels({"__name__": "up", "job": "node"}))
    'up{job="node"}'
    """
    name = labels.get(NAME, "")
    inner = ", ".join(f'{key}="{escape(value)}"' for key, value in labels.items() if key != NAME)
    return f"{name}{{{inner}}}" if inner or not name else name
