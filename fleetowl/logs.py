"""The log: sentences on stderr, or one JSON object a line for machines."""

from __future__ import annotations

import json as json_text
import logging
import sys

from fleetowl.visible import visible
from model.moment import SECOND, format_moment


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One record; what is not its first line is indented, so that no text can pass for a record."""
        return visible(super().format(record), keep="\n").replace("\n", "\n  ")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One record as one JSON object."""
        line = {
            "at": format_moment(round(record.created * SECOND)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": visible(record.getMessage(), keep="\n"),
        }
        if record.exc_info:
            line["exception"] = visible(self.formatException(record.exc_info), keep="\n")
        return json_text.dumps(line, ensure_ascii=False)


def configure(*, verbose: bool, json: bool) -> None:
    """Send the log of all rooms to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    plain = _Lines("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
    handler.setFormatter(_JsonLines() if json else plain)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("fleetowl").setLevel(logging.DEBUG if verbose else logging.INFO)
