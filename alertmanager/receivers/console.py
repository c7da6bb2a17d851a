"""A readable block on standard output, for a demo or a terminal."""

from __future__ import annotations

import sys

from alertmanager.notification import Notification, Outcome
from alertmanager.text import body, title


class Console:
    """Prints the title and, below it, the alerts."""

    def __init__(self, external_url: str = "") -> None:
        self._external_url = external_url

    async def send(self, notification: Notification) -> Outcome:
        """Print it."""
        indented = body(notification, self._external_url).replace("\n\n", "\n").replace("\n", "\n    ")
        try:
            print(f"{title(notification)}\n    {indented}", file=sys.stdout, flush=True)
        except (OSError, ValueError) as error:  # a closed pipe must not look like a sent page
            return Outcome(False, True, f"standard output is gone: {error}")
        return Outcome(True, False, "printed")
