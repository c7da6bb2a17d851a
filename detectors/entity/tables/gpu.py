"""Features of a GPU or of an instance of one (MIG): dcgm-exporter's names, which Fleetowl's agent has too.

Left out: codes (XID, clock-event reasons), limits, 0-or-1 states: rules name their values.
"""

from __future__ import annotations

from detectors.entity.feature import Feature, Part, plain

GPU = (
    plain(
        "DCGM_FI_DEV_GPU_TEMP", "Cooling: a fan, a blocked inlet, dried paste; against power it shows early."
    ),
    plain("DCGM_FI_DEV_MEMORY_TEMP", "Cooling of the memory, which throttles on its own."),
    plain("DCGM_FI_DEV_POWER_USAGE", "Work that is really done, and power brakes."),
    plain("DCGM_FI_DEV_SM_CLOCK", "Throttling of any cause."),
    plain("DCGM_FI_DEV_MEM_CLOCK", "A memory clock that fell to a lower state under load."),
    plain("DCGM_FI_DEV_GPU_UTIL", "Load, as the driver counts it; a hung kernel holds it at 100."),
    plain("DCGM_FI_DEV_MEM_COPY_UTIL", "Load of the memory's interface: what decoding is bound by."),
    plain("DCGM_FI_DEV_FB_USED", "A leak, a process that was left behind, a model that was unloaded."),
    plain("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "Share of time with any work."),
    plain(
        "DCGM_FI_PROF_SM_ACTIVE",
        "Share of multiprocessors at work: utilisation of 100 with this low is a stall.",
    ),
    plain("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "Matrix work: what a straggler does less of."),
    plain("DCGM_FI_PROF_DRAM_ACTIVE", "Memory traffic: what decoding needs most."),
    Feature(
        "DCGM_FI_PROF_PCIE_BYTES",
        "Transfers to and from the host; a link that fell to fewer lanes, swapping of the KV cache.",
        (Part("DCGM_FI_PROF_PCIE_TX_BYTES"), Part("DCGM_FI_PROF_PCIE_RX_BYTES")),
    ),
    Feature(
        "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL",
        "Traffic of tensor parallelism, over all links: one lost link shows here.",
        (Part("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "sum"),),
    ),
    plain("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "Packets sent again: a bad riser, slot or cable."),
    Feature(
        "DCGM_FI_DEV_NVLINK_ERRORS",
        "Errors of the links that are repaired on the way, and cost time.",
        tuple(
            Part(f"DCGM_FI_DEV_NVLINK_{error}_ERROR_COUNT_TOTAL", "sum")
            for error in ("CRC_FLIT", "CRC_DATA", "REPLAY", "RECOVERY")
        ),
    ),
    plain(
        "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL",
        "Corrected memory errors: storms of them come before the uncorrected.",
    ),
    plain("DCGM_FI_DEV_POWER_VIOLATION", "Time below the wanted clock for want of power."),
    plain("DCGM_FI_DEV_THERMAL_VIOLATION", "Time below the wanted clock for heat."),
)
