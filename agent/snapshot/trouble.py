"""What of a GPU needs a look, in words, worst first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from agent.snapshot.facts import Facts, increase
from agent.snapshot.words import clock_reasons, counted, recovery_action

Check = Callable[[Facts], Iterator[str]]

_BUSY_PERCENT = 50

COUNTERS = {
    "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL": "corrected memory errors",
    "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS": "memory rows remapped after correctable errors",
    "DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL": "NVLink CRC errors",
    "DCGM_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL": "NVLink data CRC errors",
    "DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL": "NVLink replays",
    "DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL": "NVLink recoveries",
    "DCGM_FI_DEV_PCIE_REPLAY_COUNTER": "PCIe replays",
}
"""What every GPU has some of: trouble while it grows, else worth a word."""


def trouble_of(before: Facts | None, own: Facts) -> tuple[str, ...]:
    """All that the checks find in the series of one GPU, and the counters that grew since `before`."""
    grown = (
        f"{words} growing, {count:.0f} more"
        for family, words in COUNTERS.items()
        if (count := increase(before, own, family))
    )
    return (*(words for check in _CHECKS for words in check(own)), *grown)


def notes_of(own: Facts) -> tuple[str, ...]:
    """Counters that are not zero, whatever that means."""
    return tuple(
        f"{words}: {count:.0f}" for family, words in COUNTERS.items() if (count := own.total(family))
    )


def _recovery(own: Facts) -> Iterator[str]:
    action = recovery_action(int(own.value("fleetowl_gpu_recovery_action") or 0))
    if action:
        yield f"the driver asks: {action}"


def _ecc(own: Facts) -> Iterator[str]:
    double = own.total("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL")
    if double:
        yield counted(double, "uncorrectable memory error") + " since the driver was loaded"


def _remap(own: Facts) -> Iterator[str]:
    if own.value("DCGM_FI_DEV_ROW_REMAP_FAILURE"):
        yield "a memory row could not be remapped: replace the GPU"
    pending = own.value("DCGM_FI_DEV_ROW_REMAP_PENDING")
    if pending:
        yield "a memory row waits to be remapped: reset the GPU"
    retired = own.value("DCGM_FI_DEV_RETIRED_PENDING")
    if retired:
        yield f"{counted(retired, 'page waits', 'pages wait')} to be retired: reset the GPU"
    rows = own.value("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS")
    if rows:
        yield counted(rows, "memory row") + " remapped after uncorrectable errors"


def _clocks(own: Facts) -> Iterator[str]:
    reasons = clock_reasons(int(own.value("DCGM_FI_DEV_CLOCKS_EVENT_REASONS") or 0), harmful=True)
    if reasons:
        yield "slowed down: " + ", ".join(reasons)


def _links(own: Facts) -> Iterator[str]:
    down = {labels.value("nvlink") for labels, value in own.named("fleetowl_gpu_nvlink_up") if value == 0}
    if down:
        yield f"NVLink {', '.join(sorted(down, key=lambda link: (len(link), link)))} down"


def _pcie(own: Facts) -> Iterator[str]:
    width, most = own.value("DCGM_FI_DEV_PCIE_LINK_WIDTH"), own.value("DCGM_FI_DEV_PCIE_MAX_LINK_WIDTH")
    if width is not None and most is not None and 0 < width < most:
        yield f"PCIe x{width:.0f} of x{most:.0f}"
    # The link's speed falls when the GPU idles, which is no trouble; at work it should be the highest.
    speed, top = own.value("DCGM_FI_DEV_PCIE_LINK_GEN"), own.value("DCGM_FI_DEV_PCIE_MAX_LINK_GEN")
    busy = (own.value("DCGM_FI_DEV_GPU_UTIL") or 0.0) > _BUSY_PERCENT
    if busy and speed is not None and top is not None and 0 < speed < top:
        yield f"PCIe generation {speed:.0f} of {top:.0f} while busy"


_CHECKS: tuple[Check, ...] = (_recovery, _remap, _ecc, _clocks, _links, _pcie)
