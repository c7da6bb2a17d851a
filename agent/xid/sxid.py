"""Errors of NVSwitches: whether one is fatal, and what that asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from agent.xid.catalogue import spans
from model.document import read_yaml
from model.settings import Settings, load_section

FILE = Path(__file__).parent / "sxid.yml"
UNKNOWN_MEANING = "a code that the list does not know"
FATAL_ACTION = "stop the jobs on this switch's partition and reset its GPUs and switches together"

Fatal = Literal["never", "always", "text"]
_IN_WORDS: Mapping[Fatal, str] = {"never": "no", "always": "yes", "text": "as the kernel's line says"}


@dataclass(frozen=True, slots=True)
class SwitchError:
    """What a code means. An unknown one is fatal only if the kernel's line says so."""

    code: int
    meaning: str
    fatal: Fatal
    known: bool = True

    def is_fatal(self, said: bool | None) -> bool:
        """Whether it is fatal, given what the line says (None: nothing)."""
        if self.fatal == "always":
            return True
        if self.fatal == "never":
            return said is True
        return said is True or (said is None and self.known)


class _Row(Settings):
    codes: str
    fatal: Fatal
    meaning: str = Field(min_length=1)


class _Document(Settings):
    rows: list[_Row] = Field(min_length=1)


def meaning(code: int) -> SwitchError:
    """What a code means."""
    return _table().get(code) or SwitchError(code, UNKNOWN_MEANING, "text", known=False)


def rows() -> list[list[str]]:
    """The list for docs/xid.md: codes, whether fatal, meaning."""
    return [[row.codes, _IN_WORDS[row.fatal], row.meaning] for row in _rows()]


@cache
def _rows() -> list[_Row]:
    return load_section(_Document, {"rows": read_yaml(FILE)}, str(FILE)).rows


@cache
def _table() -> Mapping[int, SwitchError]:
    table: dict[int, SwitchError] = {}
    for row in _rows():
        for code in spans(row.codes):
            if code in table:
                raise ValueError(f"{FILE}: code {code} stands twice")
            table[code] = SwitchError(code, row.meaning, row.fatal)
    return table
