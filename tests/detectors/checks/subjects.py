"""The detectors that the checks are held for: all that there are, with short warm-ups."""

from __future__ import annotations

from typing import Any

from detectors.entity.settings import EntitySettings
from detectors.settings import DetectorSettings

SETTINGS = DetectorSettings(entities=EntitySettings(warm_up="10m", sample=256, trees=16))
WARM: dict[str, int] = {"level": 130}
"""Ticks after which no false alarm is forgiven, by detector."""
QUIET = 20
"""Ticks after a restart that are part of every warm-up."""
CUSTOM: dict[str, dict[str, Any]] = {
    "trees": {"use": "river.anomaly.HalfSpaceTrees", "arguments": {"n_trees": 5, "window_size": 40}},
    "adwin": {"use": "river.drift.ADWIN", "arguments": {"clock": 4, "delta": 0.05}},
    "ecod": {"use": "pyod.models.ecod.ECOD"},
    "hbos": {"use": "pyod.models.hbos.HBOS"},
}
"""Those of other libraries take seconds to import: the acceptance tests hold the checks for them."""
SHORT = {"metrics": "node_load1|vllm:generation_tokens_total", "warm_up": 60, "lags": 2, "budget": 1}


def with_custom() -> DetectorSettings:
    """Settings with all detectors of other libraries."""
    custom = [{"name": name, "sample": 256, **SHORT, **one} for name, one in CUSTOM.items()]
    return DetectorSettings.model_validate({"custom": custom})
