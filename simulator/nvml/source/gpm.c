/* GPU performance monitoring (Hopper and later): two samples, and what happened between them. */
#include "stub.h"

#include <stdlib.h>

#define METRICS 477
#define MIB 1048576.0

struct sample {
    int64_t at;
    int taken;
    double activity[ACTIVITIES]; /* percent seconds */
    double pcie_tx, pcie_rx;     /* bytes */
    unsigned link_count;
    double link_tx[MAX_LINKS], link_rx[MAX_LINKS];
};

struct metric {
    unsigned number;
    int code;
    double value;
    struct {
        const char *short_name, *long_name, *unit;
    } info;
};

struct metrics {
    unsigned version, count;
    struct sample *first, *second;
    struct metric list[METRICS];
};

struct support {
    unsigned version, is_supported;
};

EXPORT result nvmlGpmQueryDeviceSupport(device device_, struct support *out) {
    ON_GPU(nvmlGpmQueryDeviceSupport, WHOLE);
    NEED(out);
    if (out->version != 1)
        return VERSION_MISMATCH;
    out->is_supported = gpu->gpm;
    return OK;
}

EXPORT result nvmlGpmSampleAlloc(struct sample **out) {
    ON_SYSTEM(nvmlGpmSampleAlloc);
    NEED(out);
    *out = calloc(1, sizeof **out);
    return *out == NULL ? NO_MEMORY : OK;
}

EXPORT result nvmlGpmSampleFree(struct sample *sample) {
    ON_SYSTEM(nvmlGpmSampleFree);
    NEED(sample);
    free(sample);
    return OK;
}

static void take_activity(struct sample *out, const struct counter *activity, int64_t now) {
    memset(out, 0, sizeof *out);
    out->at = now;
    out->taken = 1;
    for (int i = 0; i < ACTIVITIES; i++)
        out->activity[i] = exact_at(&activity[i], now);
}

EXPORT result nvmlGpmSampleGet(device device_, struct sample *out) {
    ON_GPU(nvmlGpmSampleGet, WHOLE);
    NEED(out);
    if (!gpu->gpm)
        return NOT_SUPPORTED;
    take_activity(out, gpu->activity, now);
    out->pcie_tx = exact_at(&gpu->pcie_tx_bytes, now);
    out->pcie_rx = exact_at(&gpu->pcie_rx_bytes, now);
    out->link_count = gpu->link_count;
    for (unsigned i = 0; i < gpu->link_count; i++) {
        out->link_tx[i] = exact_at(&gpu->links[i].tx_bytes, now);
        out->link_rx[i] = exact_at(&gpu->links[i].rx_bytes, now);
    }
    return OK;
}

EXPORT result nvmlGpmMigSampleGet(device device_, unsigned gpu_instance, struct sample *out) {
    ON_GPU(nvmlGpmMigSampleGet, WHOLE);
    NEED(out);
    if (!gpu->gpm)
        return NOT_SUPPORTED;
    for (unsigned i = 0; i < gpu->instance_count; i++) {
        if (gpu->instances[i].gpu_instance == gpu_instance) {
            take_activity(out, gpu->instances[i].activity, now);
            return OK;
        }
    }
    return NOT_FOUND;
}

static double links(const struct sample *first, const struct sample *second, int is_tx, int link) {
    double sum = 0;
    for (int i = 0; i < (int)second->link_count; i++)
        if (link < 0 || link == i)
            sum += is_tx ? second->link_tx[i] - first->link_tx[i] : second->link_rx[i] - first->link_rx[i];
    return sum;
}

static result measure(const struct sample *first, const struct sample *second, unsigned number, double *value) {
    double seconds = (double)(second->at - first->at) / 1e9;
    if (seconds <= 0)
        return NO_DATA;
    if (number >= 1 && number <= ACTIVITIES) {
        *value = (second->activity[number - 1] - first->activity[number - 1]) / seconds;
        return OK;
    }
    if (number == 20 || number == 21) {
        double bytes = number == 20 ? second->pcie_tx - first->pcie_tx : second->pcie_rx - first->pcie_rx;
        *value = bytes / seconds / MIB;
        return OK;
    }
    if (number >= 60 && number < 62 + 2 * MAX_LINKS) {
        int link = number < 62 ? -1 : (int)(number - 62) / 2;
        if (link >= (int)second->link_count || second->link_count == 0)
            return NOT_SUPPORTED;
        *value = links(first, second, number % 2, link) / seconds / MIB; /* odd numbers are TX */
        return OK;
    }
    return NOT_SUPPORTED;
}

EXPORT result nvmlGpmMetricsGet(struct metrics *metrics) {
    ON_SYSTEM(nvmlGpmMetricsGet);
    NEED(metrics);
    NEED(metrics->first);
    NEED(metrics->second);
    if (metrics->version != 1)
        return VERSION_MISMATCH;
    if (metrics->count > METRICS || !metrics->first->taken || !metrics->second->taken)
        return INVALID_ARGUMENT;
    for (unsigned i = 0; i < metrics->count; i++) {
        struct metric *metric = &metrics->list[i];
        metric->value = 0;
        metric->code = measure(metrics->first, metrics->second, metric->number, &metric->value);
    }
    return OK;
}

SIZED(metrics);
SIZED(metric);
