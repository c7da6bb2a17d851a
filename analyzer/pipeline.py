"""The one way through the house: window, scores, rules, alerts, incidents, notifications, actions.

A pipeline does nothing to the outside. `step` takes the moment and returns what is to be done, so a test,
a replay and the simulator run hours of it in seconds.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from alertmanager.dispatch import Notification
from runbooks.engine import Intent

log = logging.getLogger("fleetowl.analyzer")


@dataclass
class Effects:
    """What one tick asks for."""

    notifications: list[Notification] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
