"""From when on the window has data, so that a question about earlier times is never answered by silence."""

from __future__ import annotations

from collections.abc import Callable

from model.moment import format_moment
from telemetry.window import Window


class Reach:
    """The beginning of what the window holds. `now` reads the clock (ms)."""

    def __init__(self, window: Callable[[], Window], now: Callable[[], int]) -> None:
        self._window = window
        self._now = now
        self._full = False  # once it reaches back over its retention, it always does

    def begins(self) -> int:
        """The moment (ms): the retention back from now, later while the window has not filled yet."""
        now = self._now()
        begins = now - self._window().retention
        if self._full:
            return begins
        oldest = self._window().oldest()
        self._full = oldest is not None and oldest <= begins
        return max(begins, now if oldest is None else oldest)

    def warnings(self, since: int) -> list[str]:
        """What to say to a question that reaches back to `since` (ms)."""
        begins = self.begins()
        if since >= begins:
            return []
        return [f"the window begins at {format_moment(begins)}; what is older is not there"]
