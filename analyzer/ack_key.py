"""The secret that signs the links by which people acknowledge; made once, kept beside the state."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

log = logging.getLogger("fleetowl.analyzer")

ACK_KEY = "ack.key"
_SIZE = 32


def ack_key(directory: Path) -> bytes:
    """The key in this directory, made (mode 0600) where there is none.

    Where it can neither be read nor written, links hold until this process ends, which is said.
    """
    path = directory / ACK_KEY
    try:
        if path.exists() and len(found := path.read_bytes()) == _SIZE:
            return found
        return _make(path)
    except OSError as error:
        log.warning("links to acknowledge end with this process: %s cannot be kept: %s", path, error)
        return secrets.token_bytes(_SIZE)


def _make(path: Path) -> bytes:
    """On disk under another name first: a crash must not leave half a key."""
    key = secrets.token_bytes(_SIZE)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return key
