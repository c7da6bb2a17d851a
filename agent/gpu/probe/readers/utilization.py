"""How busy a GPU says it is."""

from __future__ import annotations

from collections.abc import Mapping

from agent.gpu.probe.family import gauge, metrics
from agent.gpu.probe.target import Reader, Target

GPU_UTIL = gauge("DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %).", 100)
MEM_COPY_UTIL = gauge("DCGM_FI_DEV_MEM_COPY_UTIL", "Memory utilization (in %).", 100)
ENC_UTIL = gauge("DCGM_FI_DEV_ENC_UTIL", "Encoder utilization (in %).", 100)
DEC_UTIL = gauge("DCGM_FI_DEV_DEC_UTIL", "Decoder utilization (in %).", 100)
METRICS = metrics(GPU_UTIL, MEM_COPY_UTIL, ENC_UTIL, DEC_UTIL)


def _rates(target: Target) -> Mapping[str, float]:
    rates = target.nvml.nvmlDeviceGetUtilizationRates(target.handle)
    return {GPU_UTIL.name: rates.gpu, MEM_COPY_UTIL.name: rates.memory}


def _encoder(target: Target) -> Mapping[str, float]:
    return {ENC_UTIL.name: target.nvml.nvmlDeviceGetEncoderUtilization(target.handle)[0]}


def _decoder(target: Target) -> Mapping[str, float]:
    return {DEC_UTIL.name: target.nvml.nvmlDeviceGetDecoderUtilization(target.handle)[0]}


READERS = (
    Reader((GPU_UTIL, MEM_COPY_UTIL), _rates),
    Reader((ENC_UTIL,), _encoder),
    Reader((DEC_UTIL,), _decoder),
)
