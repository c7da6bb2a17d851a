"""The series of one moment, found by name; and two moments, for what is a rate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from model.labels import Labels
from wire.aliases import canonical

Row = tuple[Labels, float]


_NO_ENGINES = ("DCGM_", "node_", "fleetowl_")
"""How the names begin that are no engine's: most of them."""


class Facts:
    """Series of one moment (Unix time in seconds). Other engines' names count as vLLM's."""

    def __init__(self, at: float, rows: Iterable[Row]) -> None:
        self.at = at
        self._by_name: dict[str, list[Row]] = {}
        for row in rows:
            labels, value = row
            if value != value:  # NaN: staleness or "not known", of which a view says nothing
                continue
            name = labels.name
            if not name.startswith(_NO_ENGINES):
                name = canonical(name, labels) or name
            self._by_name.setdefault(name, []).append(row)

    @classmethod
    def part(cls, at: float, by_name: dict[str, list[Row]]) -> Facts:
        """Some of the series of other facts, by their names there."""
        facts = cls(at, ())
        facts._by_name = by_name
        return facts

    def named(self, name: str, match: Mapping[str, str] | None = None) -> Sequence[Row]:
        """All series of this name that have these labels."""
        rows = self._by_name.get(name, ())
        if not match:
            return rows
        return [row for row in rows if all(row[0].value(key) == value for key, value in match.items())]

    def value(self, name: str, match: Mapping[str, str] | None = None) -> float | None:
        """The value of the first such series, None if there is none."""
        rows = self.named(name, match)
        return rows[0][1] if rows else None

    def total(self, name: str, match: Mapping[str, str] | None = None) -> float | None:
        """The sum of all such series, None if there is none."""
        rows = self.named(name, match)
        return sum(value for _, value in rows) if rows else None

    @property
    def names(self) -> Iterable[str]:
        """The names that there are."""
        return self._by_name


def increase(
    before: Facts | None, now: Facts, name: str, match: Mapping[str, str] | None = None
) -> float | None:
    """By how much the sum of these counters grew; None without two readings or after a reset."""
    newer = now.total(name, match)
    older = before.total(name, match) if before is not None else None
    if newer is None or older is None or newer < older:
        return None
    return newer - older


def rate(before: Facts | None, now: Facts, name: str, match: Mapping[str, str] | None = None) -> float | None:
    """The same per second."""
    grown = increase(before, now, name, match)
    if grown is None or before is None or now.at <= before.at:
        return None
    return grown / (now.at - before.at)


def by_node(rows: Iterable[Row], own: str) -> dict[str, list[Row]]:
    """The series of each node; those that name none belong to `own`."""
    found: dict[str, list[Row]] = {}
    for labels, value in rows:
        node = labels.value("node") or labels.value("Hostname") or labels.value("hostname") or own
        found.setdefault(node, []).append((labels, value))
    return found
