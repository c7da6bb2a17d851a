"""dcgm-exporter's families of XIDs, from the agent's own history of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from agent.gpu.labels import DEVICE
from model.labels import Labels
from model.metric import Metric, Sample

WINDOW = 300_000
"""Milliseconds; dcgm-exporter's --xid-count-window-size."""

METRICS = (
    Metric("DCGM_FI_DEV_XID_ERRORS", "gauge", "Value of the last XID error encountered.", DEVICE),
    Metric(
        "DCGM_EXP_XID_ERRORS_COUNT",
        "gauge",
        "XID errors within the window, by code.",
        (*DEVICE, "window_size_in_ms", "xid"),
    ),
)


class XidHistory(Protocol):
    """What is known of a GPU's XIDs."""

    def last(self, uuid: str) -> int:
        """The last code, 0 if there was none."""

    def recent(self, uuid: str, now: int) -> Mapping[int, int]:
        """How often each code came within five minutes before `now` (ms)."""


def samples_of(history: XidHistory, uuid: str, labels: Labels, counted: Labels, now: int) -> Iterator[Sample]:
    """The families of one GPU. `counted` are its labels with the window's size.

    As dcgm-exporter does, a GPU without any has a count of 0 that names no code.
    """
    yield Sample("DCGM_FI_DEV_XID_ERRORS", labels, float(history.last(uuid)))
    recent = history.recent(uuid, now)
    for code, count in recent.items():
        yield Sample("DCGM_EXP_XID_ERRORS_COUNT", counted.merged({"xid": str(code)}), float(count))
    if not recent:
        yield Sample("DCGM_EXP_XID_ERRORS_COUNT", counted, 0.0)
