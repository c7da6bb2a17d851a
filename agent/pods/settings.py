"""Settings of the pods on this node: the section `agent.pods` of the configuration."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from model.moment import MINUTE, SECOND
from model.settings import Duration, Settings


class PodSettings(Settings):
    """Which pod, namespace and container has which GPU."""

    enabled: bool = Field(True, description="Whether the kubelet is asked; a node without one is healthy.")
    socket: Path = Field(
        Path("/var/lib/kubelet/pod-resources/kubelet.sock"), description="The kubelet's pod-resources socket."
    )
    interval: Duration = Field(
        15 * SECOND, ge=SECOND, le=5 * MINUTE, description="Time between questions, and between readings."
    )
    timeout: Duration = Field(
        5 * SECOND, gt=0, le=MINUTE, description="A question that takes longer has failed."
    )
    resources: list[str] = Field(
        ["nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-*", "gpu.nvidia.com"],
        description="Resource names (and drivers of resource claims) that are GPUs; `*` stands for anything.",
    )
    processes_shown: int = Field(
        32,
        ge=0,
        le=1000,
        description="Processes with series of their own, largest first; the rest is summed.",
    )
