/* Multi-instance GPU: a GPU in parts, each with a handle of its own. */
#include "stub.h"

struct attributes {
    unsigned multiprocessors, copy_engines, decoders, encoders, jpegs, ofas, gpu_slices, compute_slices;
    unsigned long long memory_mb;
};

EXPORT result nvmlDeviceGetMigMode(device device_, unsigned *current, unsigned *pending) {
    ON_GPU(nvmlDeviceGetMigMode, WHOLE);
    NEED(current);
    NEED(pending);
    if (gpu->mig_max == 0)
        return NOT_SUPPORTED;
    *current = gpu->mig_mode;
    *pending = gpu->mig_pending;
    return OK;
}

EXPORT result nvmlDeviceGetMaxMigDeviceCount(device device_, unsigned *count) {
    ON_GPU(nvmlDeviceGetMaxMigDeviceCount, WHOLE);
    NEED(count);
    *count = gpu->mig_max;
    return OK;
}

EXPORT result nvmlDeviceGetMigDeviceHandleByIndex(device device_, unsigned index, device *out) {
    ON_GPU(nvmlDeviceGetMigDeviceHandleByIndex, WHOLE);
    NEED(out);
    if (gpu->mig_max == 0)
        return NOT_SUPPORTED;
    if (index >= gpu->mig_max)
        return INVALID_ARGUMENT;
    if (index >= gpu->instance_count)
        return NOT_FOUND;
    *out = handle_of(view.slot, (int)index, gpu->mig_epoch);
    return OK;
}

EXPORT result nvmlDeviceGetDeviceHandleFromMigDeviceHandle(device device_, device *out) {
    ON_GPU(nvmlDeviceGetDeviceHandleFromMigDeviceHandle, EITHER);
    NEED(out);
    if (view.instance < 0)
        return INVALID_ARGUMENT;
    *out = handle_of(view.slot, -1, gpu->mig_epoch);
    return OK;
}

EXPORT result nvmlDeviceIsMigDeviceHandle(device device_, unsigned *out) {
    ON_GPU(nvmlDeviceIsMigDeviceHandle, EITHER);
    NEED(out);
    *out = view.instance >= 0;
    return OK;
}

EXPORT result nvmlDeviceGetGpuInstanceId(device device_, unsigned *out) {
    ON_GPU(nvmlDeviceGetGpuInstanceId, EITHER);
    NEED(out);
    if (view.instance < 0)
        return NOT_SUPPORTED;
    *out = gpu->instances[view.instance].gpu_instance;
    return OK;
}

EXPORT result nvmlDeviceGetComputeInstanceId(device device_, unsigned *out) {
    ON_GPU(nvmlDeviceGetComputeInstanceId, EITHER);
    NEED(out);
    if (view.instance < 0)
        return NOT_SUPPORTED;
    *out = gpu->instances[view.instance].compute_instance;
    return OK;
}

EXPORT result nvmlDeviceGetAttributes_v2(device device_, struct attributes *out) {
    ON_GPU(nvmlDeviceGetAttributes_v2, EITHER);
    NEED(out);
    if (view.instance < 0)
        return NOT_SUPPORTED;
    const struct instance *instance = &gpu->instances[view.instance];
    *out = (struct attributes){
        .multiprocessors = instance->multiprocessors,
        .copy_engines = instance->slices,
        .gpu_slices = instance->slices,
        .compute_slices = instance->slices,
        .memory_mb = instance->memory_total >> 20,
    };
    return OK;
}

SIZED(attributes);
