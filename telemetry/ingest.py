"""From a scraped body to samples in the window, for one target, as Prometheus' scrape loop does it.

Each series gets the target's labels, is relabelled once, and is remembered by the number that the text
decoder gave it; a scrape like the one before costs a decode and one scatter. A series that the target no
longer shows, or all of them when a scrape fails, get a stale marker at the time of the scrape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from model.labels import NAME, Labels
from model.metric import Metric, Sample
from telemetry.bits import Flags, Ints
from telemetry.ingest_settings import IngestSettings
from telemetry.relabel import relabel
from telemetry.series_ids import DROPPED, NO_IDS, UNRESOLVED, SeriesIds, adopted
from telemetry.window import LimitExceeded, Target, Window
from wire.target_labels import with_target_labels
from wire.text import Exposition, MalformedExposition, TextDecoder

REPORTS = (
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
)
"""Series that each scrape adds about itself, under the target's labels."""

METRICS = (
    Metric("fleetowl_scrapes_total", "counter", "Scrapes by result.", ("result",)),
    Metric("fleetowl_scrape_samples_total", "counter", "Samples that came with scrapes."),
    Metric("fleetowl_scrape_samples_refused_total", "counter", "Samples left out, by reason.", ("reason",)),
)


@dataclass(slots=True)
class IngestStats:
    """Counts over the targets that share it."""

    scrapes: int = 0
    failed: int = 0
    scraped: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def samples(self) -> Iterator[Sample]:
        """Its own metrics, as METRICS declares them."""
        yield Sample("fleetowl_scrapes_total", {"result": "success"}, self.scrapes - self.failed)
        yield Sample("fleetowl_scrapes_total", {"result": "failure"}, self.failed)
        yield Sample("fleetowl_scrape_samples_total", {}, self.scraped)
        for reason, count in sorted(self.refused.items()):
            yield Sample("fleetowl_scrape_samples_refused_total", {"reason": reason}, count)


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of one scrape. `reason` is a sentence, empty when the target is up."""

    up: bool
    reason: str = ""
    scraped: int = 0
    """Samples in the body."""
    kept: int = 0
    """Samples after relabelling."""
    added: int = 0
    """Series that were not there in the scrape before."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """Samples left out, by reason."""


class _ScrapeFailed(Exception):
    """The scrape counts as failed though the body is sound: a limit of its configuration is exceeded."""


class TargetIngest:
    """The scrapes of one target.

    `key` names the target in the window, `interval` is in ms, `target_labels` are `job`, `instance` and what
    else its configuration says. Several targets may share `stats`.
    """

    def __init__(
        self,
        window: Window,
        key: str,
        interval: int,
        target_labels: Labels,
        settings: IngestSettings | None = None,
        stats: IngestStats | None = None,
    ) -> None:
        self.key = key
        self.interval = interval
        self.target_labels = target_labels
        self.settings = settings or IngestSettings()
        self.stats = stats if stats is not None else IngestStats()
        self._window = window
        self._decoder = TextDecoder()
        self._generation = 0
        self._series = SeriesIds(window)
        self._living: Ints | None = None  # what the last good scrape brought without times of its own
        self._last_places: list[int] = []
        self._last_ids: Ints = NO_IDS
        self._reports = SeriesIds(window)
        self._reports.extend(len(REPORTS))

    @property
    def comments(self) -> frozenset[bytes]:
        """The comment lines of the target, among them its metadata (wire.metadata)."""
        return self._decoder.comments

    def ingest(self, body: bytes, at: int, duration: float = 0.0, content_type: str = "") -> Ingested:
        """Store what a scrape brought, as of `at` (ms); `duration` in seconds, `content_type` the header.

        A malformed body, or more of anything than the scrape configuration allows, is a failed scrape.
        """
        self._follow_window()
        try:
            found = self._decoder.decode(body, content_type)
        except MalformedExposition as error:
            return self._failed(at, f"the answer is not in an exposition format: {error}", duration)
        target, refused = self._target(), Counter(found.refused)
        self._make_reports(target)  # before its samples: a full window must not hide that it is up
        try:
            ids, added = self._ids(target, found, refused)
        except _ScrapeFailed as error:
            return self._failed(at, str(error), duration, len(found.ids))
        self._store(target, at, found, ids, refused)
        scraped = len(found.ids) + sum(found.refused.values())
        # Prometheus counts a sample that comes twice as often as it comes, in both figures.
        kept = int((ids != DROPPED).sum()) + found.refused.get("duplicate", 0)
        self._report(target, at, [1.0, duration, scraped, kept, added])
        self.stats.scrapes += 1
        self.stats.scraped += scraped
        self.stats.refused.update(refused)
        return Ingested(True, "", scraped, kept, added, dict(refused))

    def fail(self, at: int, reason: str, duration: float = 0.0) -> Ingested:
        """Note that a scrape failed at `at` (ms): `up` is 0 and every series of the target is stale."""
        self._follow_window()
        return self._failed(at, reason, duration)

    def leave(self, at: int) -> None:
        """The target is no longer scraped: all its series end, `up` too, as of `at` (ms)."""
        self._follow_window()
        self._window.mark_stale(self._target(), at)
        self._living = NO_IDS

    def _failed(self, at: int, reason: str, duration: float, scraped: int = 0) -> Ingested:
        target = self._target()
        self._window.mark_stale(target, at, self._before(target))
        self._living = NO_IDS
        self._report(target, at, [0.0, duration, scraped, 0.0, 0.0])
        self.stats.scrapes += 1
        self.stats.failed += 1
        return Ingested(False, reason, scraped)

    def _target(self) -> Target:
        return self._window.target(self.key, self.interval)

    def _follow_window(self) -> None:
        changed, living = self._series.refresh(NO_IDS if self._living is None else self._living)
        self._living = None if self._living is None else living
        if changed:
            self._last_places = []
        self._reports.refresh()

    def _before(self, target: Target) -> Ints:
        """The series of the last good scrape; of the first scrape those that the window has of the target."""
        if self._living is not None:
            return self._living
        known = adopted(self._window, target)
        return known[[self._window.labels(sid).name not in REPORTS for sid in known.tolist()]]

    # From the decoder's numbers to the window's.

    def _ids(self, target: Target, found: Exposition, refused: Counter[str]) -> tuple[Ints, int]:
        """Window ids (or DROPPED, UNRESOLVED) of the body's samples, and how many series are new.

        Raises _ScrapeFailed.
        """
        if found.generation != self._generation:
            self._generation = found.generation
            self._series.clear()
            self._last_places = []
        if found.ids and found.ids == self._last_places:
            return self._last_ids, 0
        self._series.extend(len(self._decoder.labels))
        places = np.array(found.ids, np.int64)
        added = self._resolve(target, places, refused)
        ids = self._series.ids[places]
        # Series that the window refused are tried again with the next scrape.
        self._last_places = found.ids if not (ids == UNRESOLVED).any() else []
        self._last_ids = ids
        return ids, added

    def _resolve(self, target: Target, places: Ints, refused: Counter[str]) -> int:
        """Give the new series among `places` their window ids; how many there are. Raises _ScrapeFailed."""
        new = np.unique(places[self._series.ids[places] == UNRESOLVED]).tolist()
        labels = {place: self._labels(self._decoder.labels[place]) for place in new}
        self._check_sample_limit(places, [place for place, found in labels.items() if found is None])
        for place, found in labels.items():
            metric_type = self._decoder.types.get(self._decoder.labels[place].name, "unknown")
            try:
                self._series.resolve(place, target, found, metric_type)
            except LimitExceeded as error:
                refused[error.reason] += 1
        ids = self._series.ids[new]
        return int((~np.isin(ids[ids >= 0], NO_IDS if self._living is None else self._living)).sum())

    def _labels(self, exposed: Labels) -> Labels | None:
        """The labels of a series in the window; None if relabelling drops it. Raises _ScrapeFailed."""
        merged = with_target_labels(exposed, self.target_labels, self.settings.honor_labels)
        configs = self.settings.metric_relabel_configs
        found = relabel(merged, configs) if configs else merged
        if found is None:
            return None
        if not found.name:
            raise _ScrapeFailed(f"metric_relabel_configs leave {exposed} without a name")
        _check_label_limits(found, self.settings)
        return found

    def _check_sample_limit(self, places: Ints, dropped: list[int]) -> None:
        limit = self.settings.sample_limit
        if not limit:
            return
        out = (self._series.ids[places] == DROPPED) | np.isin(places, dropped)
        kept = len(places) - int(out.sum())
        if kept > limit:
            raise _ScrapeFailed(f"{kept} samples exceed sample_limit {limit}")

    # Into the window.

    def _store(self, target: Target, at: int, found: Exposition, ids: Ints, refused: Counter[str]) -> None:
        """Samples without a time of their own share `at`; series that had one before and have none end."""
        values = np.array(found.values, np.float64)
        shared: Flags = ids >= 0
        if found.timestamps is not None and self.settings.honor_timestamps:
            times = np.array(found.timestamps, np.int64)
            own = shared & (times != 0)
            refused.update(self._window.append_each(target, times[own], ids[own], values[own]).refused)
            shared &= ~own
        if not shared.all():
            ids, values = ids[shared], values[shared]
        refused.update(self._window.append(target, at, ids, values).refused)
        before = self._before(target)
        if ids is not before and not np.array_equal(ids, before):
            self._window.mark_stale(target, at, np.setdiff1d(before, ids))
        self._living = ids

    def _report(self, target: Target, at: int, values: list[float]) -> None:
        """The series about the scrape itself, as far as the window takes them."""
        self._make_reports(target)
        made: Flags = self._reports.ids >= 0
        self._window.append(target, at, self._reports.ids[made], np.array(values)[made])

    def _make_reports(self, target: Target) -> None:
        for place in np.flatnonzero(self._reports.ids == UNRESOLVED).tolist():
            try:
                labels = self.target_labels.merged({NAME: REPORTS[place]})
                self._reports.resolve(place, target, labels, "gauge")
            except LimitExceeded as error:
                self.stats.refused[error.reason] += 1


def _check_label_limits(labels: Labels, limits: IngestSettings) -> None:
    """As in Prometheus, one series beyond these limits fails the whole scrape. Raises _ScrapeFailed."""
    if not (limits.label_limit or limits.label_name_length_limit or limits.label_value_length_limit):
        return
    if limits.label_limit and len(labels) > limits.label_limit:
        raise _ScrapeFailed(f"{labels.name} has {len(labels)} labels, over label_limit {limits.label_limit}")
    for name, value in labels.pairs:
        for limit, text, key in (
            (limits.label_name_length_limit, name, "label_name_length_limit"),
            (limits.label_value_length_limit, value, "label_value_length_limit"),
        ):
            if limit and len(text.encode()) > limit:
                raise _ScrapeFailed(f"{labels.name} has a label {name[:40]!r} beyond {key} {limit}")
