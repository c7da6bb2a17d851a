/* Values by number: many in one call, each with a return code of its own. */
#include "stub.h"

#include <limits.h>
#include <time.h>

union value {
    double real;
    unsigned u32;
    unsigned long ulong;
    unsigned long long u64;
    long long s64;
    int s32;
};

struct field_value {
    uint32_t field, scope;
    int64_t timestamp, latency_us;
    uint32_t type;
    int32_t code;
    union value value;
};

enum { U32 = 1, U64 = 3, S32 = 5 };
enum { ALL_LINKS = UINT_MAX };
enum { TLIMIT_SHUTDOWN = 193, TLIMIT_SLOWDOWN, TLIMIT_MEMORY, TLIMIT_GPU };

static void put_u32(struct field_value *out, uint32_t value) {
    out->type = U32;
    out->value.u64 = 0;
    out->value.u32 = value;
}

static void put_u64(struct field_value *out, uint64_t value) {
    out->type = U64;
    out->value.u64 = value;
}

/* Distance to a limit, counted down: 0 at the maximal operating temperature, negative beyond it. */
static void put_tlimit(struct field_value *out, const struct gpu *gpu, unsigned limit) {
    out->type = S32;
    out->value.u64 = 0;
    out->value.s32 = (int)gpu->temperature_gpu_max - (int)limit;
}

/* A counter of the links; `scope` is a link or all of them. */
static result put_links(struct field_value *out, const struct view *view, size_t offset, uint64_t unit) {
    const struct gpu *gpu = &view->gpu;
    if (gpu->link_count == 0)
        return NOT_SUPPORTED;
    if (out->scope != ALL_LINKS && out->scope >= gpu->link_count)
        return INVALID_ARGUMENT;
    uint64_t sum = 0;
    for (unsigned i = 0; i < gpu->link_count; i++)
        if (out->scope == ALL_LINKS || out->scope == i)
            sum += count_at((const struct counter *)((const char *)&gpu->links[i] + offset), view->now);
    put_u64(out, sum / unit);
    return OK;
}

#define LINKS(name, unit) return put_links(out, view, offsetof(struct link, name), unit)

/* Counters of one link have fields of their own, in two runs; the totals follow the first. */
static int lane(uint32_t field, uint32_t first, uint32_t second) {
    if (field >= first && field < first + 6)
        return (int)(field - first);
    return field >= second && field < second + 6 ? (int)(field - second) + 6 : -1;
}

static result nvlink_field(struct field_value *out, const struct view *view) {
    const struct {
        uint32_t first, second, total;
        size_t offset;
    } families[] = {
        {32, 96, 38, offsetof(struct link, crc_flit)},
        {39, 102, 45, offsetof(struct link, crc_data)},
        {46, 108, 52, offsetof(struct link, replay)},
        {53, 114, 59, offsetof(struct link, recovery)},
    };
    for (unsigned i = 0; i < sizeof families / sizeof *families; i++) {
        int link = lane(out->field, families[i].first, families[i].second);
        if (link < 0 && out->field != families[i].total)
            continue;
        uint32_t scope = out->scope;
        /* The totals have no scope: whatever the caller left there (nvidia-ml-py: 0) is not looked at. */
        out->scope = link < 0 ? ALL_LINKS : (uint32_t)link;
        result code = put_links(out, view, families[i].offset, 1);
        out->scope = scope;
        return code;
    }
    switch (out->field) {
    case 91: put_u32(out, view->gpu.link_count); return view->gpu.link_count ? OK : NOT_SUPPORTED;
    case 138: case 140: LINKS(tx_bytes, 1024);
    case 139: case 141: LINKS(rx_bytes, 1024);
    case 161: LINKS(replay, 1);
    case 162: LINKS(recovery, 1);
    case 163: LINKS(crc_flit, 1);
    case 165: case 166:
        if (out->scope >= view->gpu.link_count)
            return view->gpu.link_count ? INVALID_ARGUMENT : NOT_SUPPORTED;
        const struct link *link = &view->gpu.links[out->scope];
        put_u32(out, out->field == 165 ? link->state : link->version);
        return OK;
    }
    return NOT_SUPPORTED;
}

#define COUNT(number, name) case number: put_u64(out, count_at(&gpu->name, now)); return OK
#define VALUE(number, name) case number: put_u32(out, gpu->name); return OK

static result ecc_field(struct field_value *out, const struct gpu *gpu, int64_t now) {
    switch (out->field) {
    VALUE(1, ecc_mode);
    VALUE(2, ecc_pending);
    VALUE(29, retired_single);
    VALUE(30, retired_double);
    VALUE(31, retired_pending);
    }
    if (out->field >= 142 && out->field <= 145 && gpu->instance_count > 0)
        return NOT_SUPPORTED;
    switch (out->field) {
    VALUE(142, remapped_correctable);
    VALUE(143, remapped_uncorrectable);
    VALUE(144, remap_pending);
    VALUE(145, remap_failure);
    }
    if (!gpu->ecc_mode)
        return NOT_SUPPORTED;
    switch (out->field) {
    case 3: put_u64(out, count_at(&gpu->ecc_sbe, now) + count_at(&gpu->sram_sbe, now)); return OK;
    case 4: put_u64(out, count_at(&gpu->ecc_dbe, now) + count_at(&gpu->sram_dbe, now) +
                         count_at(&gpu->sram_parity, now)); return OK;
    case 5: put_u64(out, count_at(&gpu->ecc_sbe_aggregate, now) + count_at(&gpu->sram_sbe_aggregate, now));
        return OK;
    case 6: put_u64(out, count_at(&gpu->ecc_dbe_aggregate, now) + count_at(&gpu->sram_dbe_aggregate, now) +
                         count_at(&gpu->sram_parity_aggregate, now)); return OK;
    COUNT(11, ecc_sbe);
    COUNT(12, ecc_dbe);
    COUNT(22, ecc_sbe_aggregate);
    COUNT(23, ecc_dbe_aggregate);
    }
    return NOT_SUPPORTED;
}

static result device_field(struct field_value *out, const struct gpu *gpu, int64_t now) {
    if (out->field >= 74 && out->field < 82) {
        const unsigned policies[] = {0, 1, 2, 3, 4, 5, 10, 11};
        put_u64(out, count_at(&gpu->violation[policies[out->field - 74]], now));
        return OK;
    }
    switch (out->field) {
    VALUE(82, memory_temperature);
    COUNT(83, energy);
    COUNT(94, pcie_replay);
    COUNT(169, pcie_l0_to_recovery);
    COUNT(173, pcie_correctable);
    COUNT(176, pcie_bad_tlp);
    COUNT(180, pcie_fatal);
    VALUE(185, power_average);
    VALUE(186, power);
    VALUE(187, power_limit_min);
    VALUE(188, power_limit_max);
    VALUE(189, power_limit_default);
    VALUE(190, power_limit_enforced);
    COUNT(191, energy);
    VALUE(192, power_limit);
    case TLIMIT_SHUTDOWN: put_tlimit(out, gpu, gpu->temperature_shutdown); return OK;
    case TLIMIT_SLOWDOWN: put_tlimit(out, gpu, gpu->temperature_slowdown); return OK;
    case TLIMIT_MEMORY: put_tlimit(out, gpu, gpu->temperature_memory_max); return OK;
    case TLIMIT_GPU: put_tlimit(out, gpu, gpu->temperature_gpu_max); return OK;
    COUNT(197, pcie_tx_bytes);
    COUNT(198, pcie_rx_bytes);
    VALUE(230, recovery_action);
    COUNT(269, reason_sw_thermal);
    COUNT(270, reason_hw_thermal);
    COUNT(271, reason_power_brake);
    }
    return NOT_SUPPORTED;
}

static result one(struct field_value *out, const struct view *view) {
    if (out->field == 0 || out->field >= MAX_FIELD)
        return INVALID_ARGUMENT;
    if (view->gpu.field_code[out->field] != OK)
        return view->gpu.field_code[out->field];
    result code = device_field(out, &view->gpu, view->now);
    if (code == NOT_SUPPORTED)
        code = ecc_field(out, &view->gpu, view->now);
    return code == NOT_SUPPORTED ? nvlink_field(out, view) : code;
}

EXPORT result nvmlDeviceGetFieldValues(device device_, int count, struct field_value *values) {
    ON_GPU(nvmlDeviceGetFieldValues, WHOLE);
    NEED(values);
    if (count <= 0)
        return INVALID_ARGUMENT;
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    int64_t timestamp = wall.tv_sec * 1000000LL + wall.tv_nsec / 1000;
    for (int i = 0; i < count; i++) {
        values[i].timestamp = timestamp;
        values[i].latency_us = 0;
        values[i].code = one(&values[i], &view);
    }
    return OK;
}

SIZED(field_value);
