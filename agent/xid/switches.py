"""Errors of NVSwitches (SXids), which only the kernel's log tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from agent.xid.kernel_text import SxidLine
from agent.xid.sxid import meaning
from agent.xid.wall import WallClock
from model.labels import Labels
from model.metric import Metric, Sample

_LABELS = ("node", "nvswitch", "sxid", "fatal")
METRICS = (
    Metric("fleetowl_sxid_total", "counter", "Errors of NVSwitches, `fatal` true or false.", _LABELS),
    Metric(
        "fleetowl_sxid_last_timestamp_seconds",
        "gauge",
        "When an NVSwitch last had this error, in unixtime; since the boot, if the kernel's log tells.",
        _LABELS,
    ),
)

TELL_EVERY = 1.0
"""Seconds between events of one code of one switch."""
_MOST = 500  # series


class Error(NamedTuple):
    """What is counted together."""

    switch: str
    code: int
    fatal: bool


@dataclass(slots=True)
class _Kept:
    count: int = 0
    last: float = 0.0
    told: float | None = None


class Switches:
    """Counts errors of switches. `tell` hears of one with its count, at most once a second."""

    def __init__(
        self,
        node: str,
        tell: Callable[[SxidLine, Error, int], None],
        wall: WallClock,
        timer: Callable[[], float],
    ) -> None:
        self._node, self._tell, self._wall, self._timer = node, tell, wall, timer
        self._kept: dict[Error, _Kept] = {}

    def from_kernel(self, line: SxidLine) -> None:
        """A new line."""
        now = self._timer()
        error = self._error(line)
        kept = self._kept.setdefault(error, _Kept())
        kept.count += line.times
        kept.last = now
        if kept.told is None or now - kept.told >= TELL_EVERY:
            kept.told = now
            self._tell(line, error, kept.count)

    def from_history(self, line: SxidLine, at: float) -> None:
        """A line from before the agent began."""
        kept = self._kept.setdefault(self._error(line), _Kept())
        kept.last = max(kept.last, at)

    def samples(self) -> Iterator[Sample]:
        """Every series."""
        for error, kept in self._kept.items():
            yield self.counter(error, kept.count)
            yield self.time(error)

    def counter(self, error: Error, count: int) -> Sample:
        """The counter of an error."""
        return Sample("fleetowl_sxid_total", self._labels(error), float(count))

    def time(self, error: Error) -> Sample:
        """The last time of an error."""
        at = round(self._wall.at(self._kept[error].last), 3)
        return Sample("fleetowl_sxid_last_timestamp_seconds", self._labels(error), at)

    def _error(self, line: SxidLine) -> Error:
        error = Error(line.switch, line.code, meaning(line.code).is_fatal(line.fatal))
        # What a broken log invents must not become series without end.
        return error if error in self._kept or len(self._kept) < _MOST else error._replace(code=0)

    def _labels(self, error: Error) -> Labels:
        return Labels(
            {
                "node": self._node,
                "nvswitch": error.switch,
                "sxid": str(error.code),
                "fatal": str(error.fatal).lower(),
            }
        )
