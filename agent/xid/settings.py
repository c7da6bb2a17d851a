"""Settings of XIDs: the sections `agent.kernel_log` and `agent.xid` of the configuration."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from model.settings import Settings


class KernelLogSettings(Settings):
    """The kernel's log, where the driver writes XIDs and SXids."""

    enabled: bool = Field(True, description="Whether the kernel log is read.")
    path: Path = Field(
        Path("/dev/kmsg"), description="The kernel's message device, or a log file that is followed."
    )
