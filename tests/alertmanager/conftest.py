"""The fixture that most tests of this room start from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.alertmanager.night import Night, settings_of


@pytest.fixture
def night() -> Callable[..., Night]:
    """Make a night with these settings."""

    def build(**arguments: Any) -> Night:
        return Night(settings_of(**arguments))

    return build
