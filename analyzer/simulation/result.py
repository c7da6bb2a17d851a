"""What a simulation found, and the figures of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from analyzer.simulation.ablation import STAGES
from analyzer.simulation.verdict import Sent, Verdict
from model.moment import SECOND, format_moment


@dataclass(frozen=True, slots=True)
class FaultFigures:
    """What people heard of one fault: notifications of any receiver; ms from its first alert to its first."""

    fault: str
    began_at: int
    firing: int
    resolved: int
    first_page: int | None
    alerts: int
    why: tuple[str, ...] = ()

    @property
    def told(self) -> bool:
        """Whether anybody heard of it; if not it was wrongly suppressed, `why` says by what."""
        return self.first_page is not None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        page = None if self.first_page is None else self.first_page / SECOND
        return {
            "fault": self.fault,
            "began_at": format_moment(self.began_at),
            "alerts": self.alerts,
            "notifications": self.firing + self.resolved,
            "firing": self.firing,
            "resolved": self.resolved,
            "seconds_to_first_page": page,
            "told": self.told,
            "why": list(self.why),
        }


@dataclass(frozen=True)
class Result:
    """Everything that would have been sent, and what became of each alert. Times are ms."""

    sent: tuple[Sent, ...]
    verdicts: tuple[Verdict, ...]
    lines: int
    began_at: int
    ended_at: int
    incidents: int
    warnings: tuple[str, ...] = ()
    off: tuple[str, ...] = field(default=())

    @property
    def noise(self) -> dict[str, int]:
        """Alerts stage by stage; a stage counts those that it held back at least once."""
        held = Counter(stage for verdict in self.verdicts for stage in verdict.held)
        stages = [*STAGES, *sorted(held.keys() - set(STAGES))]
        return {
            "raw": self.lines,
            "deduplicated": len(self.verdicts),
            "grouped": len({(one.notification.group_key, one.notification.receiver) for one in self.sent}),
            **{stage: held[stage] for stage in stages},
            "told": sum(verdict.told for verdict in self.verdicts),
            "notified": len(self.sent),
        }

    @property
    def receivers(self) -> dict[str, dict[str, int]]:
        """Notifications per receiver."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for sent in self.sent:
            counts[sent.notification.receiver][sent.notification.status] += 1
        return {name: dict(sorted(counts[name].items())) for name in sorted(counts)}

    @property
    def faults(self) -> list[FaultFigures]:
        """The faults in the order of their beginnings."""
        verdicts: dict[str, list[Verdict]] = defaultdict(list)
        for verdict in self.verdicts:
            for fault in verdict.faults:
                verdicts[fault].append(verdict)
        told: dict[str, list[Sent]] = defaultdict(list)
        for sent in self.sent:
            for fault in sent.faults:
                told[fault].append(sent)
        figures = [_figures(fault, verdicts[fault], told[fault]) for fault in verdicts]
        return sorted(figures, key=lambda one: (one.began_at, one.fault))

    @property
    def suppressed(self) -> list[FaultFigures]:
        """The faults of which nobody ever heard."""
        return [figures for figures in self.faults if not figures.told]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "from": format_moment(self.began_at),
            "until": format_moment(self.ended_at),
            "off": list(self.off),
            "warnings": list(self.warnings),
            "notifications": [sent.document() for sent in self.sent],
            "noise": self.noise,
            "incidents": self.incidents,
            "receivers": self.receivers,
            "faults": [figures.document() for figures in self.faults],
            "wrongly_suppressed": [figures.fault for figures in self.suppressed],
            "alerts": [verdict.document() for verdict in self.verdicts],
        }


def _figures(fault: str, verdicts: Sequence[Verdict], told: Sequence[Sent]) -> FaultFigures:
    began_at = min(verdict.began_at for verdict in verdicts)
    pages = [verdict.told_at for verdict in verdicts if verdict.told_at is not None]
    firing = sum(sent.firing for sent in told)
    why = () if pages else tuple(sorted({f"{verdict.alert.name}: {verdict.why}" for verdict in verdicts}))
    first_page = min(pages) - began_at if pages else None
    return FaultFigures(fault, began_at, firing, len(told) - firing, first_page, len(verdicts), why)
