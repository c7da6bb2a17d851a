"""The peer detector: who differs from those that do the same work, and more than it always did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.contract import PEER_DEVIATION, Moment, MomentDetector, Results, State, nothing
from detectors.peers.groups import Key, groups_of
from detectors.peers.settings import PeerSettings
from detectors.slots import Field, Slots
from model.labels import NAME
from model.matcher import Matcher, Op
from telemetry.bits import Flags, Floats, Ints
from telemetry.window import IdRemap, Window

_LEAST = 3
_NO_GROUP = -1
# As the kernel names them; it is not imported before somebody demands a comparison.
_MEMORY = (
    *("level", "offset", "spread", "slow", "slow_spread", "unrest", "usual_unrest"),
    *("ring_0", "ring_1", "ring_2", "ring_3", "ring_4"),
)


class PeerDetector(MomentDetector):
    """Compares each series with its group (see `groups_of`), for all groups at once.

    With m the median of the group's n >= 3 fresh values and l what the median usually is:

        q = (x - m) / max(|m|, l / 2)                     the deviation, as a part of the level
        r = q - o                                         without what is usual for this member
        u = how much wider apart than usual the group has been in its last dozen samples, 1 to 4
        s = max(floor, u * spread of r in time, 1.4826 median |r| over the group)
        fast = r / (threshold s)
        far = q / max(large, 6 * 1.4826 median |q| over the group, threshold u * what spread is typical)
        result = the median of the last five of the larger of fast and far: beyond 1 if three of five are,
                 or a mean of r over a dozen samples against the spread of that, if that is further off;
                 nothing confirms it, so it must be 5.5 of its spreads, and 5.5 % of the level

    The median of a group is not moved by fewer than half of its members; the spread in time makes up for
    that across only three, where a MAD is often nearly 0 by chance. The floor keeps identical peers from
    being told apart by a last digit, and half of the usual level as a divisor lets a group that idles say
    nothing. What belongs to the whole group is nobody's fault: when its load falls, noise that does not
    fall with it sets all of them further apart, and u makes up for that. Usual deviations and spreads are
    learned over hours, slower by far while they are anomalous.

    A member that is restarted warms up anew, unheard; one that was anomalous stays judged by what was known
    until then.

    When it fails: where half of the group or more is ill, the healthy look odd; members that only seem to do
    the same work (a balancer that prefers one) are flagged after each change of their shares; what has been
    less than `large` off from the first sample on is taken for the member's nature; one pod with several
    tensor-parallel groups is one group; a slow loss of less than about 2 % an hour is learned away.

    Source: median and MAD of peers with persistence is the test of Minder (arXiv 2411.01791) and of outlier
    monitors; 1.4826 makes MAD a standard deviation (Hampel 1974).
    """

    name = "peer"
    version = 2
    fails = "Where half of a group is ill the healthy look odd, and unequal work looks like unequal health."
    results = (PEER_DEVIATION,)

    def __init__(self, settings: PeerSettings | None = None) -> None:
        self.settings = settings or PeerSettings()
        self._params = _params(self.settings)
        self._slots = Slots(
            {
                **{name: Field(np.float32, 0.0) for name in _MEMORY},
                "counts": Field(np.int32, 0),
                "seen": Field(np.int64, 0),
                "told": Field(np.bool_, False),
                "last": Field(np.float32, 0.0),  # the newest result
                "silent": Field(np.int32, 0),  # samples after a restart of which nothing is said
                "fresh": Field(np.int32, 0),  # samples until what is learned beside takes over
                "fresh_offset": Field(np.float32, 0.0),
                "fresh_spread": Field(np.float32, 0.0),
            },
            {
                "narrow": Field(np.int64, _NO_GROUP),
                "wide": Field(np.int64, _NO_GROUP),
                "metric": Field(np.int64, -1),
            },
        )
        self._metrics: dict[str, int] = {}  # demanded
        self._keys: dict[Key, int] = {}
        self._layout: tuple[Ints, Ints] | None = None
        self._asked = np.zeros((0, 0), np.float32)  # for one moment

    def warm(self) -> None:
        """Compile the comparison, or load what was compiled before."""
        import detectors.peers.kernel  # noqa: F401

    def demand(self, window: Window, metric: str) -> None:
        """Compare the series of this metric from now on."""
        self.warm()  # now, not at the first moment
        self._metrics[metric] = max(self._metrics.values(), default=-1) + 1
        self._take(window, window.search([Matcher(NAME, Op.EQUAL, metric)])[0])

    def release(self, metric: str) -> None:
        """Forget all about this metric."""
        code = self._metrics.pop(metric)
        self._slots.keep(self._slots["metric"] != code)
        self._layout = None

    def notice(self, window: Window, known: int) -> None:
        """Find the groups of new series."""
        if self._metrics:
            new = [sid for sid in range(known, window.size) if window.labels(sid).name in self._metrics]
            self._take(window, np.array(new, np.int64))

    def watched(self, size: int) -> Flags:
        """The members of groups."""
        wanted = np.zeros(size, np.bool_)
        wanted[self._slots.ids] = self._slots["metric"] >= 0
        return wanted

    def step(self, moment: Moment) -> Results:
        """Judge the moment, then learn from it."""
        starts, rows = self._layout = self._layout or self._arranged()
        if not len(rows):
            return nothing(1)
        slots = self._slots
        restarted = slots.place[moment.restarted[moment.restarted < len(slots.place)]]
        self._restart(restarted[restarted >= 0])
        offsets = slots["offset"].copy() if slots["fresh"].any() else slots["offset"]
        judged, deviations = self._deviations(moment, starts, rows)
        self._warm_up(judged, deviations, offsets)
        ended = np.flatnonzero((deviations == -np.inf) & slots["told"])
        new = np.flatnonzero(np.isfinite(deviations))
        slots["told"][new] = True
        slots["told"][ended] = False
        ids = slots.ids[new]
        values = deviations[new, None].astype(np.float64)
        return Results(moment.times[ids], ids, values, slots.ids[ended], np.full(len(ended), moment.at))

    def _restart(self, rows: Ints) -> None:
        """These members begin anew; those with an alarm on learn it beside what judges them."""
        slots, warm_up = self._slots, self.settings.warm_up
        on = np.abs(slots["last"][rows]) > 1
        slots["fresh"][rows[on]] = warm_up
        slots["silent"][rows[~on]] = warm_up
        slots["fresh"][rows[~on]] = 0
        for name in ("fresh_offset", "fresh_spread"):
            slots[name][rows] = 0.0
        for name in (*_MEMORY[1:], "counts"):  # the level is the group's
            slots[name][rows[~on]] = 0

    def _warm_up(self, new: Flags, told: NDArray[np.float32], offsets: NDArray[np.float32]) -> None:
        """What restarts do to members with a new sample: silence, or a second memory that takes over."""
        slots = self._slots
        slots["last"][new] = np.nan_to_num(told[new], neginf=0.0)
        silent = np.flatnonzero(new & (slots["silent"] > 0))
        told[silent] = -np.inf
        slots["silent"][silent] -= 1
        rows = np.flatnonzero(new & (slots["fresh"] > 0))
        if not len(rows):
            return
        weight = 1.0 / (self.settings.warm_up + 1 - slots["fresh"][rows])
        off = self._asked[0, rows] + offsets[rows] - slots["fresh_offset"][rows]  # from the kernel: RESIDUAL
        slots["fresh_offset"][rows] += weight * off
        slots["fresh_spread"][rows] += weight * (np.abs(off) - slots["fresh_spread"][rows])
        slots["fresh"][rows] -= 1
        over = rows[slots["fresh"][rows] == 0]
        for name in _MEMORY[3:]:
            slots[name][over] = 0.0
        for name in ("offset", "spread"):
            slots[name][over] = slots[f"fresh_{name}"][over]
        slots["counts"][over] = self.settings.warm_up

    def _deviations(self, moment: Moment, starts: Ints, rows: Ints) -> tuple[Flags, NDArray[np.float32]]:
        """By row whether there is a new sample, and its deviation; -inf where there are too few peers."""
        from detectors.peers.kernel import ASKED, compare, judge

        slots, params = self._slots, self._params
        if self._asked.shape[1] != len(slots):
            self._asked = np.zeros((ASKED, len(slots)), np.float32)
        asked, new = self._asked, np.zeros(len(slots), np.bool_)
        told = np.full(len(slots), np.nan, np.float32)
        memory = tuple(slots[name] for name in _MEMORY)
        compare(
            starts, rows, slots.ids, moment.times, moment.values, moment.at, params, memory, slots["seen"],
            slots["counts"], new, asked, told,
        )  # fmt: skip
        judge(asked, memory, slots["counts"], new, told, params)
        told[new & (slots["counts"] < _LEAST)] = np.nan
        return new, told

    def snapshot(self, size: int) -> State:
        """Copies of all that it keeps of its members."""
        return self._slots.snapshot()

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot; members of metrics that nobody demands yet wait for that."""
        self._slots.restore(state, size)
        self._layout = None

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering; `notice(window, 0)` finds the groups anew."""
        self._slots.keep(self._slots["metric"] >= 0)
        self._slots.remap(remap)
        self._keys = {}
        for name in ("narrow", "wide"):
            self._slots[name][:] = _NO_GROUP
        self._layout = None

    @property
    def bytes(self) -> int:
        """Memory of what it keeps."""
        layout = 0 if self._layout is None else sum(array.nbytes for array in self._layout)
        return self._slots.bytes + layout + self._asked.nbytes

    def _take(self, window: Window, ids: Ints) -> None:
        rows = self._slots.add(ids)
        for row, sid in zip(rows.tolist(), ids.tolist(), strict=True):
            labels = window.labels(sid)
            narrow, wide = groups_of(labels)
            self._slots["metric"][row] = self._metrics[labels.name]
            self._slots["narrow"][row] = self._keys.setdefault(narrow, len(self._keys))
            if wide:
                self._slots["wide"][row] = self._keys.setdefault(wide, len(self._keys))
        if len(rows):
            self._layout = None

    def _arranged(self) -> tuple[Ints, Ints]:
        """Where the groups start, and the rows of their members, group by group."""
        narrow, wide = self._slots["narrow"], self._slots["wide"]
        groups = np.where(_sizes(narrow) >= _LEAST, narrow, _NO_GROUP)
        left = np.where(groups == _NO_GROUP, wide, _NO_GROUP)
        groups = np.where(_sizes(left) >= _LEAST, left, groups)
        rows = np.argsort(groups, kind="stable")
        rows = rows[groups[rows] != _NO_GROUP]
        starts = np.flatnonzero(np.diff(groups[rows], prepend=_NO_GROUP))
        return np.append(starts, len(rows)).astype(np.int64), rows


def _sizes(groups: Ints) -> Ints:
    """How many members the group of each row has; 0 where there is none."""
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    sizes: Ints = np.where(groups == _NO_GROUP, 0, counts[inverse] if len(groups) else 0)
    return sizes


def _params(settings: PeerSettings) -> Floats:
    """As the kernel wants them."""
    return np.array(
        [
            settings.floor,
            settings.threshold,
            settings.large,
            settings.offset_time,
            settings.spread_time,
            settings.warm_up,
            settings.fresh,
        ],
        np.float64,
    )
