"""What the frame receiver knows of the agents: their boots, streams and schemas."""

from __future__ import annotations

from collections import Counter, OrderedDict

import numpy as np

from telemetry.bits import Flags, Ints
from telemetry.early import Early
from telemetry.presence import Presence
from telemetry.seen import SeenSet
from telemetry.series_ids import NO_IDS, UNRESOLVED, SeriesIds
from telemetry.window import LimitExceeded, Target, Window
from wire.frames import Frame, Kind, Schema

_BOOTS = 4  # of a node whose sequences are remembered
_RETRY = 60_000  # ms between attempts to place series that the window refused


class Columns:
    """A schema and the window ids of its columns."""

    def __init__(self, window: Window, schema: Schema) -> None:
        self.schema = schema
        self.series = SeriesIds(window)
        self.series.extend(len(schema.series))
        self.retry_at = 0

    def resolve(self, target: Target, present: Flags, now: int, refused: Counter[str]) -> Ints:
        """The ids, after making the series of those columns that have a value for the first time."""
        missing = np.flatnonzero(present & (self.series.ids == UNRESOLVED))
        if len(missing) and now >= self.retry_at:
            for place in missing.tolist():
                labels = self.schema.series[place]
                try:
                    self.series.resolve(place, target, labels, self.schema.types.get(labels.name, "unknown"))
                except LimitExceeded as error:
                    refused[error.reason] += 1
                    self.retry_at = now + _RETRY
        return self.series.ids


class Stream:
    """The frames of one node and interval: what its newest live frame showed, and when that came."""

    def __init__(self) -> None:
        self.columns: Columns | None = None  # None until the first live frame
        self.living: Ints = NO_IDS
        self.last_seen = 0

    def refresh(self) -> None:
        """Keep `living` right when the window renumbers."""
        if self.columns is not None:
            _, self.living = self.columns.series.refresh(self.living)


class Boot:
    """What has come of one life of an agent."""

    def __init__(self) -> None:
        self.seen = SeenSet()
        self.newest = -1  # the highest sequence but for events, which overtake


class Node:
    """What is known of one node."""

    def __init__(self, name: str, window: Window, interval: int, now: int) -> None:
        self.name = name
        self.interval = interval  # the shortest of its streams
        self.last_seen = now
        self.last_time = 0  # of its newest live frame, by its own clock
        self.reported_at = now  # when `up` was last written
        self.down = False
        self.boot = b""
        self.boots: OrderedDict[bytes, Boot] = OrderedDict()
        self.early = Early(window)
        self.streams: dict[int, Stream] = {}
        self.schemas: OrderedDict[bytes, Columns] = OrderedDict()
        self.presence = Presence(window, name)

    def target_key(self, interval: int) -> str:
        """Name of a stream's target in the window."""
        return f"agent/{self.name}/{interval}"

    @property
    def living(self) -> Ints:
        """What the newest live frames of its streams showed."""
        for stream in self.streams.values():
            stream.refresh()
        return np.concatenate([NO_IDS, *(stream.living for stream in self.streams.values())])

    def first_time(self, frame: Frame) -> bool:
        """Whether the frame has not come before; remembers it."""
        boot = self.boots.get(frame.boot_id)
        if boot is None:
            boot = self.boots[frame.boot_id] = Boot()
            if len(self.boots) > _BOOTS:
                del self.boots[next(name for name in self.boots if name not in (self.boot, frame.boot_id))]
        if frame.kind is not Kind.EVENT:
            boot.newest = max(boot.newest, frame.sequence)
        return boot.seen.add(frame.sequence)

    def is_live(self, frame: Frame, now: int) -> bool:
        """Whether it is the newest word on what the node has (no event is); ask before first_time()."""
        boot = self.boots.get(frame.boot_id)
        if frame.kind is Kind.EVENT or (boot is not None and frame.sequence <= boot.newest):
            return False
        if frame.boot_id == self.boot or not self.boot:
            return True
        # Another boot: the next one, or one from the spool? After a clock step the next may be "older".
        return frame.time > self.last_time or abs(now - frame.time) < abs(now - self.last_time)
