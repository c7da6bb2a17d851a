"""The calls that the stub answers, by the C name, which is the one that nvidia-ml-py looks up."""

from __future__ import annotations

from model.settings import did_you_mean


def words(text: str) -> tuple[str, ...]:
    """The names in a text, for lists that are read better without commas."""
    return tuple(text.split())


SYSTEM = words("""
nvmlInit nvmlInit_v2 nvmlInitWithFlags nvmlShutdown
nvmlSystemGetDriverVersion nvmlSystemGetNVMLVersion
nvmlSystemGetCudaDriverVersion nvmlSystemGetCudaDriverVersion_v2 nvmlSystemGetProcessName
nvmlEventSetCreate nvmlEventSetWait_v2 nvmlEventSetFree
nvmlGpmSampleAlloc nvmlGpmSampleFree nvmlGpmMetricsGet
nvmlDeviceGetCount_v2
""")
"""Calls that name no GPU."""

DEVICE = words("""
nvmlDeviceGetHandleByIndex_v2 nvmlDeviceGetHandleByUUID nvmlDeviceGetHandleByPciBusId_v2
nvmlDeviceGetHandleBySerial
nvmlDeviceGetName nvmlDeviceGetUUID nvmlDeviceGetSerial nvmlDeviceGetIndex nvmlDeviceGetMinorNumber
nvmlDeviceGetPciInfo_v3 nvmlDeviceGetArchitecture nvmlDeviceGetBrand nvmlDeviceGetVbiosVersion
nvmlDeviceGetCudaComputeCapability nvmlDeviceGetPersistenceMode nvmlDeviceGetComputeMode
nvmlDeviceGetUtilizationRates nvmlDeviceGetEncoderUtilization nvmlDeviceGetDecoderUtilization
nvmlDeviceGetJpgUtilization nvmlDeviceGetOfaUtilization
nvmlDeviceGetMemoryInfo nvmlDeviceGetMemoryInfo_v2 nvmlDeviceGetBAR1MemoryInfo
nvmlDeviceGetTemperature nvmlDeviceGetTemperatureV nvmlDeviceGetTemperatureThreshold
nvmlDeviceGetMarginTemperature
nvmlDeviceGetPowerUsage nvmlDeviceGetPowerManagementLimit nvmlDeviceGetPowerManagementDefaultLimit
nvmlDeviceGetPowerManagementLimitConstraints nvmlDeviceGetEnforcedPowerLimit
nvmlDeviceGetTotalEnergyConsumption
nvmlDeviceGetClockInfo nvmlDeviceGetMaxClockInfo nvmlDeviceGetApplicationsClock
nvmlDeviceGetCurrentClocksEventReasons nvmlDeviceGetSupportedClocksEventReasons
nvmlDeviceGetCurrentClocksThrottleReasons nvmlDeviceGetSupportedClocksThrottleReasons
nvmlDeviceGetPerformanceState nvmlDeviceGetPowerState nvmlDeviceGetViolationStatus
nvmlDeviceGetFanSpeed nvmlDeviceGetFanSpeed_v2 nvmlDeviceGetNumFans
nvmlDeviceGetEccMode nvmlDeviceGetTotalEccErrors nvmlDeviceGetMemoryErrorCounter
nvmlDeviceGetDetailedEccErrors nvmlDeviceGetSramEccErrorStatus
nvmlDeviceGetRetiredPages nvmlDeviceGetRetiredPages_v2 nvmlDeviceGetRetiredPagesPendingStatus
nvmlDeviceGetRemappedRows nvmlDeviceGetRowRemapperHistogram
nvmlDeviceGetRepairStatus nvmlDeviceGetUnrepairableMemoryFlag_v1
nvmlDeviceGetNvLinkState nvmlDeviceGetNvLinkVersion nvmlDeviceGetNvLinkErrorCounter
nvmlDeviceGetNvLinkCapability nvmlDeviceGetNvLinkRemoteDeviceType nvmlDeviceGetNvLinkRemotePciInfo_v2
nvmlDeviceGetPcieThroughput nvmlDeviceGetPcieReplayCounter
nvmlDeviceGetCurrPcieLinkGeneration nvmlDeviceGetMaxPcieLinkGeneration
nvmlDeviceGetGpuMaxPcieLinkGeneration nvmlDeviceGetCurrPcieLinkWidth nvmlDeviceGetMaxPcieLinkWidth
nvmlDeviceGetComputeRunningProcesses_v3 nvmlDeviceGetGraphicsRunningProcesses_v3
nvmlDeviceGetMPSComputeRunningProcesses_v3
nvmlDeviceGetMigMode nvmlDeviceGetMaxMigDeviceCount nvmlDeviceGetMigDeviceHandleByIndex
nvmlDeviceGetDeviceHandleFromMigDeviceHandle nvmlDeviceGetGpuInstanceId
nvmlDeviceGetComputeInstanceId nvmlDeviceGetAttributes_v2 nvmlDeviceIsMigDeviceHandle
nvmlDeviceRegisterEvents nvmlDeviceGetSupportedEventTypes
nvmlDeviceGetFieldValues
nvmlGpmQueryDeviceSupport nvmlGpmSampleGet nvmlGpmMigSampleGet
nvmlDeviceGetGridLicensableFeatures_v4 nvmlDeviceGetGpuFabricInfo nvmlDeviceGetGpuFabricInfoV
""")
"""Calls that name a GPU, or a part of one."""

CALLS = SYSTEM + DEVICE
"""Every call that is counted, and that can be made to fail, to be slow or to hang."""

NEWER = (
    "nvmlDeviceGetTemperatureV",
    "nvmlDeviceGetMarginTemperature",
    "nvmlDeviceGetMemoryInfo_v2",
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetSupportedClocksEventReasons",
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetGraphicsRunningProcesses_v3",
    "nvmlDeviceGetMPSComputeRunningProcesses_v3",
    "nvmlDeviceGetSramEccErrorStatus",
    "nvmlDeviceGetGpuFabricInfo",
    "nvmlDeviceGetGpuFabricInfoV",
    "nvmlDeviceGetRepairStatus",
    "nvmlDeviceGetUnrepairableMemoryFlag_v1",
    "nvmlGpmQueryDeviceSupport",
    "nvmlGpmSampleAlloc",
    "nvmlGpmSampleFree",
    "nvmlGpmSampleGet",
    "nvmlGpmMigSampleGet",
    "nvmlGpmMetricsGet",
)
"""What a driver of 2020 (branch 450, the first with MIG) does not have."""

FIRST_NEWER_FIELD = 148
"""Field numbers (NVML_FI_*) from here on came after that driver."""


def number_of(call: str) -> int:
    """Position of a call in the control table. Raises ValueError, with the nearest name, if there is none."""
    if call not in CALLS:
        raise ValueError(f"no such call: {call!r} ({did_you_mean(call, CALLS, 'calls')})")
    return CALLS.index(call)
