"""What this room says about itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from incidents.incident import Incident
from model.alert import Tier
from model.metric import Metric, Sample

METRICS = (
    Metric("fleetowl_incidents_open", "gauge", "Open incidents.", ("tier",)),
    Metric("fleetowl_incidents_opened_total", "counter", "Incidents that were opened.", ("tier",)),
    Metric("fleetowl_incidents_alerts_joined_total", "counter", "Alerts that joined an open incident."),
    Metric("fleetowl_incidents_merged_total", "counter", "Incidents that became part of another."),
)


@dataclass
class Figures:
    """Counters since the start."""

    opened: Counter[str] = field(default_factory=Counter)
    joined: int = 0
    merged: int = 0

    def samples(self, still_open: Iterable[Incident]) -> Iterator[Sample]:
        """The families of METRICS."""
        tiers = Counter(incident.tier.name for incident in still_open)
        for tier in Tier:
            yield Sample("fleetowl_incidents_open", {"tier": tier.name}, tiers[tier.name])
            yield Sample("fleetowl_incidents_opened_total", {"tier": tier.name}, self.opened[tier.name])
        yield Sample("fleetowl_incidents_alerts_joined_total", {}, self.joined)
        yield Sample("fleetowl_incidents_merged_total", {}, self.merged)
