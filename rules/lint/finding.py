"""What a check says of a rule."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How much it matters. An error means that the rule cannot do what it is for."""

    INFO = 0
    WARNING = 1
    ERROR = 2

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence on one rule, and the way out."""

    severity: Severity
    sentence: str
    way_out: str


def error(sentence: str, way_out: str) -> Remark:
    """A remark that the rule cannot do what it is for."""
    return Remark(Severity.ERROR, sentence, way_out)


def warning(sentence: str, way_out: str) -> Remark:
    """A remark that the rule will surprise its author."""
    return Remark(Severity.WARNING, sentence, way_out)


def info(sentence: str, way_out: str) -> Remark:
    """A remark that somebody should know, and may well leave as it is."""
    return Remark(Severity.INFO, sentence, way_out)


@dataclass(frozen=True, slots=True)
class Finding:
    """A remark with its place."""

    file: str
    group: str
    rule: str
    check: str
    severity: Severity
    sentence: str
    way_out: str
