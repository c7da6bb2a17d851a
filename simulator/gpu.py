"""One accelerator: work -> power -> temperature -> clock. A hot GPU slows its clock and so its engine.

Thermal model: T moves to inlet + resistance x power with one time constant; power follows the clock
with the exponent 2.2 (P ~ f V^2, and V falls with f). The slowdown is a hysteresis controller, so the
sawtooth of a throttling GPU comes out of the model and is not painted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from model.topology import Entity
from simulator.settings import GpuSettings

_CLOCK_TO_POWER = 2.2
_HYSTERESIS = 1.0  # degrees on either side of the slowdown temperature
_SLOW_DOWN = 60.0  # MHz per second while too hot
_SPEED_UP = 20.0  # MHz per second once cooler
_MEMORY_ABOVE = 12.0  # HBM runs that much hotter than the core under load
_MEMORY_INERTIA = 1.25
_IDLE_CLOCK = 345.0
_PREFILL_POWER = 0.05 / 1400  # share of the dynamic power per prompt token per second
_SPINNING_POWER = 160.0  # a rank that polls for its peers draws little
_UNUSED_MEMORY = 4


class Work(NamedTuple):
    """What an engine asked of its GPU over the last interval: shares of time, 0 to 1."""

    busy: float = 0.0
    prefill: float = 0.0  # prompt tokens per second: compute-bound, so it draws more than decoding
    memory: int = _UNUSED_MEMORY  # MiB held
    spinning: bool = False


@dataclass
class Gpu:
    """State of one GPU. The fields under "faults" are what fault files set; the rest follows."""

    node: str
    index: int
    uuid: str
    pci_bus_id: str
    settings: GpuSettings
    resistance: float = 1.0  # no two boards are alike: thermal resistance and power draw
    draw: float = 1.0
    # faults
    present: bool = True  # the driver can reach it
    cooling: float = 1.0  # thermal resistance, as a multiple of a healthy one
    slowdown: float = 1.0  # a silent straggler: same clock, slower work
    link_slowdown: float = 1.0  # retries on NVLink
    xid: int = 0
    ecc_dbe: int = 0
    remapped_rows: int = 0
    remap_pending: int = 0
    remap_failure: int = 0
    crc_rate: float = 0.0  # NVLink flit CRC errors per second
    pcie_replay_rate: float = 0.0
    # what the exporter on the node still knows of it
    visible: bool = True
    # physics
    clock: float = field(init=False)
    temperature: float = field(init=False)
    memory_temperature: float = field(init=False)
    power: float = field(init=False)
    throttling: bool = False
    busy: float = 0.0
    tensor: float = 0.0
    memory_used: int = _UNUSED_MEMORY
    energy: float = 0.0  # J
    throttled: float = 0.0  # s under thermal slowdown
    crc_errors: float = 0.0
    pcie_replays: float = 0.0

    def __post_init__(self) -> None:
        self.clock, self.power = self.settings.clock, self.settings.idle_power
        self.settle(self.power)

    @property
    def name(self) -> str:
        """What its entity is called: the UUID."""
        return self.uuid

    @property
    def entity(self) -> Entity:
        """Its name in the topology."""
        return Entity("gpu", self.uuid)

    def settle(self, power: float) -> None:
        """Be as warm as after a long time at `power` (W)."""
        self.temperature = self.settings.inlet + self._heating(power)
        self.memory_temperature = self.temperature + _MEMORY_ABOVE * power / self.settings.busy_power

    @property
    def slowness(self) -> float:
        """How much longer a piece of work takes here than on a healthy GPU."""
        return float(self.settings.clock / self.clock * self.slowdown * self.link_slowdown)

    def step(self, seconds: float, work: Work, group_slowness: float, inlet: float) -> None:
        """Move on by `seconds` under `work`; `group_slowness` is that of the slowest rank it waits for."""
        if not self.present:
            return
        own = self.slowness / max(group_slowness, self.slowness)  # the rest of the time it waits for a peer
        self.busy, self.memory_used = (1.0 if work.spinning else work.busy), work.memory
        self.tensor = 0.0 if work.spinning else 0.35 * work.busy * own
        self.power = self._power(work, own)
        self._heat(seconds, inlet)
        self._govern(seconds, work)
        self.energy += self.power * seconds
        self.crc_errors += self.crc_rate * seconds
        self.pcie_replays += self.pcie_replay_rate * seconds

    def _power(self, work: Work, own: float) -> float:
        settings = self.settings
        if work.spinning:
            return _SPINNING_POWER
        idle = settings.idle_power if work.memory > _UNUSED_MEMORY else settings.idle_power * 0.65
        intensity = (0.95 + work.prefill * _PREFILL_POWER) * (0.75 + 0.25 * own) / self.slowdown
        dynamic = (settings.busy_power - settings.idle_power) * work.busy * intensity
        at_clock = (idle + dynamic * math.pow(self.clock / settings.clock, _CLOCK_TO_POWER)) * self.draw
        return min(at_clock, settings.power_limit)

    def _heating(self, power: float) -> float:
        return self.settings.heating * power / self.settings.busy_power * self.resistance * self.cooling

    def _heat(self, seconds: float, inlet: float) -> None:
        share = 1 - math.exp(-seconds * 1000 / self.settings.time_constant)
        self.temperature += (inlet + self._heating(self.power) - self.temperature) * share
        above = _MEMORY_ABOVE * self.power / self.settings.busy_power
        self.memory_temperature += (
            (self.temperature + above - self.memory_temperature) * share / _MEMORY_INERTIA
        )

    def _govern(self, seconds: float, work: Work) -> None:
        settings = self.settings
        if self.temperature >= settings.slowdown + _HYSTERESIS:
            self.throttling = True
        elif self.temperature <= settings.slowdown - _HYSTERESIS:
            self.throttling = False
        if self.throttling:
            self.throttled += seconds
            self.clock = max(settings.throttled_clock, self.clock - _SLOW_DOWN * seconds)
        elif work.memory <= _UNUSED_MEMORY:
            self.clock = _IDLE_CLOCK
        elif self.clock < settings.throttled_clock:  # it wakes from idle, which takes no time
            self.clock = settings.clock
        else:
            self.clock = min(settings.clock, self.clock + _SPEED_UP * seconds)

    def reset(self) -> None:
        """What a GPU reset does: it is there again, and its volatile errors are gone."""
        self.present, self.visible = True, True
        self.xid = self.ecc_dbe = self.remap_pending = 0
        self.clock, self.throttling, self.busy, self.tensor = self.settings.clock, False, 0.0, 0.0
        self.memory_used = _UNUSED_MEMORY
