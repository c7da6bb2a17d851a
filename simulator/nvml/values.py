"""What can be set of a GPU, in the units in which one thinks of it, and how the table keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from model.settings import did_you_mean, parse_size
from simulator.nvml.symbols import words
from simulator.nvml.table import COUNTERS, GAUGES, POLICIES, WIDE, Counter, Gpu, Link

REASONS = {
    "gpu_idle": 0x1,
    "clocks_setting": 0x2,
    "sw_power_cap": 0x4,
    "hw_slowdown": 0x8,
    "sync_boost": 0x10,
    "sw_thermal": 0x20,
    "hw_thermal": 0x40,
    "hw_power_brake": 0x80,
    "display_clocks": 0x100,
}
"""Why clocks are not higher, by NVML's bits (nvmlClocksEventReason*)."""

POLICY = {
    "power": 0,
    "thermal": 1,
    "sync_boost": 2,
    "board_limit": 3,
    "low_utilization": 4,
    "reliability": 5,
    "app_clocks": 10,
    "base_clocks": 11,
}
"""Performance policies (NVML_PERF_POLICY_*), whose violations are counted in ns."""

ACTIVITY = words("graphics sm occupancy integer tensor dfma hmma dmma imma dram fp64 fp32 fp16")
"""Shares of time that GPM measures, as `<name>_activity` in percent, in the order of its numbers from 1."""

LINK_COUNTERS = ("tx_bytes", "rx_bytes", "crc_flit", "crc_data", "replay", "recovery", "ecc")

_MILLI = {"power", "power_average", "power_limit", "power_limit_enforced", "power_limit_default"} | {
    "power_limit_min",
    "power_limit_max",
}
_BYTES = {"memory_total", "memory_reserved", "memory_used", "bar1_total", "bar1_used"}
_SECONDS = {"reason_sw_thermal", "reason_hw_thermal", "reason_power_brake"}
_TOGETHER = {name: f"{name}_aggregate" for name in COUNTERS if f"{name}_aggregate" in COUNTERS}
"""Counters that the driver keeps twice, since it was loaded and for the GPU's life."""


class UnknownValue(ValueError):
    """A name that is none of a GPU's values; the message has the nearest one."""


def set_rate(counter: Counter, rate: float, now: int) -> None:
    """From now on it grows by `rate` a second; what it has grown to stays."""
    grown = counter.part + counter.rate * max(now - counter.since, 0) / 1e9
    counter.whole += int(grown)
    counter.part = grown - int(grown)
    counter.rate, counter.since = rate, now


def set_count(counter: Counter, count: int, now: int) -> None:
    """It is `count` now, and grows on at its rate."""
    counter.whole, counter.part, counter.since = count, 0.0, now


def _names() -> list[str]:
    names = [*GAUGES, *WIDE, "temperature_margin", "reasons"]
    for counter in (*COUNTERS, *(f"violation_{policy}" for policy in POLICY)):
        names += [counter, f"{counter}_rate"]
    names += [f"{name}_activity" for name in ACTIVITY]
    return [
        *names,
        *(f"nvlink_{name}_rate" for name in LINK_COUNTERS),
        *(f"nvlink_{n}" for n in LINK_COUNTERS),
    ]


NAMES = frozenset(_names())
"""What `apply` can set."""


def check_names(names: Iterable[str]) -> None:
    """Raises UnknownValue for the first that cannot be set."""
    for name in names:
        if name not in NAMES:
            hint = did_you_mean(name, NAMES, "values") if len(name) > 2 else ""
            raise UnknownValue(f"a GPU has no value {name!r}" + (f" ({hint})" if hint else ""))


def apply(gpu: Gpu, values: dict[str, Any], now: int) -> None:
    """Set values in their natural units: power W, memory bytes or `76GiB`, shares percent, time seconds.

    `reasons` is a list of names of REASONS; the time in which they hold is counted as the driver does. What
    follows from a value follows it, unless it is set too: energy and average power from power, the margin
    from the temperature. Raises UnknownValue, or ValueError for what a value cannot be.
    """
    check_names(values)
    for name, value in values.items():
        try:
            _apply_one(gpu, name, value, now)
        except (TypeError, OverflowError, ValueError) as error:
            raise ValueError(f"{name}: {value!r} cannot be: {error}") from error
    if "power" in values:
        set_rate(gpu.energy, float(gpu.power), now)
        if "power_average" not in values:
            gpu.power_average = gpu.power
    if "temperature" in values and "temperature_margin" not in values:
        gpu.temperature_margin = _signed(gpu.temperature_gpu_max - gpu.temperature)


def _signed(value: int) -> int:
    return max(min(value, 2**31 - 1), -(2**31))


def _apply_one(gpu: Gpu, name: str, value: Any, now: int) -> None:
    if name == "reasons":
        _set_reasons(gpu, value, now)
    elif name.endswith("_activity"):
        set_rate(gpu.activity[ACTIVITY.index(name.removesuffix("_activity"))], float(value), now)
    elif name.startswith("nvlink_"):
        _set_links(gpu, name.removeprefix("nvlink_"), float(value), now)
    elif name in GAUGES or name in WIDE or name == "temperature_margin":
        setattr(gpu, name, _raw(name, value))
    else:
        _set_counters(gpu, name, value, now)


def _raw(name: str, value: Any) -> int:
    if name in _MILLI:
        return _unsigned(round(float(value) * 1000), 32)
    if name in _BYTES:
        return _unsigned(parse_size(value), 64)
    if isinstance(value, bool):
        return int(value)
    if not isinstance(value, int):
        raise TypeError("it is no whole number")
    return _unsigned(value, 64 if name in WIDE else 32) if name != "temperature_margin" else value


def _unsigned(value: int, bits: int) -> int:
    if not 0 <= value < 2**bits:
        raise OverflowError(f"it does not fit into {bits} bits")
    return value


def _counters_of(gpu: Gpu, name: str) -> tuple[list[Counter], float]:
    """The counters behind a name, and how much of the table's unit is one of ours."""
    if name.startswith("violation_"):
        return [gpu.violation[POLICY[name.removeprefix("violation_")]]], 1e9
    names = [name, _TOGETHER[name]] if name in _TOGETHER else [name]
    return [getattr(gpu, one) for one in names], 1e9 if name in _SECONDS else 1.0


def _set_counters(gpu: Gpu, name: str, value: Any, now: int) -> None:
    change: Callable[[Counter, Any, int], None] = set_rate if name.endswith("_rate") else set_count
    counters, unit = _counters_of(gpu, name.removesuffix("_rate"))
    for counter in counters:
        change(counter, value * unit if name.endswith("_rate") else int(value * unit), now)


def _set_links(gpu: Gpu, name: str, value: float, now: int) -> None:
    for index in range(gpu.link_count):
        share = value / gpu.link_count if name.endswith("_rate") else value // gpu.link_count
        set_link(gpu.links[index], {name: share}, now)


def set_link(link: Link, values: dict[str, Any], now: int) -> None:
    """Set values of one NVLink: `state`, `version`, a counter or its rate. Raises UnknownValue."""
    known = ["state", "version", *LINK_COUNTERS, *(f"{name}_rate" for name in LINK_COUNTERS)]
    for name, value in values.items():
        if name not in known:
            raise UnknownValue(f"an NVLink has no value {name!r} ({did_you_mean(name, known, 'values')})")
        if name in ("state", "version"):
            setattr(link, name, int(value))
        elif name.endswith("_rate"):
            set_rate(getattr(link, name.removesuffix("_rate")), float(value), now)
        else:
            set_count(getattr(link, name), int(value), now)


def apply_bogus(gpu: Gpu, name: str, value: float, now: int) -> None:
    """Put a value straight into the driver's answer: power in mW, counters at rest, nothing checked.

    Raises UnknownValue.
    """
    activity = name.removesuffix("_activity")
    if name in COUNTERS:
        set_rate(getattr(gpu, name), 0.0, now)
        set_count(getattr(gpu, name), int(value), now)
    elif name in GAUGES or name in WIDE or name == "temperature_margin":
        setattr(gpu, name, int(value))
    elif activity in ACTIVITY and activity != name:
        set_rate(gpu.activity[ACTIVITY.index(activity)], value, now)
    else:
        known = [*COUNTERS, *GAUGES, *WIDE, *(f"{one}_activity" for one in ACTIVITY)]
        raise UnknownValue(f"a GPU has no value {name!r} ({did_you_mean(name, known, 'values')})")


_THERMAL = REASONS["sw_thermal"] | REASONS["hw_thermal"]


def _set_reasons(gpu: Gpu, reasons: Any, now: int) -> None:
    if isinstance(reasons, str):
        raise TypeError("write a list of names")
    bits = 0
    for reason in reasons:
        if reason not in REASONS:
            raise ValueError(f"no such reason: {reason!r} ({did_you_mean(str(reason), REASONS, 'reasons')})")
        bits |= REASONS[reason]
    gpu.event_reasons = bits
    holding = {
        "violation_power": bits & REASONS["sw_power_cap"],
        "violation_thermal": bits & _THERMAL,
        "violation_sync_boost": bits & REASONS["sync_boost"],
        "reason_sw_thermal": bits & REASONS["sw_thermal"],
        "reason_hw_thermal": bits & REASONS["hw_thermal"],
        "reason_power_brake": bits & REASONS["hw_power_brake"],
    }
    for name, holds in holding.items():
        _set_counters(gpu, f"{name}_rate", 1.0 if holds else 0.0, now)


assert max(POLICY.values()) < POLICIES
