"""Whether a vGPU has its license; 0 where the device is no vGPU, as DCGM has it."""

from __future__ import annotations

from collections.abc import Mapping

from agent.gpu.probe.errors import LACKING
from agent.gpu.probe.family import gauge, metrics
from agent.gpu.probe.target import Reader, Target

LICENSE = gauge("DCGM_FI_DEV_VGPU_LICENSE_STATUS", "vGPU License status", 1)
METRICS = metrics(LICENSE)


def _license(target: Target) -> Mapping[str, float]:
    try:
        features = target.nvml.nvmlDeviceGetGridLicensableFeatures_v4(target.handle)
    except target.nvml.NVMLError as error:
        if error.value not in LACKING:
            raise
        return {LICENSE.name: 0}
    known = features.gridLicensableFeatures[: features.licensableFeaturesCount]
    licensed = features.isGridLicenseSupported and any(feature.featureState for feature in known)
    return {LICENSE.name: int(bool(licensed))}


READERS = (Reader((LICENSE,), _license, slow=True),)
