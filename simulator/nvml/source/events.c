/* What the driver reports by itself: every set of every process sees all that came after it was registered. */
#include "stub.h"

#include <stdlib.h>

#define ANY_PART 0xffffffff

struct event_set {
    uint64_t types[MAX_GPUS];
    uint64_t cursor;
};

struct event_data {
    device handle;
    unsigned long long type, data;
    unsigned gpu_instance, compute_instance;
};

EXPORT result nvmlEventSetCreate(struct event_set **set) {
    ON_SYSTEM(nvmlEventSetCreate);
    NEED(set);
    *set = calloc(1, sizeof **set);
    if (*set == NULL)
        return NO_MEMORY;
    (*set)->cursor = __atomic_load_n(&table->event_count, __ATOMIC_ACQUIRE);
    return OK;
}

EXPORT result nvmlEventSetFree(struct event_set *set) {
    ON_SYSTEM(nvmlEventSetFree);
    NEED(set);
    free(set);
    return OK;
}

EXPORT result nvmlDeviceGetSupportedEventTypes(device device_, unsigned long long *types) {
    ON_GPU(nvmlDeviceGetSupportedEventTypes, WHOLE);
    NEED(types);
    *types = gpu->event_types;
    return OK;
}

EXPORT result nvmlDeviceRegisterEvents(device device_, unsigned long long types, struct event_set *set) {
    ON_GPU(nvmlDeviceRegisterEvents, WHOLE);
    NEED(set);
    if (types & ~gpu->event_types)
        return NOT_SUPPORTED;
    set->types[view.slot] |= types;
    return OK;
}

/* The next event that the set wants, if there is one. The ring keeps the newest. */
static int next(struct event_set *set, struct event_data *out) {
    uint64_t end = __atomic_load_n(&table->event_count, __ATOMIC_ACQUIRE);
    if (end > set->cursor + MAX_EVENTS)
        set->cursor = end - MAX_EVENTS;
    while (set->cursor < end) {
        struct event event = table->events[set->cursor++ % MAX_EVENTS];
        if (event.gpu >= MAX_GPUS || !(set->types[event.gpu] & event.type))
            continue;
        *out = (struct event_data){handle_of((int)event.gpu, -1, table->gpus[event.gpu].mig_epoch), event.type,
                                   event.data, event.gpu_instance, event.compute_instance};
        return 1;
    }
    return 0;
}

/* The timeout is in real time even where the clock is stepped: a waiter can always be told to stop. */
EXPORT result nvmlEventSetWait_v2(struct event_set *set, struct event_data *out, unsigned timeout_ms) {
    ON_SYSTEM(nvmlEventSetWait_v2);
    NEED(set);
    NEED(out);
    int64_t until = real_now() + timeout_ms * 1000000LL;
    for (;;) {
        uint32_t sequence = __atomic_load_n(&table->sequence, __ATOMIC_ACQUIRE);
        if (next(set, out))
            return OK;
        int64_t left = until - real_now();
        if (left <= 0)
            return TIMEOUT;
        wait_for_change(sequence, left / 1000000 + 1);
    }
}

SIZED(event_data);
