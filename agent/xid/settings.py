"""Settings of XIDs: the sections `agent.kernel_log` and `agent.xid` of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from model.settings import Duration, Settings

Tier = Literal["P0", "P1", "P2", "P3"]
"""P0: the node is unusable or data is at risk; P1: reset or drain the GPU; P2: degraded; P3: to know."""

Class = Literal["application", "driver", "memory", "link", "hardware"]
"""Where the cause of an XID lies."""


class KernelLogSettings(Settings):
    """The kernel's log, where the driver writes XIDs and SXids."""

    enabled: bool = Field(True, description="Whether the kernel log is read.")
    path: Path = Field(
        Path("/dev/kmsg"), description="The kernel's message device, or a log file that is followed."
    )


class RepeatSettings(Settings):
    """How often a code may come before it means more than one does."""

    times: int = Field(ge=2, le=1000, description="So many times, a burst within 30 s counted once.")
    within: Duration = Field(gt=0, le=7 * 24 * 3_600_000, description="Within this time.")
    tier: Tier = Field("P2", description="Tier then.")
    action: str = Field("diagnose", description="What to do then.")
    same: Literal["gpu", "unit"] = Field(
        "gpu", description="On the same GPU, or on the same unit of it (GPC and TPC, or link)."
    )
    alone: bool = Field(
        False, description="Only if no other GPU of the node, or no other unit, had the code meanwhile."
    )


class CodeSettings(Settings):
    """What differs from the catalogue for one code."""

    meaning: str | None = Field(None, min_length=1, description="What it means.")
    class_: Class | None = Field(None, alias="class", description="Where the cause lies.")
    tier: Tier | None = Field(None, description="How urgent it is.")
    action: str | None = Field(None, description="What to do: an action of docs/xid.md.")
    repeat: RepeatSettings | Literal["none"] | None = Field(
        None, description="When a repetition means more; `none` for never."
    )


class XidSettings(Settings):
    """What an XID means and asks for."""

    preset: Literal["fleetowl", "nvidia", "eks", "gpud", "strict"] = Field(
        "fleetowl", description="Whose opinion holds where they differ: a preset of docs/xid.md."
    )
    codes: dict[int, CodeSettings] = Field(
        {}, description="What differs for single codes, for example `63: {tier: P1, action: reset_gpu}`."
    )

    @model_validator(mode="after")
    def _fits_the_catalogue(self) -> Self:
        # Only here: the catalogue is read by who needs it.
        from agent.xid.catalogue import catalogue

        catalogue(self.preset, self.codes)
        return self
