"""One analyzer a state directory: two would overwrite each other's memory without a word."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path

from model.settings import ConfigurationError, Problem

log = logging.getLogger("fleetowl.analyzer")


class Claim:
    """The state directory, held by this process until `release`; a kill releases it too."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "lock"
        self._file: int | None = None

    def take(self) -> None:
        """Hold the directory. Raises ConfigurationError if another process does.

        A directory that cannot be written to is only said: there is nothing in it to protect.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            log.error("the state directory %s cannot be used: %s", self._path.parent, error)
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(file)
            hint = "end it, or give this one another analyzer.state_directory"
            message = "another analyzer keeps its state here"
            raise ConfigurationError([Problem(str(self._path.parent), "", message, hint)]) from error
        self._file = file

    def release(self) -> None:
        """Let another process have it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
