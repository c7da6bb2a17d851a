"""Settings of the GPUs: the section `agent.gpu` of the configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from model.moment import SECOND
from model.settings import Duration, Settings


class GpuSettings(Settings):
    """NVIDIA GPUs through NVML."""

    enabled: bool = Field(True, description="Whether the driver is asked; a node without one is healthy.")
    deadline: Duration = Field(
        300,
        ge=10,
        le=10 * SECOND,
        description="A GPU that takes longer is left out of this beat, and not asked anew before it answers.",
    )
    hung_after: Duration = Field(
        5 * SECOND,
        gt=0,
        le=30 * SECOND,
        description="A driver call that takes longer is hung; a sleeping driver takes seconds to wake up.",
    )
    slow_interval: Duration = Field(
        30 * SECOND,
        ge=SECOND,
        description="Time between readings that take the driver long: energy, violations, links, MIG mode.",
    )
    hostname_label: Literal["Hostname", "hostname", "both"] = Field(
        "Hostname",
        description="Host label of DCGM_* series: dcgm-exporter's, `hostname` from May 2026 on.",
    )
    processes: bool = Field(True, description="Whether processes and their GPU memory are exported.")
