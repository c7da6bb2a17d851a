"""What became of the noise: how many alerts came in, and what each stage left of them.

`raw` counts every alert that was received, repetitions too; `deduplicated` those that only repeated what
was known, so that raw - deduplicated is the news. The others count episodes (an alert from its start to its
end), each once, however often its group is flushed: `grouped` joined a group that had others; `muted`,
`inhibited`, `silenced`, `topology`, `flap` and `learned` were held back by that stage at some flush;
`notified` stood in a notification that was decided. An episode may count in several of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from alertmanager.alerts import Episode
from model.metric import Metric, Sample

STAGES = (
    "raw",
    "deduplicated",
    "grouped",
    "muted",
    "inhibited",
    "silenced",
    "topology",
    "flap",
    "learned",
    "notified",
)

METRICS = (
    Metric(
        "fleetowl_alerts_stage_total",
        "counter",
        "Alerts by what became of them: raw and deduplicated count what was received, the others alerts from "
        "their start to their end, each once.",
        ("stage",),
    ),
)

_COUNTED_AS = {"inhibit": "inhibited", "silence": "silenced", "time_intervals": "muted"}
"""What stages that hold alerts back are called here, where that is not their own name."""


class Noise:
    """The counts since the process started."""

    def __init__(self) -> None:
        self._counts = Counter(dict.fromkeys(STAGES, 0))
        self._bits: dict[str, int] = {}

    def received(self, alerts: int, news: int) -> None:
        """So many alerts came in, of which so many were news."""
        self._counts["raw"] += alerts
        self._counts["deduplicated"] += alerts - news

    def grouped(self, alerts: int) -> None:
        """So many joined others in their group."""
        self._counts["grouped"] += alerts

    def mark(self, stage: str, episodes: Iterable[Episode]) -> None:
        """These went through, or were held by, this stage; each counts once."""
        name = _COUNTED_AS.get(stage, stage)
        bit = self._bits.setdefault(name, 1 << len(self._bits))
        for episode in episodes:
            if not episode.marks & bit:
                episode.marks |= bit
                self._counts[name] += 1

    def counts(self) -> dict[str, int]:
        """By stage, in the order in which alerts meet them."""
        return dict(self._counts)

    def samples(self) -> Iterator[Sample]:
        """Own metrics."""
        for stage, count in self._counts.items():
            yield Sample("fleetowl_alerts_stage_total", {"stage": stage}, count)
