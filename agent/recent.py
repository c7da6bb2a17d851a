"""The frames that an analyzer took last: killed, it has lost what came after its last snapshot."""

from __future__ import annotations

from collections import deque

from agent.reading import Outgoing

KEPT_SECONDS = 75.0
"""An analyzer writes a snapshot every 60 s unless told otherwise, and needs a while for it."""
KEPT_BYTES = 2_000_000
SLACK = 3_000
"""ms. A frame has the time at which its collection began; it came later than that."""


class Recent:
    """A queue bounded in time and bytes. Frames that several of them hold are there once."""

    def __init__(self) -> None:
        self._frames: deque[tuple[float, int, Outgoing]] = deque()
        self._schema = b""
        self.bytes = 0

    def add(self, frames: list[Outgoing], now: float) -> None:
        """They were accepted at `now`, in seconds of any clock that is steady."""
        for frame in frames:
            # Frames of one schema hold the same bytes; one that changes with each frame must count.
            size = len(frame.data) + (0 if frame.schema is self._schema else len(frame.schema))
            self._schema = frame.schema
            self._frames.append((now, size, frame))
            self.bytes += size
        while self._frames and (self.bytes > KEPT_BYTES or now - self._frames[0][0] > KEPT_SECONDS):
            self.bytes -= self._frames.popleft()[1]

    def since(self, window_end: int) -> list[Outgoing]:
        """What a window that ends at this time (ms) may lack, in the order in which it was accepted."""
        return [frame for _, _, frame in self._frames if frame.at > window_end - SLACK]
