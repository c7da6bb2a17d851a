"""Settings with a stage left out, to see what it is worth."""

from __future__ import annotations

from collections.abc import Collection

from alertmanager.route import ALL_LABELS
from alertmanager.settings import AlertmanagerSettings, RouteSettings
from analyzer.central import CentralSettings

STAGES = ("time_intervals", "inhibit", "silence", "topology", "flap", "learned")
"""The stages that hold alerts back, in the order in which they are asked."""

GROUPING = "grouping"
"""Without it every alert is a group of its own."""

URGENT_FIRST = "urgent first"
"""Without it a P0 waits as everything else does."""

SWITCHES = (*STAGES, GROUPING, URGENT_FIRST)
"""All that can be left out."""

_FLAGS = {"topology": "topology", "flap": "flap", URGENT_FIRST: "urgent_first"}


def without(settings: CentralSettings, off: Collection[str]) -> CentralSettings:
    """The settings with these left out. Raises ValueError for a name that is none of SWITCHES."""
    if unknown := sorted(set(off) - set(SWITCHES)):
        raise ValueError(f"{unknown[0]!r} cannot be left out: known are {', '.join(SWITCHES)}")
    own = settings.alertmanager
    flags = {_FLAGS[name]: False for name in off if name in _FLAGS}
    if flags:
        own = own.model_copy(update={"fleetowl": own.fleetowl.model_copy(update=flags)})
    if GROUPING in off:
        own = _ungrouped(own)
    return settings.model_copy(update={"alertmanager": own})


def _ungrouped(settings: AlertmanagerSettings) -> AlertmanagerSettings:
    def alone(route: RouteSettings) -> RouteSettings:
        children = tuple(alone(child) for child in route.routes)
        return route.model_copy(update={"group_by": (ALL_LABELS,), "routes": children})

    return settings.model_copy(update={"route": alone(settings.route)})
