"""What each XID means and asks for: the table in catalogue.yml, under a preset, under the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field

from agent.xid.settings import Class, CodeSettings, RepeatSettings, Tier
from model.document import read_yaml
from model.settings import Settings, did_you_mean, load_section

FILE = Path(__file__).parent / "catalogue.yml"
DEFAULT = "fleetowl"
UNKNOWN_MEANING = "a code that the catalogue does not know"

Decoder = Literal["recovery", "nvlink74", "nvlink5"]
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Entry:
    """What one code means and asks for."""

    code: int
    meaning: str
    class_: Class
    tier: Tier
    action: str
    repeat: RepeatSettings | None = None
    decode: Decoder | None = None
    """What reads the kernel's text, which says more than the number."""
    cancels: tuple[int, ...] = ()
    follows: bool = False
    """Comes after another code, which is the cause."""
    known: bool = True


class _Row(CodeSettings):
    """One row of the table: all that CodeSettings may leave open is there."""

    codes: str
    decode: Decoder | None = None
    cancels: list[int] = Field([])
    follows: bool = False


class _Document(Settings):
    actions: dict[str, str] = Field(min_length=1)
    codes: list[_Row] = Field(min_length=1)
    presets: dict[str, dict[str, CodeSettings]]


class Catalogue(Mapping[int, Entry]):
    """Entries by code; a code that is not in it has an entry all the same, which asks for nothing."""

    def __init__(self, entries: Mapping[int, Entry], actions: Mapping[str, str]) -> None:
        self._entries = dict(sorted(entries.items()))
        self.actions = dict(actions)
        """What each action is, in words."""

    def __getitem__(self, code: int) -> Entry:
        """The entry of a code. An unknown one is reported and never acted on."""
        return self._entries.get(code) or Entry(code, UNKNOWN_MEANING, "driver", "P3", "unknown", known=False)

    def __contains__(self, code: object) -> bool:
        return code in self._entries

    def __iter__(self) -> Iterator[int]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def counted_from_zero(self) -> tuple[int, ...]:
        """The codes of the tiers P0 to P2, whose counters exist before they first count."""
        return tuple(code for code, entry in self._entries.items() if entry.tier != "P3")


def catalogue(preset: str = DEFAULT, codes: Mapping[int, CodeSettings] | None = None) -> Catalogue:
    """The table with a preset and the configuration's own codes.

    Raises ValueError with the way out for an unknown preset or action or a code that no XID has;
    ConfigurationError if catalogue.yml itself is broken.
    """
    document = _document()
    if preset not in document.presets:
        raise ValueError(f"no preset {preset!r}: {did_you_mean(preset, document.presets, 'presets')}")
    entries = dict(_table())
    for numbers, patch in document.presets[preset].items():
        for code in spans(numbers):
            entries[code] = _patched(entries[code], patch)
    for code, patch in (codes or {}).items():
        _check(code, patch, document.actions)
        unknown = Entry(code, UNKNOWN_MEANING, "driver", "P3", "unknown")
        entries[code] = _patched(entries.get(code, unknown), patch)
    return Catalogue(entries, document.actions)


def spans(text: str) -> Iterator[int]:
    """The numbers of a list of numbers and spans. Raises ValueError if it is none.

    >>> list(spans("8, 39-41"))
    [8, 39, 40, 41]
    """
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        yield from range(int(first), int(last or first) + 1)


def presets() -> Mapping[str, Catalogue]:
    """Every preset by its name, the default first."""
    return {name: catalogue(name) for name in _document().presets}


def rows() -> list[list[str]]:
    """The table for docs/xid.md: code, class, meaning, tier, what to do, when a repetition means more."""
    default = catalogue()
    return [
        [
            str(entry.code),
            entry.class_,
            entry.meaning + _DECODED.get(entry.decode, ""),
            entry.tier,
            default.actions[entry.action],
            repeat_in_words(entry.repeat, default.actions),
        ]
        for entry in default.values()
        if entry.action != "unknown"
    ]


def difference_rows() -> list[list[str]]:
    """For docs/xid.md: the codes on which the presets differ, and what each says."""
    by_name = presets()
    table = []
    for code in by_name[DEFAULT]:
        said = [f"{preset[code].tier} {preset[code].action}" for preset in by_name.values()]
        if len(set(said)) > 1:
            table.append([str(code), *said])
    return table


def repeat_in_words(repeat: RepeatSettings | None, actions: Mapping[str, str]) -> str:
    """A repeat rule as people say it."""
    if repeat is None:
        return ""
    minutes = repeat.within // 60_000
    within = f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"
    unit = repeat.same == "unit"
    where = "on the same unit of the GPU" if unit else "on the same GPU"
    alone = "" if not repeat.alone else " and on no other" if unit else ", and on no other GPU of the node"
    return f"{repeat.times} times in {within} {where}{alone}: {repeat.tier}, {actions[repeat.action]}"


_DECODED: dict[Decoder | None, str] = {
    "recovery": "; its text says which verdict, and that goes before this table",
    "nvlink74": "; its seven registers say more",
    "nvlink5": "; its two words say more",
}


@cache
def _document() -> _Document:
    document = load_section(_Document, read_yaml(FILE), str(FILE))
    for row in document.codes:
        if None in (row.meaning, row.class_, row.tier, row.action):
            raise ValueError(f"{FILE}: codes {row.codes}: meaning, class, tier and action are required")
        _check_action(row.action, document.actions)
    for patches in document.presets.values():
        for patch in patches.values():
            _check_action(patch.action, document.actions)
    return document


@cache
def _table() -> Mapping[int, Entry]:
    entries: dict[int, Entry] = {}
    for row in _document().codes:
        for code in spans(row.codes):
            if code in entries:
                raise ValueError(f"{FILE}: code {code} stands twice")
            blank = Entry(code, "", "driver", "P3", "")
            entries[code] = replace(
                _patched(blank, row), decode=row.decode, cancels=tuple(row.cancels), follows=row.follows
            )
    return entries


def _patched(entry: Entry, patch: CodeSettings) -> Entry:
    return replace(
        entry,
        meaning=_or(patch.meaning, entry.meaning),
        class_=_or(patch.class_, entry.class_),
        tier=_or(patch.tier, entry.tier),
        action=_or(patch.action, entry.action),
        repeat=entry.repeat if patch.repeat is None else None if patch.repeat == "none" else patch.repeat,
        # Who sets a tier means it, whatever the text says; the driver's own verdict goes before all.
        decode=entry.decode if patch.tier is None or entry.decode == "recovery" else None,
    )


def _or(value: _Value | None, default: _Value) -> _Value:
    return default if value is None else value


def _check(code: int, patch: CodeSettings, actions: Mapping[str, str]) -> None:
    if not 1 <= code <= MAX_CODE:
        raise ValueError(f"codes: no XID is {code}: they are between 1 and {MAX_CODE}")
    _check_action(patch.action, actions, f"codes: {code}: ")
    if isinstance(patch.repeat, RepeatSettings):
        _check_action(patch.repeat.action, actions, f"codes: {code}: repeat: ")


def _check_action(action: str | None, actions: Mapping[str, str], where: str = "") -> None:
    if action is not None and action not in actions:
        hint = did_you_mean(action, actions, "actions")
        raise ValueError(f"{where}no action is called {action!r}: {hint}")


MAX_CODE = 9999
"""Beyond the highest XID there is by far; what a log claims above is no XID."""
