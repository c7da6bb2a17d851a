"""One arena for all threads."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PROCESS = """
import ctypes, sys, threading
from agent.malloc import use_one_arena
libc = ctypes.CDLL(None)
if not hasattr(libc, "malloc_info"):
    print("no glibc")
    sys.exit()
if sys.argv[1] == "one":
    use_one_arena()
together = threading.Barrier(4)
def allocate():
    held = [bytearray(1000) for _ in range(1000)]
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


@pytest.mark.parametrize("arenas", ["one", "many"])
def test_threads_share_an_arena(arenas: str) -> None:
    said = subprocess.run(
        [sys.executable, "-c", _PROCESS, arenas], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    if said == "no glibc\n":
        pytest.skip("only glibc has arenas")
    assert (said.count("<heap nr=") == 1) is (arenas == "one")
