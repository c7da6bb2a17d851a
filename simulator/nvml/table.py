"""The control table: what the test says and the library answers, one flat file that both map into memory.

The structures here are the only description of the layout; `header` writes them as C, so they cannot drift.
The test writes under a sequence number (a seqlock: odd while writing) and the library reads again when it has
changed meanwhile, so a change of many values is seen as a whole, at once, in every process. Counters are a
value, a rate and a moment: the library integrates, so that they are monotone whoever reads them.
"""

from __future__ import annotations

import ctypes
from ctypes import (
    Structure,
    c_char,
    c_double,
    c_int32,
    c_int64,
    c_uint8,
    c_uint32,
    c_uint64,
)
from typing import Any

from simulator.nvml.symbols import CALLS, words

MAX_GPUS = 16
MAX_LINKS = 18
"""NVLinks of a Hopper GPU."""
MAX_INSTANCES = 7
"""MIG instances of one GPU."""
MAX_PROCESSES = 64
MAX_EVENTS = 256
MAX_BLOCKED = 128
MAX_FIELD = 320
"""One more than the largest field number that nvidia-ml-py 13 knows (307), with room."""
POLICIES = 12
"""Performance policies (NVML_PERF_POLICY_COUNT)."""
ACTIVITIES = 13
"""GPM metrics that are shares of time: numbers 1 to 13."""
ANY_CALL = len(CALLS)
FOREVER = 2**63 - 1

UP, LOST, RESET_REQUIRED = 0, 15, 16
"""States of a GPU: the code that its calls return."""


class Counter(Structure):
    """`whole + part + rate x (now - since)`, `rate` per second and `since` in ns of the table's clock."""

    _fields_ = (("whole", c_uint64), ("part", c_double), ("rate", c_double), ("since", c_int64))


class Link(Structure):
    """One NVLink. Traffic in bytes."""

    _fields_ = (
        ("state", c_uint32),
        ("version", c_uint32),
        ("tx_bytes", Counter),
        ("rx_bytes", Counter),
        ("crc_flit", Counter),
        ("crc_data", Counter),
        ("replay", Counter),
        ("recovery", Counter),
        ("ecc", Counter),
    )


class Process(Structure):
    """A process with memory of the GPU; `kind` 0 compute, 1 graphics, 2 MPS."""

    _fields_ = (
        ("pid", c_uint32),
        ("kind", c_uint32),
        ("bytes", c_uint64),
        ("gpu_instance", c_uint32),
        ("compute_instance", c_uint32),
        ("name", c_char * 64),
    )


class Instance(Structure):
    """A MIG device: one compute instance of one GPU instance."""

    _fields_ = (
        ("uuid", c_char * 96),
        ("profile", c_char * 32),
        ("gpu_instance", c_uint32),
        ("compute_instance", c_uint32),
        ("slices", c_uint32),
        ("multiprocessors", c_uint32),
        ("memory_total", c_uint64),
        ("memory_reserved", c_uint64),
        ("memory_used", c_uint64),
        ("activity", Counter * ACTIVITIES),
    )


GAUGES = words("""
utilization memory_utilization encoder_utilization decoder_utilization jpeg_utilization
optical_flow_utilization
temperature memory_temperature temperature_shutdown temperature_slowdown temperature_memory_max
temperature_gpu_max
power power_average power_limit power_limit_enforced power_limit_default power_limit_min power_limit_max
clock_graphics clock_sm clock_memory clock_video
clock_graphics_max clock_sm_max clock_memory_max clock_video_max
clock_graphics_application clock_sm_application clock_memory_application clock_video_application
performance_state fans fan_speed pcie_generation pcie_generation_max pcie_width pcie_width_max
ecc_mode ecc_pending recovery_action
remapped_correctable remapped_uncorrectable remap_pending remap_failure
histogram_max histogram_high histogram_partial histogram_low histogram_none
retired_single retired_double retired_pending sram_threshold_exceeded
channel_repair_pending tpc_repair_pending unrepairable_memory
fabric_state fabric_status fabric_clique fabric_health_mask fabric_health_summary
mig_mode mig_pending mig_max persistence_mode compute_mode
""")
"""32-bit values that are what they are until changed. Temperatures C, power mW, clocks MHz, shares %."""

WIDE = words(
    "memory_total memory_reserved memory_used bar1_total bar1_used "
    "event_reasons event_reasons_supported event_types"
)
"""64-bit values; memory in bytes."""

COUNTERS = words("""
energy ecc_sbe ecc_dbe ecc_sbe_aggregate ecc_dbe_aggregate
sram_sbe sram_dbe sram_parity sram_sbe_aggregate sram_dbe_aggregate sram_parity_aggregate
pcie_replay pcie_tx_bytes pcie_rx_bytes pcie_correctable pcie_fatal pcie_bad_tlp pcie_l0_to_recovery
reason_sw_thermal reason_hw_thermal reason_power_brake
""")
"""Values that only grow. Energy in mJ, PCIe traffic in bytes, reasons in ns, the rest in errors."""


class Gpu(Structure):
    """One GPU."""

    _fields_ = (
        ("name", c_char * 96),
        ("uuid", c_char * 96),
        ("serial", c_char * 32),
        ("vbios", c_char * 32),
        ("state", c_uint32),
        ("listed", c_uint32),
        ("minor", c_uint32),
        ("architecture", c_uint32),
        ("brand", c_uint32),
        ("compute_major", c_uint32),
        ("compute_minor", c_uint32),
        ("pci_domain", c_uint32),
        ("pci_bus", c_uint32),
        ("pci_device", c_uint32),
        ("pci_device_id", c_uint32),
        ("pci_subsystem_id", c_uint32),
        ("gpm", c_uint32),
        ("mig_epoch", c_uint32),
        ("temperature_margin", c_int32),
        ("link_count", c_uint32),
        ("instance_count", c_uint32),
        ("process_count", c_uint32),
        *((name, c_uint32) for name in GAUGES),
        *((name, c_uint64) for name in WIDE),
        *((name, Counter) for name in COUNTERS),
        ("violation", Counter * POLICIES),
        ("activity", Counter * ACTIVITIES),
        ("links", Link * MAX_LINKS),
        ("instances", Instance * MAX_INSTANCES),
        ("processes", Process * MAX_PROCESSES),
        ("field_code", c_uint8 * MAX_FIELD),
    )


class Rule(Structure):
    """What happens to a call before it is answered: it sleeps, hangs until a moment, returns a code."""

    _fields_ = (
        ("code", c_int32),
        ("latency_ms", c_uint32),
        ("hang_until", c_int64),
    )


class Event(Structure):
    """Something that the driver reports by itself."""

    _fields_ = (
        ("type", c_uint64),
        ("data", c_uint64),
        ("gpu", c_uint32),
        ("gpu_instance", c_uint32),
        ("compute_instance", c_uint32),
    )


class Blocked(Structure):
    """A call that is sleeping or hanging now; free where `pid` is 0. Written by the library."""

    _fields_ = (("pid", c_int32), ("call", c_uint32), ("gpu", c_int32), ("hanging", c_uint32))


class Table(Structure):
    """The whole file. Rules and counts of calls have column 0 for calls without a GPU, or for any GPU."""

    _fields_ = (
        ("magic", c_uint32),
        ("sequence", c_uint32),
        ("size", c_uint64),
        ("stepped", c_uint32),
        ("generation", c_uint32),
        ("clock", c_int64),
        ("init_code", c_int32),
        ("cuda", c_int32),
        ("driver", c_char * 80),
        ("nvml", c_char * 80),
        ("gpu_count", c_uint32),
        ("pcie_block_ms", c_uint32),
        ("event_count", c_uint64),
        ("events", Event * MAX_EVENTS),
        ("rules", (Rule * (MAX_GPUS + 1)) * (len(CALLS) + 1)),
        ("gpus", Gpu * MAX_GPUS),
        ("calls", (c_uint64 * (MAX_GPUS + 1)) * len(CALLS)),
        ("blocked", Blocked * MAX_BLOCKED),
    )


MAGIC = 0x464F574C
"""`FOWL`."""

_NAMES: dict[Any, str] = {
    c_char: "char",
    c_uint8: "uint8_t",
    c_int32: "int32_t",
    c_uint32: "uint32_t",
    c_int64: "int64_t",
    c_uint64: "uint64_t",
    c_double: "double",
}
_CONSTANTS = words(
    "MAX_GPUS MAX_LINKS MAX_INSTANCES MAX_PROCESSES MAX_EVENTS MAX_BLOCKED MAX_FIELD POLICIES ACTIVITIES "
    "ANY_CALL MAGIC"
)


def header() -> str:
    """The layout and the numbers of the calls as a C header."""
    lines = ["/* Written by simulator.nvml.table: do not edit. */", "#pragma once", "#include <stdint.h>", ""]
    lines += [f"#define {name} {globals()[name]}" for name in _CONSTANTS]
    lines += ["", "enum call {", *(f"    CALL_{call}," for call in CALLS), "};"]
    for structure in (Counter, Link, Process, Instance, Gpu, Rule, Event, Blocked, Table):
        lines += _declaration(structure)
    return "\n".join(lines) + "\n"


def _declaration(structure: type[Structure]) -> list[str]:
    name = f"struct {structure.__name__.lower()}"
    fields = [f"    {_field(field[0], field[1])};" for field in structure._fields_]
    size = ctypes.sizeof(structure)
    return ["", f"{name} {{", *fields, "};", f'_Static_assert(sizeof({name}) == {size}, "{name}");']


def _field(name: str, kind: Any) -> str:
    while hasattr(kind, "_length_"):
        name, kind = f"{name}[{kind._length_}]", kind._type_
    return f"{_NAMES.get(kind) or f'struct {kind.__name__.lower()}'} {name}"
