"""What the tests of XIDs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.settings import AgentSettings
from agent.xid.settings import XidSettings
from tests.agent.xid.node import Node


@pytest.fixture
def node() -> Node:
    """A node whose GPUs are known."""
    return Node()


@pytest.fixture
def node_with() -> Callable[[XidSettings], Node]:
    """A node with settings of its own."""
    return Node


@pytest.fixture
def settings(tmp_path: Path) -> AgentSettings:
    """The agent's, with a kernel log in a folder of the test."""
    return AgentSettings.model_validate({"node": "n1", "kernel_log": {"path": str(tmp_path / "kern.log")}})
