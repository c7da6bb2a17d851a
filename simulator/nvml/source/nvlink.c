/* NVLinks of a GPU, one by one. */
#include "stub.h"

#define TO_SWITCH 2

static result check(const struct gpu *gpu, unsigned link) {
    if (gpu->link_count == 0)
        return NOT_SUPPORTED;
    return link < gpu->link_count ? OK : INVALID_ARGUMENT;
}

#define OF_LINK(call, value)                                                 \
    EXPORT result call(device device_, unsigned link, unsigned *out) {       \
        ON_GPU(call, WHOLE);                                                 \
        NEED(out);                                                           \
        result code = check(gpu, link);                                      \
        if (code == OK)                                                      \
            *out = (value);                                                  \
        return code;                                                         \
    }

OF_LINK(nvmlDeviceGetNvLinkState, gpu->links[link].state)
OF_LINK(nvmlDeviceGetNvLinkVersion, gpu->links[link].version)
OF_LINK(nvmlDeviceGetNvLinkRemoteDeviceType, TO_SWITCH)

EXPORT result nvmlDeviceGetNvLinkCapability(device device_, unsigned link, unsigned capability, unsigned *out) {
    ON_GPU(nvmlDeviceGetNvLinkCapability, WHOLE);
    NEED(out);
    *out = 1;
    return capability > 5 ? INVALID_ARGUMENT : check(gpu, link);
}

EXPORT result nvmlDeviceGetNvLinkErrorCounter(device device_, unsigned link, unsigned kind,
                                              unsigned long long *out) {
    ON_GPU(nvmlDeviceGetNvLinkErrorCounter, WHOLE);
    NEED(out);
    result code = check(gpu, link);
    if (code != OK)
        return code;
    const struct link *one = &gpu->links[link];
    const struct counter *counters[] = {&one->replay, &one->recovery, &one->crc_flit, &one->crc_data, &one->ecc};
    if (kind > 4)
        return INVALID_ARGUMENT;
    *out = count_at(counters[kind], now);
    return OK;
}
