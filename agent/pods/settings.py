"""Settings of the pods on this node: the section `agent.pods` of the configuration."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from model.moment import SECOND
from model.settings import Duration, Settings


class PodSettings(Settings):
    """Which pod, namespace and container has which GPU."""

    enabled: bool = Field(True, description="Whether the kubelet is asked; a node without one is healthy.")
    socket: Path = Field(
        Path("/var/lib/kubelet/pod-resources/kubelet.sock"), description="The kubelet's pod-resources socket."
    )
    interval: Duration = Field(15 * SECOND, ge=SECOND, description="Time between questions.")
