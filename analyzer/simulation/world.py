"""The topology that a history shows: what its alerts say to stand on what, by their labels alone."""

from __future__ import annotations

from collections.abc import Iterable

from incidents.topology_feed import TopologyFeed
from model.labels import Labels
from model.topology import Topology


def known_before(label_sets: Iterable[Labels], keep: int, now: int) -> TopologyFeed:
    """Every edge that the labels of an alert show, as known from `now` (ms) on, for `keep` ms.

    A running analyzer learns the topology from metrics before anything breaks, so what the whole history
    shows is taken as known at its beginning.
    """
    feed = TopologyFeed(Topology(keep))
    for labels in dict.fromkeys(label_sets):
        feed.observe_alert(labels, now)
    return feed
