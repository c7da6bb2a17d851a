/* Who uses a device: asked twice, first how many there are, then for the list. */
#include "stub.h"

struct process_info {
    unsigned pid;
    unsigned long long bytes;
    unsigned gpu_instance, compute_instance;
};

static int is_on(const struct view *view, const struct process *process) {
    if (view->instance < 0)
        return 1;
    const struct instance *instance = &view->gpu.instances[view->instance];
    return process->gpu_instance == instance->gpu_instance &&
           process->compute_instance == instance->compute_instance;
}

static result list(const struct view *view, unsigned kind, unsigned *count, struct process_info *out) {
    NEED(count);
    unsigned room = out == NULL ? 0 : *count, have = 0;
    for (unsigned i = 0; i < view->gpu.process_count; i++) {
        const struct process *process = &view->gpu.processes[i];
        if (process->kind != kind || !is_on(view, process))
            continue;
        if (have < room)
            out[have] = (struct process_info){process->pid, process->bytes, process->gpu_instance,
                                              process->compute_instance};
        have++;
    }
    *count = have;
    return have > room ? INSUFFICIENT_SIZE : OK;
}

#define PROCESSES(call, kind)                                                           \
    EXPORT result call(device device_, unsigned *count, struct process_info *out) {     \
        ON_GPU(call, EITHER);                                                           \
        return list(&view, kind, count, out);                                           \
    }

PROCESSES(nvmlDeviceGetComputeRunningProcesses_v3, 0)
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3, 1)
PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v3, 2)

SIZED(process_info);
