"""A metric that Fleetowl exports about itself: declared once, rendered on /metrics, listed in the docs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Metric(NamedTuple):
    """Name, type (`counter` or `gauge`), help text and label names of one family."""

    name: str
    type: str
    help: str
    labels: tuple[str, ...] = ()


class Sample(NamedTuple):
    """One value of a family."""

    name: str
    labels: Mapping[str, str]
    value: float
