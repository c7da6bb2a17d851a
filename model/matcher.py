"""A label matcher, apart from how it finds what it matches (telemetry/ does that with RE2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from model.labels import escape


class Op(Enum):
    """The four operators of a selector."""

    EQUAL = "="
    NOT_EQUAL = "!="
    MATCHES = "=~"
    NOT_MATCHES = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label. Regular expressions are anchored at both ends, as in Prometheus."""

    name: str
    op: Op
    value: str

    def __str__(self) -> str:
        return f'{self.name}{self.op.value}"{escape(self.value)}"'
