"""Settings with a stage left out, to see what it is worth."""

from __future__ import annotations

from collections.abc import Collection

from alertmanager.route import ALL_LABELS
from alertmanager.settings import RouteSettings
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
    own = own.model_copy(update={"route": _route_without(own.route, off)})
    return settings.model_copy(update={"alertmanager": own})


def _route_without(route: RouteSettings, off: Collection[str]) -> RouteSettings:
    changed: dict[str, object] = {}
    if GROUPING in off:
        changed["group_by"] = (ALL_LABELS,)
    if "time_intervals" in off:
        changed |= {"mute_time_intervals": (), "active_time_intervals": ()}
    children = tuple(_route_without(child, off) for child in route.routes)
    return route.model_copy(update={**changed, "routes": children})
