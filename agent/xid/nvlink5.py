"""NVLink 5 (XIDs 144 to 150): the two words of the kernel's text, read as the driver's version writes them.

Where the sub-code lies changed with R575. gpud reads bits 25 to 20 as the sub-code: those are the reason of a
link that went down (XID 149), in both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from model.document import read_yaml
from model.settings import Settings, load_section

FILE = Path(__file__).parent / "nvlink5.yml"
CHANGED_IN = 575
"""The driver branch that moved the sub-code."""

Outcome = Literal["ignore", "app", "reset"]
_WORST: tuple[Outcome, ...] = ("reset", "app", "ignore")

_TEXT = re.compile(
    r"(?P<name>[A-Z][\w/ ]*?)\s+(?P<severity>(?:Link |Non-?)?fatal)\b(?P<rest>.*)", re.IGNORECASE
)
_WORDS = re.compile(r"0x[0-9a-f]{1,8}\b", re.IGNORECASE)
_LINK = re.compile(r"\blink\s+(\d{1,3})\b", re.IGNORECASE)
_VERSION = re.compile(r"(\d{3,4})\.")


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the text says. `outcome` is None if neither the words nor the severity tell."""

    name: str
    outcome: Outcome | None
    link: int
    fatal: bool | None
    by_table: bool
    """Whether the words were in the table; else the outcome is from the word Fatal or Nonfatal."""


class _Reason(Settings):
    ignore: list[int] = Field([])
    reset: list[int] = Field([])


class _Promoted(Settings):
    bits: tuple[int, int]
    values: list[int]


class _Rule(Settings):
    xid: int = Field(ge=144, le=150)
    name: str
    before: int = Field(ge=0, lt=32)
    since: int = Field(ge=0, lt=128)
    mask: bool = False
    ignore: list[int] = Field([])
    app: list[int] = Field([])
    reset: list[int] = Field([])
    reason: _Reason | None = None
    promoted: _Promoted | None = None

    def listed(self, value: int, promoted: bool) -> Outcome | None:
        """The outcome of one value of the second word, None if it is in no list."""
        if promoted and self.promoted is not None and value in self.promoted.values:
            return "reset"
        lists: tuple[tuple[Outcome, list[int]], ...] = (
            ("reset", self.reset),
            ("app", self.app),
            ("ignore", self.ignore),
        )
        return next((outcome for outcome, values in lists if value in values), None)


class _Document(Settings):
    rules: list[_Rule] = Field(min_length=1)


@cache
def rules() -> Sequence[_Rule]:
    """The table. Raises ConfigurationError if nvlink5.yml is broken."""
    return load_section(_Document, {"rules": read_yaml(FILE)}, str(FILE)).rules


def decode(xid: int, text: str, driver: str = "") -> Decoded | None:
    """What the text of an XID 144 to 150 means under a driver version (`570.86.15`; empty if unknown).

    None if the text is of another kind. Without the version both readings are tried, and hold if they agree.
    """
    found = _TEXT.search(text)
    if found is None:
        return None
    words = [int(word, 16) for word in _WORDS.findall(found["rest"])]
    link = _LINK.search(found["rest"])
    severity = found["severity"].lower()
    outcome = _outcome(xid, words, driver)
    fatal = not severity.startswith("non")
    said: Outcome = "reset" if fatal else "ignore"
    number = int(link[1]) if link else -1
    return Decoded(found["name"], outcome or said, number, fatal, outcome is not None)


def before_change(driver: str) -> bool | None:
    """Whether a driver version is older than R575; None if it is no version.

    >>> before_change("570.86.15"), before_change("580.95.05"), before_change("")
    (True, False, None)
    """
    found = _VERSION.match(driver)
    return None if found is None else int(found[1]) < CHANGED_IN


def _outcome(xid: int, words: Sequence[int], driver: str) -> Outcome | None:
    if not words:
        return None
    status = words[1] if len(words) > 1 else 0
    old = before_change(driver)
    if old is not None:
        return _read(xid, words[0], status, old)
    readings = {_read(xid, words[0], status, was_before) for was_before in (True, False)}
    readings.discard(None)
    return readings.pop() if len(readings) == 1 else None


def _read(xid: int, info: int, status: int, old: bool) -> Outcome | None:
    code = info >> 5 & 0x1F if old else info & 0x7F
    outcomes = {
        _by_rule(rule, info, status, old)
        for rule in rules()
        if rule.xid == xid and code == (rule.before if old else rule.since)
    }
    return next((outcome for outcome in _WORST if outcome in outcomes), None)


def _by_rule(rule: _Rule, info: int, status: int, old: bool) -> Outcome | None:
    if rule.reason is not None:
        why = info >> 20 & 0x3F
        return "reset" if why in rule.reason.reset else "ignore" if why in rule.reason.ignore else None
    promoted = rule.promoted is not None and bool(info >> rule.promoted.bits[0 if old else 1] & 1)
    exact = rule.listed(status, promoted)
    if exact is not None or not rule.mask:
        return exact
    # Several errors at once: the worst of them, unless one is not in the table.
    each = {rule.listed(1 << bit, promoted) for bit in range(32) if status >> bit & 1}
    if not each or None in each:
        return "reset" if "reset" in each else None
    return next(outcome for outcome in _WORST if outcome in each)
