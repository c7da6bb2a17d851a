"""Where compiled code is kept between starts, so that only the first one compiles."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

log = logging.getLogger("fleetowl.detectors")


def keep_compiled(folder: Path) -> None:
    """Keep it in `folder` if it cannot be kept beside the sources; to be called before detectors are warmed.

    Beside the sources is numba's own choice, and NUMBA_CACHE_DIR that of the operator: both stay.
    """
    sources = Path(__file__).parent
    if os.environ.get("NUMBA_CACHE_DIR") or os.access(sources, os.W_OK):
        return
    import numba

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("compiled code cannot be kept in %s: %s; set NUMBA_CACHE_DIR", folder, error)
        return
    config: Any = numba.config
    config.CACHE_DIR = str(folder)
