"""What the tests of deploy/ share: its folder and the tools that render it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


@pytest.fixture(scope="session")
def deploy() -> Path:
    """The folder deploy/."""
    return DEPLOY


@pytest.fixture(scope="session")
def tool() -> Callable[[Sequence[str]], str]:
    """Runs a real tool, returns its standard output; one that is not there is a skip, in CI a failure."""

    def run(command: Sequence[str]) -> str:
        if shutil.which(command[0]) is None:
            message = f"{command[0]} is not installed"
            pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
