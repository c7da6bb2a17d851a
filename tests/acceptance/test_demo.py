"""The demo, as `make demo` runs it, from fault to recovery."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.acceptance


def test_the_demo_tells_its_story_and_ends_well() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fleetowl", "demo", "--once"],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout
    order = [
        told.index(word) for word in ("injected", "detected", "incident", "notified", "cordon", "resolved")
    ]
    assert order == sorted(order), told
