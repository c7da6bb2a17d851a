"""Settings of the GPUs: the section `agent.gpu` of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from model.moment import DAY, MINUTE, SECOND
from model.settings import Duration, Settings, default_state_directory


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
        description="Spelling of the host label on DCGM_* series; dcgm-exporter wrote `Hostname` until "
        "May 2026 and writes `hostname` since.",
    )
    processes: bool = Field(True, description="Whether processes and their GPU memory are exported.")
    resume_after: Duration = Field(
        15 * MINUTE,
        description="SIGUSR1 makes the agent let go of the driver, so that it can be upgraded or a GPU "
        "be reset; SIGUSR2 makes it take the driver again, and so does this time. `0s`: only the signal.",
    )
    last_seen: Path = Field(
        default_factory=lambda: default_state_directory() / "gpus.json",
        description="File of the GPUs that were there, so that one that a reboot has lost is missed; "
        "default: `gpus.json` in the state directory.",
    )
    forget_after: Duration = Field(
        7 * DAY, ge=MINUTE, description="A GPU that has been lost for so long is missed no more."
    )
