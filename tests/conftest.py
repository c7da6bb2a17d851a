"""What all tests share: where the shared data lies, and which real tools they stand beside."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
IN_CI = bool(os.environ.get("CI"))


def _leave_out(message: str) -> None:
    """A test without what it needs is a skip that says why; in CI it is a failure."""
    if IN_CI:
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real captures; absent is a skip, in CI a failure."""
    path = Path(os.environ.get("FLEETOWL_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        _leave_out(f"no shared data at {path}: set FLEETOWL_DATA")
    return path


@pytest.fixture(scope="session")
def peer_binary() -> Callable[[str], str]:
    """The path of a real tool by name; absent is a skip, in CI a failure."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            _leave_out(f"{name} is not here: `make peers` fetches what it can")
        return str(path)

    return find
