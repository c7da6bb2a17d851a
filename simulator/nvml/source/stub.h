/* What the parts of the stub library share. The control table's layout comes from simulator.nvml.table. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "layout.h"

#define EXPORT __attribute__((visibility("default")))

/* Return codes, by NVIDIA's numbers. */
enum {
    OK = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9,
    TIMEOUT = 10,
    GPU_IS_LOST = 15,
    LIBRARY_MISMATCH = 18,
    NO_MEMORY = 20,
    NO_DATA = 21,
    VERSION_MISMATCH = 25,
    GPU_NOT_FOUND = 28,
};

typedef int result;

/* A handle is the address of one of these; `instance` is -1 for a whole GPU. */
struct handle {
    int gpu;
    int instance;
    uint32_t epoch;
};
typedef const struct handle *device;

/* One consistent look at a GPU: what the table said, and the time at which it said it. */
struct view {
    struct gpu gpu;
    int64_t now;
    int slot;
    int instance;
};

/* Which handles a call takes, and whether it answers while the GPU needs a reset. */
enum scope { WHOLE, EITHER, IDENTITY };

extern struct table *table;

int64_t real_now(void);
device handle_of(int slot, int instance, uint32_t epoch);

/* Every call begins with one of these: counts it, sleeps or hangs as told, and returns the code to answer with. */
result enter_system(enum call call);
result enter_slot(enum call call, int slot, enum scope scope, struct view *view);
result enter(enum call call, device handle, enum scope scope, struct view *view);

/* A look at a GPU without a call of the driver. */
void look(int slot, struct view *view);
/* Sleep until the table changes from `sequence`, at most `ms`. */
void wait_for_change(uint32_t sequence, int64_t ms);

uint64_t count_at(const struct counter *counter, int64_t now);
double exact_at(const struct counter *counter, int64_t now);
result put_text(char *to, unsigned size, const char *text);

/* In a call that takes `device_`: `gpu` and `now` are what to answer from. */
#define ON_GPU(call, scope)                                                  \
    struct view view;                                                        \
    result refused = enter(CALL_##call, device_, scope, &view);              \
    if (refused != OK)                                                       \
        return refused;                                                      \
    const struct gpu *gpu __attribute__((unused)) = &view.gpu;               \
    const int64_t now __attribute__((unused)) = view.now

#define ON_SYSTEM(call)                           \
    result refused = enter_system(CALL_##call);   \
    if (refused != OK)                            \
        return refused

#define NEED(pointer)           \
    if ((pointer) == NULL)      \
    return INVALID_ARGUMENT

/* A structure whose version number says its size. */
#define VERSIONED(name, version) _Static_assert(sizeof(struct name) == ((version) & 0xffffff), #name)

/* A structure without one: the size is exported, for a test to compare with nvidia-ml-py's. */
#define SIZED(name) EXPORT const size_t fleetowl_stub_sizeof_##name = sizeof(struct name)

/* A call with one output and no other argument. */
#define GETTER(call, type, scope, value)                \
    EXPORT result call(device device_, type *out) {     \
        ON_GPU(call, scope);                            \
        NEED(out);                                      \
        *out = (type)(value);                           \
        return OK;                                      \
    }
