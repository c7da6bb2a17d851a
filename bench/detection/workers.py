"""Independent pieces of work over at most two processes, with the same results as over one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")
MOST = 2


def spread_over(work: Callable[[Piece], Result], pieces: Sequence[Piece], jobs: int) -> list[Result]:
    """`work` of each piece, in their order; it is a function of a module, so that a process can find it."""
    if jobs <= 1 or len(pieces) < 2:
        return [work(piece) for piece in pieces]
    # Two processes of linear algebra with two threads each would only stand in each other's way.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    with ProcessPoolExecutor(min(jobs, MOST), get_context("spawn")) as pool:
        return list(pool.map(work, pieces))
