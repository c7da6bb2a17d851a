/* Memory: how much, and how sound it is. */
#include "stub.h"

struct memory_v1 {
    unsigned long long total, free, used;
};

struct memory_v2 {
    unsigned version;
    unsigned long long total, reserved, free, used;
};

struct ecc_counts {
    unsigned long long l1, l2, device_memory, registers;
};

struct sram_status_v1 {
    unsigned version;
    unsigned long long aggregate_parity, aggregate_secded, aggregate_corrected;
    unsigned long long volatile_parity, volatile_secded, volatile_corrected;
    unsigned long long bucket_l2, bucket_sm, bucket_pcie, bucket_mcu, bucket_other;
    unsigned threshold_exceeded;
};

struct histogram {
    unsigned max, high, partial, low, none;
};

struct repair_status_v1 {
    unsigned version, channel_pending, tpc_pending;
};

struct unrepairable_v1 {
    unsigned version, flag;
};

#define MEMORY_V2 0x02000028
#define SRAM_V1 0x1000068
#define REPAIR_V1 0x100000C
VERSIONED(memory_v2, MEMORY_V2);
VERSIONED(sram_status_v1, SRAM_V1);
VERSIONED(repair_status_v1, REPAIR_V1);

#define DRAM 2
#define SRAM 7

static struct memory_v2 amounts(const struct view *view) {
    const struct instance *instance = view->instance < 0 ? NULL : &view->gpu.instances[view->instance];
    struct memory_v2 memory = {
        .total = instance ? instance->memory_total : view->gpu.memory_total,
        .reserved = instance ? instance->memory_reserved : view->gpu.memory_reserved,
        .used = instance ? instance->memory_used : view->gpu.memory_used,
    };
    unsigned long long taken = memory.reserved + memory.used;
    memory.free = taken < memory.total ? memory.total - taken : 0;
    return memory;
}

/* The old call counts what the driver keeps for itself as used. */
EXPORT result nvmlDeviceGetMemoryInfo(device device_, struct memory_v1 *out) {
    ON_GPU(nvmlDeviceGetMemoryInfo, EITHER);
    NEED(out);
    struct memory_v2 memory = amounts(&view);
    *out = (struct memory_v1){memory.total, memory.free, memory.used + memory.reserved};
    return OK;
}

EXPORT result nvmlDeviceGetMemoryInfo_v2(device device_, struct memory_v2 *out) {
    ON_GPU(nvmlDeviceGetMemoryInfo_v2, EITHER);
    NEED(out);
    if (out->version != MEMORY_V2)
        return VERSION_MISMATCH;
    *out = amounts(&view);
    out->version = MEMORY_V2;
    return OK;
}

EXPORT result nvmlDeviceGetBAR1MemoryInfo(device device_, struct memory_v1 *out) {
    ON_GPU(nvmlDeviceGetBAR1MemoryInfo, EITHER);
    NEED(out);
    *out = (struct memory_v1){gpu->bar1_total, gpu->bar1_total - gpu->bar1_used, gpu->bar1_used};
    return OK;
}

EXPORT result nvmlDeviceGetEccMode(device device_, unsigned *current, unsigned *pending) {
    ON_GPU(nvmlDeviceGetEccMode, WHOLE);
    NEED(current);
    NEED(pending);
    *current = gpu->ecc_mode;
    *pending = gpu->ecc_pending;
    return OK;
}

/* Errors in a place; `type` 1 is uncorrected, `kept` 1 counts over the GPU's life. */
static uint64_t errors(const struct gpu *gpu, unsigned type, unsigned kept, unsigned place, int64_t now) {
    if (place == DRAM) {
        const struct counter *counters[] = {&gpu->ecc_sbe, &gpu->ecc_dbe, &gpu->ecc_sbe_aggregate,
                                            &gpu->ecc_dbe_aggregate};
        return count_at(counters[kept * 2 + type], now);
    }
    if (place != SRAM)
        return 0;
    if (type == 0)
        return count_at(kept ? &gpu->sram_sbe_aggregate : &gpu->sram_sbe, now);
    return count_at(kept ? &gpu->sram_dbe_aggregate : &gpu->sram_dbe, now) +
           count_at(kept ? &gpu->sram_parity_aggregate : &gpu->sram_parity, now);
}

EXPORT result nvmlDeviceGetTotalEccErrors(device device_, unsigned type, unsigned kept, unsigned long long *out) {
    ON_GPU(nvmlDeviceGetTotalEccErrors, WHOLE);
    NEED(out);
    if (type > 1 || kept > 1)
        return INVALID_ARGUMENT;
    if (!gpu->ecc_mode)
        return NOT_SUPPORTED;
    *out = errors(gpu, type, kept, DRAM, now) + errors(gpu, type, kept, SRAM, now);
    return OK;
}

EXPORT result nvmlDeviceGetMemoryErrorCounter(device device_, unsigned type, unsigned kept, unsigned place,
                                              unsigned long long *out) {
    ON_GPU(nvmlDeviceGetMemoryErrorCounter, EITHER);
    NEED(out);
    if (type > 1 || kept > 1 || place > SRAM)
        return INVALID_ARGUMENT;
    if (!gpu->ecc_mode || (place != DRAM && place != SRAM))
        return NOT_SUPPORTED;
    *out = errors(gpu, type, kept, place, now);
    return OK;
}

EXPORT result nvmlDeviceGetDetailedEccErrors(device device_, unsigned type, unsigned kept, struct ecc_counts *out) {
    ON_GPU(nvmlDeviceGetDetailedEccErrors, WHOLE);
    NEED(out);
    if (type > 1 || kept > 1)
        return INVALID_ARGUMENT;
    if (!gpu->ecc_mode)
        return NOT_SUPPORTED;
    *out = (struct ecc_counts){.device_memory = errors(gpu, type, kept, DRAM, now)};
    return OK;
}

EXPORT result nvmlDeviceGetSramEccErrorStatus(device device_, struct sram_status_v1 *out) {
    ON_GPU(nvmlDeviceGetSramEccErrorStatus, WHOLE);
    NEED(out);
    if (out->version != SRAM_V1)
        return VERSION_MISMATCH;
    *out = (struct sram_status_v1){
        .version = SRAM_V1,
        .aggregate_parity = count_at(&gpu->sram_parity_aggregate, now),
        .aggregate_secded = count_at(&gpu->sram_dbe_aggregate, now),
        .aggregate_corrected = count_at(&gpu->sram_sbe_aggregate, now),
        .volatile_parity = count_at(&gpu->sram_parity, now),
        .volatile_secded = count_at(&gpu->sram_dbe, now),
        .volatile_corrected = count_at(&gpu->sram_sbe, now),
        .threshold_exceeded = gpu->sram_threshold_exceeded,
    };
    out->bucket_sm = out->aggregate_parity + out->aggregate_secded;
    return OK;
}

/* Retired pages have made-up addresses and times; how many there are is what counts. */
static result pages(const struct gpu *gpu, unsigned cause, unsigned *count, unsigned long long *addresses,
                    unsigned long long *times) {
    NEED(count);
    if (cause > 1)
        return INVALID_ARGUMENT;
    unsigned have = cause == 0 ? gpu->retired_single : gpu->retired_double, room = *count;
    *count = have;
    if (room < have || (have > 0 && addresses == NULL))
        return INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < have; i++) {
        addresses[i] = 0x1000ULL * (i + 1);
        if (times != NULL)
            times[i] = 1700000000000000ULL + i;
    }
    return OK;
}

EXPORT result nvmlDeviceGetRetiredPages(device device_, unsigned cause, unsigned *count,
                                        unsigned long long *addresses) {
    ON_GPU(nvmlDeviceGetRetiredPages, WHOLE);
    return pages(gpu, cause, count, addresses, NULL);
}

EXPORT result nvmlDeviceGetRetiredPages_v2(device device_, unsigned cause, unsigned *count,
                                           unsigned long long *addresses, unsigned long long *times) {
    ON_GPU(nvmlDeviceGetRetiredPages_v2, WHOLE);
    /* The caller that only asks how many leaves `times` out of its call altogether. */
    return pages(gpu, cause, count, addresses, addresses == NULL ? NULL : times);
}

GETTER(nvmlDeviceGetRetiredPagesPendingStatus, unsigned, WHOLE, gpu->retired_pending)

EXPORT result nvmlDeviceGetRemappedRows(device device_, unsigned *correctable, unsigned *uncorrectable,
                                        unsigned *pending, unsigned *failure) {
    ON_GPU(nvmlDeviceGetRemappedRows, WHOLE);
    NEED(correctable);
    NEED(uncorrectable);
    NEED(pending);
    NEED(failure);
    if (gpu->instance_count > 0)
        return NOT_SUPPORTED; /* the driver does not tell of a GPU that is divided */
    *correctable = gpu->remapped_correctable;
    *uncorrectable = gpu->remapped_uncorrectable;
    *pending = gpu->remap_pending;
    *failure = gpu->remap_failure;
    return OK;
}

EXPORT result nvmlDeviceGetRowRemapperHistogram(device device_, struct histogram *out) {
    ON_GPU(nvmlDeviceGetRowRemapperHistogram, WHOLE);
    NEED(out);
    if (gpu->instance_count > 0)
        return NOT_SUPPORTED;
    *out = (struct histogram){gpu->histogram_max, gpu->histogram_high, gpu->histogram_partial,
                              gpu->histogram_low, gpu->histogram_none};
    return OK;
}

EXPORT result nvmlDeviceGetRepairStatus(device device_, struct repair_status_v1 *out) {
    ON_GPU(nvmlDeviceGetRepairStatus, WHOLE);
    NEED(out);
    if (out->version != REPAIR_V1)
        return VERSION_MISMATCH;
    out->channel_pending = gpu->channel_repair_pending;
    out->tpc_pending = gpu->tpc_repair_pending;
    return OK;
}

EXPORT result nvmlDeviceGetUnrepairableMemoryFlag_v1(device device_, struct unrepairable_v1 *out) {
    ON_GPU(nvmlDeviceGetUnrepairableMemoryFlag_v1, WHOLE);
    NEED(out);
    out->flag = gpu->unrepairable_memory;
    return OK;
}

SIZED(memory_v1);
SIZED(ecc_counts);
SIZED(histogram);
