"""How well the kernel's clock is kept in step, from adjtimex(2)."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator

from agent.host import Host, NoData, labelled
from agent.registry import Collector, register
from model.metric import Metric, Sample

_STA_NANO = 0x2000  # linux/timex.h: offset and jitter are in nanoseconds, else in microseconds
_TIME_ERROR = 5
_MICRO, _NANO = 1e-6, 1e-9
_SCALED_PPM = 1 / (1_000_000 * 65_536)  # frequencies are parts per million, with a 16-bit fraction


class Timex(ctypes.Structure):
    """`struct timex` of a 64-bit Linux."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", ctypes.c_long * 2),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long),
        ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    )


def adjtimex() -> tuple[int, Timex]:
    """The clock's state (0 to 5) and what the kernel knows of it. Raises NoData where that is forbidden."""
    buffer = Timex()
    state = int(ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(buffer)))
    if state < 0:
        raise NoData(f"adjtimex: {os.strerror(ctypes.get_errno())}")
    return state, buffer


@register("timex")
class TimexCollector(Collector):
    """The families of node_exporter, but for those of a pulse per second that nobody has wired."""

    metrics = (
        Metric(
            "node_timex_offset_seconds",
            "gauge",
            "Time offset in between local system and reference clock.",
        ),
        Metric("node_timex_frequency_adjustment_ratio", "gauge", "Local clock frequency adjustment."),
        Metric("node_timex_maxerror_seconds", "gauge", "Maximum error in seconds."),
        Metric("node_timex_estimated_error_seconds", "gauge", "Estimated error in seconds."),
        Metric("node_timex_status", "gauge", "Value of the status array bits."),
        Metric("node_timex_loop_time_constant", "gauge", "Phase-locked loop time constant."),
        Metric("node_timex_tick_seconds", "gauge", "Seconds between clock ticks."),
        Metric("node_timex_tai_offset_seconds", "gauge", "International Atomic Time (TAI) offset."),
        Metric(
            "node_timex_sync_status",
            "gauge",
            "Is clock synchronized to a reliable server (1 = yes, 0 = no).",
        ),
    )

    def __init__(self, host: Host, ask: Callable[[], tuple[int, Timex]] = adjtimex) -> None:
        super().__init__(host)
        self._ask = ask

    def collect(self) -> Iterator[Sample]:
        """One sample a family."""
        state, clock = self._ask()
        fraction = _NANO if clock.status & _STA_NANO else _MICRO
        values = (
            clock.offset * fraction,
            1 + clock.freq * _SCALED_PPM,
            clock.maxerror * _MICRO,
            clock.esterror * _MICRO,
            clock.status,
            clock.constant,
            clock.tick * _MICRO,
            clock.tai,
            state != _TIME_ERROR,
        )
        for metric, value in zip(self.metrics, values, strict=True):
            yield Sample(metric.name, labelled(), float(value))
