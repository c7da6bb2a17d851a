"""Puts the GPUs' source together: the probe's client, and those who hear what the driver reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.event import Emit
from agent.gpu import families
from agent.gpu.client import ProbeClient, probe_command
from agent.gpu.hold import Hold
from agent.gpu.protocol import Occurrence, Sweep
from agent.gpu.source import Companion, GpuSource, nobody
from agent.gpu.xids import XidHistory
from agent.pods.owner import Owners
from agent.settings import AgentSettings


def gpu_source(
    settings: AgentSettings,
    emit: Emit,
    hold: Hold,
    owners: Owners = nobody,
    history: XidHistory | None = None,
    companions: Sequence[Companion] = (),
    followers: Sequence[Callable[[Sweep], None]] = (),
    listeners: Sequence[Callable[[Occurrence], None]] = (),
    remember: bool = True,
) -> GpuSource:
    """The source; the probe is started by its first reading. `listeners` hear events, as they come."""

    def heard(occurrence: Occurrence) -> None:
        for listen in listeners:
            listen(occurrence)
        source.look()

    client = ProbeClient(probe_command(settings.gpu), settings.gpu, heard, hold)
    source = GpuSource(
        settings,
        client,
        emit,
        families.METRICS,
        owners,
        history,
        companions,
        followers=followers,
        remember=remember,
    )
    return source
