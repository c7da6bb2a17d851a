"""What has arrived since the last look: each sample once, in the order of time of its series.

A sample is in the journal if it was newer than every sample of its series when it came. Late samples are not:
who scores or counts from the journal gets the same result, however often it looks.
"""

from __future__ import annotations

import numpy as np

from telemetry.bits import Floats, Ints


class Journal:
    """Arrivals not yet drained, at most `limit` samples; past that the oldest batches are dropped."""

    def __init__(self, limit: int = 8_000_000) -> None:
        self.limit = limit
        self.lost = 0  # samples dropped because nobody drained
        self.pending = 0
        self._batches: list[tuple[Ints, Ints, Floats]] = []

    def record(self, times: Ints, ids: Ints, values: Floats) -> None:
        """Note these samples. The arrays are kept: pass copies of what may change."""
        self._batches.append((times, ids, values))
        self.pending += len(ids)
        while self.pending > self.limit and len(self._batches) > 1:
            dropped = len(self._batches.pop(0)[1])
            self.pending -= dropped
            self.lost += dropped

    def drain(self) -> tuple[Ints, Ints, Floats]:
        """(times, ids, values) of all arrivals in order, and forget them."""
        everything = self.peek()
        self._batches.clear()
        self.pending = 0
        return everything

    def peek(self) -> tuple[Ints, Ints, Floats]:
        """(times, ids, values) of all arrivals in order."""
        if not self._batches:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        times, ids, values = zip(*self._batches, strict=True)
        return np.concatenate(times), np.concatenate(ids), np.concatenate(values)

    @property
    def lengths(self) -> list[int]:
        """How many samples each of the pending batches has, in order: a batch came at once."""
        return [len(ids) for _, ids, _ in self._batches]

    def remap(self, new_ids: Ints) -> None:
        """Give the pending samples the new ids of their series; those of dropped series go."""
        batches, self._batches, self.pending = self._batches, [], 0
        for times, ids, values in batches:
            kept = new_ids[ids] >= 0
            if kept.any():
                self.record(times[kept], new_ids[ids[kept]], values[kept])
