/* The fabric that the GPUs of a machine share, and licences of virtual GPUs (none). */
#include "stub.h"

struct fabric {
    uint8_t cluster[16];
    int status;
    uint32_t clique;
    unsigned state;
};

struct fabric_v2 {
    unsigned version;
    uint8_t cluster[16];
    int status;
    uint32_t clique;
    unsigned state;
    uint32_t health_mask;
};

struct fabric_v3 {
    struct fabric_v2 v2;
    uint8_t health_summary;
};

struct licence {
    unsigned code, state;
    char info[128], product[128];
    unsigned enabled;
    struct {
        uint32_t year;
        uint16_t month, day, hour, minute, second;
        uint8_t status;
    } expiry;
};

struct licences {
    int is_supported;
    unsigned count;
    struct licence list[3];
};

#define FABRIC_V2 0x02000024
#define FABRIC_V3 0x3000028
VERSIONED(fabric_v2, FABRIC_V2);
VERSIONED(fabric_v3, FABRIC_V3);

EXPORT result nvmlDeviceGetGpuFabricInfo(device device_, struct fabric *out) {
    ON_GPU(nvmlDeviceGetGpuFabricInfo, WHOLE);
    NEED(out);
    memset(out, 0, sizeof *out);
    out->status = (int)gpu->fabric_status;
    out->clique = gpu->fabric_clique;
    out->state = gpu->fabric_state;
    return OK;
}

EXPORT result nvmlDeviceGetGpuFabricInfoV(device device_, struct fabric_v3 *out) {
    ON_GPU(nvmlDeviceGetGpuFabricInfoV, WHOLE);
    NEED(out);
    unsigned version = out->v2.version;
    if (version != FABRIC_V2 && version != FABRIC_V3)
        return VERSION_MISMATCH;
    memset(out->v2.cluster, 0, sizeof out->v2.cluster);
    out->v2.status = (int)gpu->fabric_status;
    out->v2.clique = gpu->fabric_clique;
    out->v2.state = gpu->fabric_state;
    out->v2.health_mask = gpu->fabric_health_mask;
    if (version == FABRIC_V3)
        out->health_summary = (uint8_t)gpu->fabric_health_summary;
    return OK;
}

EXPORT result nvmlDeviceGetGridLicensableFeatures_v4(device device_, struct licences *out) {
    ON_GPU(nvmlDeviceGetGridLicensableFeatures_v4, WHOLE);
    NEED(out);
    memset(out, 0, sizeof *out);
    return OK;
}

SIZED(fabric);
SIZED(licences);
