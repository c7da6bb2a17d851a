/* What a GPU is doing: shares, temperatures, power, clocks, fans, the PCIe link. */
#include "stub.h"

#include <unistd.h>

struct utilization {
    unsigned gpu, memory;
};

struct temperature_v1 {
    unsigned version, sensor;
    int temperature;
};

struct margin_v1 {
    unsigned version;
    int margin;
};

struct violation {
    unsigned long long reference_us, violation_ns;
};

#define TEMPERATURE_V1 0x100000C
#define MARGIN_V1 0x1000008
VERSIONED(temperature_v1, TEMPERATURE_V1);
VERSIONED(margin_v1, MARGIN_V1);

/* The driver has no utilization of a GPU whose parts are used apart. */
EXPORT result nvmlDeviceGetUtilizationRates(device device_, struct utilization *out) {
    ON_GPU(nvmlDeviceGetUtilizationRates, WHOLE);
    NEED(out);
    if (gpu->mig_mode)
        return NOT_SUPPORTED;
    out->gpu = gpu->utilization;
    out->memory = gpu->memory_utilization;
    return OK;
}

#define ENGINE(call, value)                                                       \
    EXPORT result call(device device_, unsigned *share, unsigned *period_us) {    \
        ON_GPU(call, WHOLE);                                                      \
        NEED(share);                                                              \
        NEED(period_us);                                                          \
        if (gpu->mig_mode)                                                        \
            return NOT_SUPPORTED;                                                 \
        *share = (value);                                                         \
        *period_us = 167000;                                                      \
        return OK;                                                                \
    }

ENGINE(nvmlDeviceGetEncoderUtilization, gpu->encoder_utilization)
ENGINE(nvmlDeviceGetDecoderUtilization, gpu->decoder_utilization)
ENGINE(nvmlDeviceGetJpgUtilization, gpu->jpeg_utilization)
ENGINE(nvmlDeviceGetOfaUtilization, gpu->optical_flow_utilization)

EXPORT result nvmlDeviceGetTemperature(device device_, unsigned sensor, unsigned *out) {
    ON_GPU(nvmlDeviceGetTemperature, WHOLE);
    NEED(out);
    *out = gpu->temperature;
    return sensor == 0 ? OK : INVALID_ARGUMENT;
}

EXPORT result nvmlDeviceGetTemperatureV(device device_, struct temperature_v1 *out) {
    ON_GPU(nvmlDeviceGetTemperatureV, WHOLE);
    NEED(out);
    if (out->version != TEMPERATURE_V1)
        return VERSION_MISMATCH;
    out->temperature = (int)gpu->temperature;
    return out->sensor == 0 ? OK : INVALID_ARGUMENT;
}

EXPORT result nvmlDeviceGetTemperatureThreshold(device device_, unsigned threshold, unsigned *out) {
    ON_GPU(nvmlDeviceGetTemperatureThreshold, WHOLE);
    NEED(out);
    const unsigned values[] = {gpu->temperature_shutdown, gpu->temperature_slowdown,
                               gpu->temperature_memory_max, gpu->temperature_gpu_max};
    if (threshold > 7)
        return INVALID_ARGUMENT;
    if (threshold > 3 || values[threshold] == 0)
        return NOT_SUPPORTED;
    *out = values[threshold];
    return OK;
}

EXPORT result nvmlDeviceGetMarginTemperature(device device_, struct margin_v1 *out) {
    ON_GPU(nvmlDeviceGetMarginTemperature, WHOLE);
    NEED(out);
    if (out->version != MARGIN_V1)
        return VERSION_MISMATCH;
    out->margin = gpu->temperature_margin;
    return OK;
}

GETTER(nvmlDeviceGetPowerUsage, unsigned, WHOLE, gpu->power)
GETTER(nvmlDeviceGetPowerManagementLimit, unsigned, WHOLE, gpu->power_limit)
GETTER(nvmlDeviceGetPowerManagementDefaultLimit, unsigned, WHOLE, gpu->power_limit_default)
GETTER(nvmlDeviceGetEnforcedPowerLimit, unsigned, WHOLE, gpu->power_limit_enforced)
GETTER(nvmlDeviceGetTotalEnergyConsumption, unsigned long long, WHOLE, count_at(&gpu->energy, now))

EXPORT result nvmlDeviceGetPowerManagementLimitConstraints(device device_, unsigned *least, unsigned *most) {
    ON_GPU(nvmlDeviceGetPowerManagementLimitConstraints, WHOLE);
    NEED(least);
    NEED(most);
    *least = gpu->power_limit_min;
    *most = gpu->power_limit_max;
    return OK;
}

static result put_clock(unsigned type, const unsigned values[4], unsigned *out) {
    NEED(out);
    if (type > 3)
        return INVALID_ARGUMENT;
    *out = values[type];
    return OK;
}

#define CLOCKS(call, suffix)                                                                       \
    EXPORT result call(device device_, unsigned type, unsigned *out) {                             \
        ON_GPU(call, WHOLE);                                                                       \
        const unsigned values[] = {gpu->clock_graphics##suffix, gpu->clock_sm##suffix,             \
                                   gpu->clock_memory##suffix, gpu->clock_video##suffix};           \
        return put_clock(type, values, out);                                                       \
    }

CLOCKS(nvmlDeviceGetClockInfo, )
CLOCKS(nvmlDeviceGetMaxClockInfo, _max)
CLOCKS(nvmlDeviceGetApplicationsClock, _application)

GETTER(nvmlDeviceGetCurrentClocksEventReasons, unsigned long long, WHOLE, gpu->event_reasons)
GETTER(nvmlDeviceGetSupportedClocksEventReasons, unsigned long long, WHOLE, gpu->event_reasons_supported)
GETTER(nvmlDeviceGetCurrentClocksThrottleReasons, unsigned long long, WHOLE, gpu->event_reasons)
GETTER(nvmlDeviceGetSupportedClocksThrottleReasons, unsigned long long, WHOLE, gpu->event_reasons_supported)
GETTER(nvmlDeviceGetPerformanceState, unsigned, WHOLE, gpu->performance_state)
GETTER(nvmlDeviceGetPowerState, unsigned, WHOLE, gpu->performance_state)

EXPORT result nvmlDeviceGetViolationStatus(device device_, unsigned policy, struct violation *out) {
    ON_GPU(nvmlDeviceGetViolationStatus, WHOLE);
    NEED(out);
    if (policy >= POLICIES)
        return INVALID_ARGUMENT;
    out->reference_us = (unsigned long long)(now / 1000);
    out->violation_ns = count_at(&gpu->violation[policy], now);
    return OK;
}

GETTER(nvmlDeviceGetNumFans, unsigned, WHOLE, gpu->fans)

EXPORT result nvmlDeviceGetFanSpeed(device device_, unsigned *out) {
    ON_GPU(nvmlDeviceGetFanSpeed, WHOLE);
    NEED(out);
    *out = gpu->fan_speed;
    return gpu->fans > 0 ? OK : NOT_SUPPORTED;
}

EXPORT result nvmlDeviceGetFanSpeed_v2(device device_, unsigned fan, unsigned *out) {
    ON_GPU(nvmlDeviceGetFanSpeed_v2, WHOLE);
    NEED(out);
    *out = gpu->fan_speed;
    return gpu->fans == 0 ? NOT_SUPPORTED : fan < gpu->fans ? OK : INVALID_ARGUMENT;
}

/* The real one measures for 20 ms, in which the caller waits. KB/s. */
EXPORT result nvmlDeviceGetPcieThroughput(device device_, unsigned direction, unsigned *out) {
    ON_GPU(nvmlDeviceGetPcieThroughput, WHOLE);
    NEED(out);
    if (direction > 1)
        return INVALID_ARGUMENT;
    usleep(table->pcie_block_ms * 1000);
    *out = (unsigned)((direction == 0 ? gpu->pcie_tx_bytes.rate : gpu->pcie_rx_bytes.rate) / 1000);
    return OK;
}

GETTER(nvmlDeviceGetPcieReplayCounter, unsigned, WHOLE, count_at(&gpu->pcie_replay, now))
GETTER(nvmlDeviceGetCurrPcieLinkGeneration, unsigned, WHOLE, gpu->pcie_generation)
GETTER(nvmlDeviceGetMaxPcieLinkGeneration, unsigned, WHOLE, gpu->pcie_generation_max)
GETTER(nvmlDeviceGetGpuMaxPcieLinkGeneration, unsigned, WHOLE, gpu->pcie_generation_max)
GETTER(nvmlDeviceGetCurrPcieLinkWidth, unsigned, WHOLE, gpu->pcie_width)
GETTER(nvmlDeviceGetMaxPcieLinkWidth, unsigned, WHOLE, gpu->pcie_width_max)

SIZED(utilization);
SIZED(violation);
