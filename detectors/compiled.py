"""Compiled functions, and where they are kept between starts, so that only the first one compiles."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import cache
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


def compiled(*signatures: Any, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator: `numba.njit` with these signatures and options, kept on disk where that can be.

    With signatures the import of the module compiles, so that no call ever does.
    """
    from numba import njit

    build: Any = njit

    def decorated(function: Callable[..., Any]) -> Any:
        try:
            return build(*signatures, cache=True, **options)(function)
        except (RuntimeError, OSError) as error:
            _say(str(error).partition(" for file")[0])
            return build(*signatures, **options)(function)

    return decorated


@cache
def _say(error: str) -> None:
    log.warning("compiled code is not kept, every start takes some seconds longer: %s", error)
