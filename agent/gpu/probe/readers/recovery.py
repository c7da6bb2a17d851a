"""What the driver itself wants done about a GPU."""

from __future__ import annotations

from collections.abc import Mapping

from agent.gpu.probe.family import gauge, metrics
from agent.gpu.probe.target import Reader, Target

_FIELD = 230  # NVML_FI_DEV_GET_GPU_RECOVERY_ACTION

RECOVERY_ACTION = gauge(
    "fleetowl_gpu_recovery_action",
    "What the driver wants done: 0 nothing, 1 reset the GPU, 2 reboot the node, 3 drain peer-to-peer "
    "traffic, 4 drain and reset, 5 recover the IMEX domain, 6 reset the bus, 7 reboot the system.",
    63,
)
METRICS = metrics(RECOVERY_ACTION)


def _action(target: Target) -> Mapping[str, float]:
    return target.field_values([(RECOVERY_ACTION.name, _FIELD, 0)])


READERS = (Reader((RECOVERY_ACTION,), _action),)
