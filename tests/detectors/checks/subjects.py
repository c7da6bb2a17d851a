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
_GPU = {"entity": "gpu"}
CUSTOM: dict[str, dict[str, Any]] = {
    "trees": {"use": "river.anomaly.HalfSpaceTrees", "arguments": {"n_trees": 5, "window_size": 40}},
    "adwin": {"use": "river.drift.ADWIN", "arguments": {"clock": 4, "delta": 0.05}},
    "ecod": {"use": "pyod.models.ecod.ECOD"},
    "hbos": {"use": "pyod.models.hbos.HBOS"},
    "gpu_trees": {
        "use": "river.anomaly.HalfSpaceTrees",
        "arguments": {"n_trees": 5, "window_size": 40},
        **_GPU,
    },
    "gpu_hbos": {"use": "pyod.models.hbos.HBOS", **_GPU},
}
"""Those of other libraries take seconds to import: the acceptance tests hold the checks for them."""
SHORT = {"warm_up": 60, "budget": 1, "sample": 256}
_SERIES = {"metrics": "node_load1|vllm:generation_tokens_total", "lags": 2}


def with_custom() -> DetectorSettings:
    """Settings with all detectors of other libraries."""
    custom = [
        {"name": name, **SHORT, **({} if "entity" in one else _SERIES), **one} for name, one in CUSTOM.items()
    ]
    return DetectorSettings.model_validate({"custom": custom})
