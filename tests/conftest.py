"""What all tests share: where the shared data lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real captures; absent is a skip, in CI a failure."""
    path = Path(os.environ.get("FLEETOWL_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        message = f"no shared data at {path}: set FLEETOWL_DATA"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path
