"""How fast alerts are worked off that were accepted and wait, beside those who send and receive.

While senders are active they come first: ticks are short, and rest for a while after each. When the senders
pause, the ticks take nearly everything; in each rest the loop answers whoever waits.
"""

from __future__ import annotations

FIRST = 500
"""Alerts, besides every P0, that the first tick of a storm takes."""

FEWEST, MOST = 50, 5000

_BUSY_SECONDS, _CALM_SECONDS = 0.05, 0.15
"""What a tick may take: nobody is answered meanwhile."""

_BUSY_SHARE, _CALM_SHARE = 3.0, 0.05
"""The rest after a tick, as a share of what it took."""

_LEAST_REST, _LONGEST_REST = 0.002, 0.25


class Pace:
    """`at_once` is how many waiting alerts the next tick takes, `rest` how long (s) until it begins."""

    def __init__(self) -> None:
        self.at_once = FIRST
        self.rest = _LEAST_REST

    def after(self, seconds: float, *, calm: bool) -> int:
        """After a tick that took so long: how many the next one takes. `calm` where nobody sends.

        >>> pace = Pace()
        >>> pace.after(0.05, calm=False), pace.after(0.15, calm=True), pace.after(0.1, calm=False)
        (500, 500, 250)
        """
        aim, share = (_CALM_SECONDS, _CALM_SHARE) if calm else (_BUSY_SECONDS, _BUSY_SHARE)
        self.rest = max(_LEAST_REST, min(seconds * share, _LONGEST_REST))
        change = max(0.5, min(aim / max(seconds, 1e-6), 2.0))
        self.at_once = max(FEWEST, min(round(self.at_once * change), MOST))
        return self.at_once
