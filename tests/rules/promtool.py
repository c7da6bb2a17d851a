"""Runs the real promtool."""

from __future__ import annotations

import subprocess
from collections.abc import Callable


def promtool(peer_binary: Callable[[str], str], *arguments: str) -> tuple[int, str]:
    """Its exit status, and what it said on both channels."""
    answer = subprocess.run([peer_binary("promtool"), *arguments], capture_output=True, text=True)
    return answer.returncode, answer.stdout + answer.stderr
