/* The driver as a whole: versions, the list of GPUs, names of processes and of errors. */
#include "stub.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

EXPORT const char *nvmlErrorString(result code) {
    static const char *const texts[] = {
        "Success", "Uninitialized", "Invalid Argument", "Not Supported", "Insufficient Permissions",
        "Already Initialized", "Not Found", "Insufficient Size", "Insufficient External Power",
        "Driver Not Loaded", "Timeout", "Interrupt Request Issue", "NVML Shared Library Not Found",
        "Function Not Found", "Corrupted infoROM", "GPU is lost", "GPU requires reset",
        "GPU access blocked by the operating system", "Driver/library version mismatch",
        "In use by another client", "Insufficient Memory", "No data", "vGPU ECC Operation Not Supported",
        "Insufficient Resources", "Frequency Not Supported", "Argument version mismatch", "Deprecated",
        "Not Ready", "GPU Not Found", "Invalid state",
    };
    return code >= 0 && code < (int)(sizeof texts / sizeof *texts) ? texts[code] : "Unknown Error";
}

EXPORT result nvmlSystemGetDriverVersion(char *version, unsigned size) {
    ON_SYSTEM(nvmlSystemGetDriverVersion);
    return put_text(version, size, table->driver);
}

EXPORT result nvmlSystemGetNVMLVersion(char *version, unsigned size) {
    ON_SYSTEM(nvmlSystemGetNVMLVersion);
    return put_text(version, size, table->nvml);
}

EXPORT result nvmlSystemGetCudaDriverVersion(int *version) {
    ON_SYSTEM(nvmlSystemGetCudaDriverVersion);
    NEED(version);
    *version = table->cuda;
    return OK;
}

EXPORT result nvmlSystemGetCudaDriverVersion_v2(int *version) {
    ON_SYSTEM(nvmlSystemGetCudaDriverVersion_v2);
    NEED(version);
    *version = table->cuda;
    return OK;
}

/* As the real one: the command line as /proc has it, up to its first argument. */
EXPORT result nvmlSystemGetProcessName(unsigned pid, char *name, unsigned size) {
    ON_SYSTEM(nvmlSystemGetProcessName);
    NEED(name);
    for (int slot = 0; slot < (int)table->gpu_count; slot++) {
        struct view view;
        look(slot, &view);
        for (unsigned i = 0; i < view.gpu.process_count; i++) {
            const struct process *process = &view.gpu.processes[i];
            if (process->pid == pid && process->name[0] != '\0')
                return put_text(name, size, process->name);
        }
    }
    char path[64], line[1024] = "";
    snprintf(path, sizeof path, "/proc/%u/cmdline", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return NOT_FOUND;
    size_t length = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    return length == 0 ? NOT_FOUND : put_text(name, size, line);
}

static int is_listed(int slot) {
    return (int)__atomic_load_n(&table->gpus[slot].listed, __ATOMIC_ACQUIRE);
}

EXPORT result nvmlDeviceGetCount_v2(unsigned *count) {
    ON_SYSTEM(nvmlDeviceGetCount_v2);
    NEED(count);
    *count = 0;
    for (int slot = 0; slot < (int)table->gpu_count; slot++)
        *count += is_listed(slot) ? 1 : 0;
    return OK;
}

/* The handle of a GPU, or the code to return without one (a lost GPU gives none). */
static result give(enum call call, int slot, device *handle) {
    struct view view;
    result code = enter_slot(call, slot, IDENTITY, &view);
    if (code == OK)
        *handle = handle_of(slot, -1, view.gpu.mig_epoch);
    return code;
}

static result give_none(enum call call, result code) {
    result refused = enter_system(call);
    return refused != OK ? refused : code;
}

EXPORT result nvmlDeviceGetHandleByIndex_v2(unsigned index, device *handle) {
    NEED(handle);
    unsigned position = 0;
    for (int slot = 0; table != NULL && slot < (int)table->gpu_count; slot++)
        if (is_listed(slot) && position++ == index)
            return give(CALL_nvmlDeviceGetHandleByIndex_v2, slot, handle);
    return give_none(CALL_nvmlDeviceGetHandleByIndex_v2, INVALID_ARGUMENT);
}

EXPORT result nvmlDeviceGetHandleByUUID(const char *uuid, device *handle) {
    NEED(uuid);
    NEED(handle);
    for (int slot = 0; table != NULL && slot < (int)table->gpu_count; slot++) {
        struct view view;
        look(slot, &view);
        if (!view.gpu.listed)
            continue;
        if (strcmp(view.gpu.uuid, uuid) == 0)
            return give(CALL_nvmlDeviceGetHandleByUUID, slot, handle);
        for (int i = 0; i < (int)view.gpu.instance_count; i++) {
            if (strcmp(view.gpu.instances[i].uuid, uuid) != 0)
                continue;
            result code = give(CALL_nvmlDeviceGetHandleByUUID, slot, handle);
            if (code == OK)
                *handle = handle_of(slot, i, view.gpu.mig_epoch);
            return code;
        }
    }
    return give_none(CALL_nvmlDeviceGetHandleByUUID, NOT_FOUND);
}

EXPORT result nvmlDeviceGetHandleBySerial(const char *serial, device *handle) {
    NEED(serial);
    NEED(handle);
    for (int slot = 0; table != NULL && slot < (int)table->gpu_count; slot++)
        if (is_listed(slot) && strcmp(table->gpus[slot].serial, serial) == 0)
            return give(CALL_nvmlDeviceGetHandleBySerial, slot, handle);
    return give_none(CALL_nvmlDeviceGetHandleBySerial, NOT_FOUND);
}

EXPORT result nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, device *handle) {
    NEED(bus_id);
    NEED(handle);
    unsigned domain = 0, bus = 0, number = 0;
    if (sscanf(bus_id, "%x:%x:%x", &domain, &bus, &number) != 3) {
        domain = 0;
        if (sscanf(bus_id, "%x:%x", &bus, &number) != 2)
            return give_none(CALL_nvmlDeviceGetHandleByPciBusId_v2, INVALID_ARGUMENT);
    }
    for (int slot = 0; table != NULL && slot < (int)table->gpu_count; slot++) {
        const struct gpu *gpu = &table->gpus[slot];
        if (is_listed(slot) && gpu->pci_domain == domain && gpu->pci_bus == bus && gpu->pci_device == number)
            return give(CALL_nvmlDeviceGetHandleByPciBusId_v2, slot, handle);
    }
    return give_none(CALL_nvmlDeviceGetHandleByPciBusId_v2, NOT_FOUND);
}
