/* Who a device is. */
#include "stub.h"

#include <stdio.h>

struct pci_info {
    char bus_id_legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
};

EXPORT result nvmlDeviceGetName(device device_, char *name, unsigned size) {
    ON_GPU(nvmlDeviceGetName, IDENTITY);
    char text[160];
    if (view.instance < 0)
        return put_text(name, size, gpu->name);
    snprintf(text, sizeof text, "%s MIG %s", gpu->name, gpu->instances[view.instance].profile);
    return put_text(name, size, text);
}

EXPORT result nvmlDeviceGetUUID(device device_, char *uuid, unsigned size) {
    ON_GPU(nvmlDeviceGetUUID, IDENTITY);
    return put_text(uuid, size, view.instance < 0 ? gpu->uuid : gpu->instances[view.instance].uuid);
}

EXPORT result nvmlDeviceGetSerial(device device_, char *serial, unsigned size) {
    ON_GPU(nvmlDeviceGetSerial, IDENTITY);
    return view.instance < 0 ? put_text(serial, size, gpu->serial) : NOT_SUPPORTED;
}

EXPORT result nvmlDeviceGetVbiosVersion(device device_, char *version, unsigned size) {
    ON_GPU(nvmlDeviceGetVbiosVersion, WHOLE);
    return put_text(version, size, gpu->vbios);
}

/* Position among the GPUs that are listed; of a MIG device, among those of its GPU. */
EXPORT result nvmlDeviceGetIndex(device device_, unsigned *index) {
    ON_GPU(nvmlDeviceGetIndex, IDENTITY);
    NEED(index);
    *index = view.instance < 0 ? 0 : (unsigned)view.instance;
    for (int slot = 0; view.instance < 0 && slot < view.slot; slot++)
        *index += table->gpus[slot].listed ? 1 : 0;
    return OK;
}

EXPORT result nvmlDeviceGetMinorNumber(device device_, unsigned *minor) {
    ON_GPU(nvmlDeviceGetMinorNumber, IDENTITY);
    NEED(minor);
    *minor = gpu->minor;
    return view.instance < 0 ? OK : NOT_SUPPORTED;
}

static void fill_pci(const struct gpu *gpu, struct pci_info *info) {
    memset(info, 0, sizeof *info);
    info->domain = gpu->pci_domain;
    info->bus = gpu->pci_bus;
    info->device = gpu->pci_device;
    info->device_id = gpu->pci_device_id;
    info->subsystem_id = gpu->pci_subsystem_id;
    snprintf(info->bus_id_legacy, sizeof info->bus_id_legacy, "%04X:%02X:%02X.0", info->domain & 0xffff,
             info->bus & 0xff, info->device & 0xff);
    snprintf(info->bus_id, sizeof info->bus_id, "%08X:%02X:%02X.0", info->domain, info->bus, info->device);
}

EXPORT result nvmlDeviceGetPciInfo_v3(device device_, struct pci_info *info) {
    ON_GPU(nvmlDeviceGetPciInfo_v3, IDENTITY);
    NEED(info);
    fill_pci(gpu, info);
    return view.instance < 0 ? OK : NOT_SUPPORTED;
}

EXPORT result nvmlDeviceGetNvLinkRemotePciInfo_v2(device device_, unsigned link, struct pci_info *info) {
    ON_GPU(nvmlDeviceGetNvLinkRemotePciInfo_v2, WHOLE);
    NEED(info);
    if (gpu->link_count == 0)
        return NOT_SUPPORTED;
    if (link >= gpu->link_count)
        return INVALID_ARGUMENT;
    memset(info, 0, sizeof *info);
    info->bus = 0x01 + link % 4; /* one of four switches */
    snprintf(info->bus_id, sizeof info->bus_id, "%08X:%02X:%02X.0", 0, info->bus, 0);
    snprintf(info->bus_id_legacy, sizeof info->bus_id_legacy, "0000:%02X:00.0", info->bus & 0xff);
    return OK;
}

GETTER(nvmlDeviceGetArchitecture, unsigned, IDENTITY, gpu->architecture)
GETTER(nvmlDeviceGetBrand, unsigned, IDENTITY, gpu->brand)
GETTER(nvmlDeviceGetPersistenceMode, unsigned, WHOLE, gpu->persistence_mode)
GETTER(nvmlDeviceGetComputeMode, unsigned, WHOLE, gpu->compute_mode)

EXPORT result nvmlDeviceGetCudaComputeCapability(device device_, int *major, int *minor) {
    ON_GPU(nvmlDeviceGetCudaComputeCapability, IDENTITY);
    NEED(major);
    NEED(minor);
    *major = (int)gpu->compute_major;
    *minor = (int)gpu->compute_minor;
    return OK;
}

SIZED(pci_info);
