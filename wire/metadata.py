"""What a target says about its families of metrics: type, help and unit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from wire.line import parse_metadata


class FamilyMetadata(NamedTuple):
    """Type (as after `# TYPE`, `unknown` for untyped), help text and unit; empty where nothing is said."""

    type: str = "unknown"
    help: str = ""
    unit: str = ""


def families_of(comments: Iterable[bytes]) -> dict[str, FamilyMetadata]:
    """The families by name.

    >>> families_of([b"# TYPE up gauge", b"# HELP up Whether it answers."])
    {'up': FamilyMetadata(type='gauge', help='Whether it answers.', unit='')}
    """
    found: dict[str, dict[str, str]] = {}
    for line in sorted(comments):
        said = parse_metadata(line)
        if said is not None:
            word, family, text = said
            text = "unknown" if word == "TYPE" and text == "untyped" else text
            found.setdefault(family, {})[word.lower()] = text
    return {family: FamilyMetadata(**said) for family, said in found.items()}
