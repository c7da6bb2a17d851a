"""How often Python looks for objects that refer to one another and to nobody else.

By default it looks after every 700 objects that came and stayed, and a storm of alerts brings millions that
are no garbage: a fifth of the time of a storm went into looking, at times for a third of a second.
"""

from __future__ import annotations

import gc

_YOUNG, _MIDDLE, _OLD = 10_000, 10, 50
"""Objects before the youngest are looked at; rounds of that before the next older, and the oldest."""


def calm() -> None:
    """For the start of a process: what is there now is never looked at, the rest more seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
