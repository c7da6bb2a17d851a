"""What held the clocks down lately: how many readings of the last minutes named each reason."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

from agent.gpu.labels import DEVICE
from model.metric import Metric

FAMILY = "DCGM_EXP_CLOCK_EVENTS_COUNT"
WINDOW = 300_000
"""Milliseconds; dcgm-exporter's --clock-events-count-window-size."""

METRICS = (
    Metric(
        FAMILY,
        "gauge",
        "Readings within the window that named a clock event.",
        (*DEVICE, "clock_event", "window_size_in_ms"),
    ),
)

BITMASKS = ("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS")
"""The families that hold the reasons as a bit mask, the new name first."""

NAMES: Mapping[int, str] = {
    0x1: "gpu_idle",
    0x2: "clocks_setting",
    0x4: "power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal",
    0x40: "hw_thermal",
    0x80: "hw_power_brake",
    0x100: "display_clocks",
}
"""Source: dcgm-exporter internal/pkg/collector/clock_events_collector.go."""


class ClockEvents:
    """Counts within a sliding window, for one device."""

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._readings: deque[tuple[int, int]] = deque()
        self._counts: Counter[int] = Counter()

    def add(self, at: int, mask: int) -> None:
        """A reading at `at` (ms)."""
        self._readings.append((at, mask))
        for bit in NAMES:
            if mask & bit:
                self._counts[bit] += 1

    def counts(self, now: int) -> dict[str, int]:
        """Readings after `now` - window by clock event; those that were not named are left out."""
        while self._readings and self._readings[0][0] <= now - self._window:
            _, mask = self._readings.popleft()
            for bit in NAMES:
                if mask & bit:
                    self._counts[bit] -= 1
        return {name: self._counts[bit] for bit, name in NAMES.items() if self._counts[bit] > 0}
