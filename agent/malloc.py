"""What the agent and its probe ask of the C library's allocator."""

from __future__ import annotations

import ctypes

_ARENAS = -8  # M_ARENA_MAX of malloc.h


def use_one_arena() -> None:
    """Have all threads allocate from one place: by default each gets an arena of its own, which stays.

    For the start of a process. No effect where the C library is not glibc.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_ARENAS, 1)
