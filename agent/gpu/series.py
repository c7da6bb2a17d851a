"""Puts a sweep's values into a reading, at the cost of a comparison where nothing has changed."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from agent.reading import Reading
from model.labels import NAME, Labels
from wire.target_labels import with_target_labels

_OURS = "fleetowl_"

Part = tuple[str, dict[str, str]]
"""A family and what tells its series of one device apart."""


class Block(NamedTuple):
    """Series that come and go together, as pushed and as /metrics shows them. The lists are not changed."""

    pushed: Sequence[Labels]
    exported: Sequence[Labels]


class _Known(NamedTuple):
    labels: Labels
    names: object
    block: Block


class Sheet:
    """Remembers how series are spelled, and the order of the whole reading.

    A source with 560 series a second has no time to build or hash 560 label sets a second.
    """

    def __init__(self, target_labels: Mapping[str, str]) -> None:
        self._target_labels = target_labels
        self._known: dict[tuple[str, str], _Known] = {}
        self._order: list[Sequence[Labels]] = []
        self._whole = Block([], [])

    def pushed(self, name: str, labels: Mapping[str, str]) -> Labels:
        """One series as it is pushed."""
        return with_target_labels(Labels({**labels, NAME: name}), self._target_labels)

    def values(self, key: tuple[str, str], theirs: Labels, ours: Labels, families: Sequence[str]) -> Block:
        """The block of these families of one device, others' and our own. `key` says whose it is."""
        known = self._known.get(key)
        if known is not None and known.labels is theirs and known.names == families:
            return known.block
        spelled = [(name, ours if name.startswith(_OURS) else theirs) for name in families]
        return self._remember(key, theirs, families, spelled)

    def parts(self, key: tuple[str, str], theirs: Labels, ours: Labels, names: Sequence[Part]) -> Block:
        """The same of families that have further labels."""
        known = self._known.get(key)
        if known is not None and known.labels is theirs and known.names == names:
            return known.block
        spelled = [
            (name, (ours if name.startswith(_OURS) else theirs).merged(further)) for name, further in names
        ]
        return self._remember(key, theirs, names, spelled)

    def reading(
        self, parts: Sequence[tuple[Block, Sequence[float]]], types: Mapping[str, str], at: int
    ) -> Reading:
        """The blocks one after another; the same lists as last time if the blocks are the same."""
        order = [block.pushed for block, _ in parts]
        if len(order) != len(self._order) or any(a is not b for a, b in zip(order, self._order, strict=True)):
            self._order = order
            self._whole = Block(
                [labels for block, _ in parts for labels in block.pushed],
                [labels for block, _ in parts for labels in block.exported],
            )
        values = array("d", chain.from_iterable(part for _, part in parts))
        return Reading(at, self._whole.pushed, values, types, self._whole.exported)

    def forget(self, keep: Iterable[str]) -> None:
        """All blocks but those of these owners (the first part of their keys)."""
        keep = set(keep)
        self._known = {key: known for key, known in self._known.items() if key[0] in keep}

    def _remember(
        self, key: tuple[str, str], labels: Labels, names: object, spelled: Sequence[tuple[str, Labels]]
    ) -> Block:
        block = Block(
            [self.pushed(name, each) for name, each in spelled],
            [Labels({**each, NAME: name}) for name, each in spelled],
        )
        self._known[key] = _Known(labels, names, block)
        return block
