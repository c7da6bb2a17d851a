"""Which rows of a result belong to an alert: those that agree with it on all labels that both have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from model.labels import NAME, Labels
from rules.promql.frame import Key, Projection


class Rows:
    """Label sets that are asked again and again which of them belong to an alert.

    >>> rows = Rows([Labels({"node": "a"}), Labels({"node": "b"})])
    >>> list(rows.like(Labels({"node": "b", "gpu": "0"}))), list(rows.like(Labels({"rack": "r"})))
    ([1], [0, 1])
    """

    def __init__(self, rows: Sequence[Labels]) -> None:
        self._rows = rows
        self._by_names: dict[frozenset[str], list[int]] = defaultdict(list)
        for number, row in enumerate(rows):
            self._by_names[frozenset(row) - {NAME}].append(number)
        self._by_key: dict[tuple[frozenset[str], frozenset[str]], dict[Key, list[int]]] = {}

    def like(self, source: Labels, least: int = 0) -> Iterable[int]:
        """The numbers of the rows that agree with `source`, having at least `least` labels in common."""
        for names, numbers in self._by_names.items():
            shared = names.intersection(source)
            if not shared:
                if not least:
                    yield from numbers
                continue
            if len(shared) >= least:
                found = self._keyed(names, shared, numbers)
                yield from found.get(Projection(True, shared).keys([source])[0], ())

    def _keyed(
        self, names: frozenset[str], shared: frozenset[str], numbers: list[int]
    ) -> dict[Key, list[int]]:
        known = self._by_key.get((names, shared))
        if known is None:
            known = self._by_key[names, shared] = defaultdict(list)
            keys = Projection(True, shared).keys([self._rows[number] for number in numbers])
            for key, number in zip(keys, numbers, strict=True):
                known[key].append(number)
        return known
