"""Where trends end, by metric: what runs out, what fills up, what decays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from detectors.trends.settings import TrendLimit

_FB_TOTAL = ["DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE"]


def _runs_out(kind: Literal["leak", "exhaustion"]) -> TrendLimit:
    return TrendLimit(limit=0.0, rising=False, kind=kind)


KNOWN: Mapping[str, TrendLimit] = {
    "node_memory_MemAvailable_bytes": _runs_out("leak"),
    "node_filesystem_avail_bytes": _runs_out("exhaustion"),
    "node_filesystem_free_bytes": _runs_out("exhaustion"),
    "node_filesystem_files_free": _runs_out("exhaustion"),
    "DCGM_FI_DEV_FB_FREE": _runs_out("leak"),
    "DCGM_FI_DEV_FB_USED": TrendLimit(total_of=_FB_TOTAL, kind="leak"),
    "vllm:kv_cache_usage_perc": TrendLimit(limit=1.0, kind="exhaustion"),
    "sglang:token_usage": TrendLimit(limit=1.0, kind="exhaustion"),
    # Twice what it was is a decay that users feel; an objective is set as a limit of one's own.
    "instance:time_to_first_token_seconds:mean5m": TrendLimit(multiple=2.0, kind="decay"),
    "instance:time_per_output_token_seconds:mean5m": TrendLimit(multiple=2.0, kind="decay"),
    # Corrected errors a second (counters come as rates): a storm that keeps the driver busy. Field
    # diagnostics of DCGM warn of 10 (DcgmGPUHardwareLimits.h).
    "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL": TrendLimit(limit=10.0, kind="decay"),
    # An A100 or H100 has 512 spare rows (DCGM fails it there). As a gauge: a rate has no such limit.
    "gpu:remapped_rows:total": TrendLimit(limit=512.0, kind="exhaustion"),
}


def limits_of(own: Mapping[str, TrendLimit]) -> dict[str, TrendLimit]:
    """The known limits, with one's own over them."""
    return {**KNOWN, **own}
