"""NVLink: errors of all links together, traffic, and which links are up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agent.gpu.probe.errors import INVALID_ARGUMENT, LACKING
from agent.gpu.probe.family import LINK_LABELS, counter, gauge, metrics
from agent.gpu.probe.target import Reader, Target, lacking

_LINK_COUNT_FIELD = 91
_MOST_LINKS = 36
_ALL_LINKS = 0xFFFFFFFF  # as scope: the sum over the links
_KIB = 1024

CRC_FLIT = counter(
    "DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL", "Total number of NVLink flow-control CRC errors."
)
CRC_DATA = counter("DCGM_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL", "Total number of NVLink data CRC errors.")
REPLAY = counter("DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL", "Total number of NVLink retries.")
RECOVERY = counter("DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL", "Total number of NVLink recovery errors.")
TRANSMITTED = counter("fleetowl_gpu_nvlink_transmitted_bytes_total", "Payload sent over all NVLinks.")
RECEIVED = counter("fleetowl_gpu_nvlink_received_bytes_total", "Payload received over all NVLinks.")
LINK_UP = gauge("fleetowl_gpu_nvlink_up", "Whether this NVLink is active.", 1, labels=LINK_LABELS)
# Family, field of the total, and nvmlNvLinkErrorCounter_t for devices that only count by link.
_ERRORS = ((CRC_FLIT, 38, 2), (CRC_DATA, 45, 3), (REPLAY, 52, 0), (RECOVERY, 59, 1))
_ERROR_FAMILIES = tuple(family for family, _, _ in _ERRORS)
_ERROR_FIELDS = tuple((family.name, field, 0) for family, field, _ in _ERRORS)
_TRAFFIC_FIELDS = ((TRANSMITTED.name, 138, _ALL_LINKS), (RECEIVED.name, 139, _ALL_LINKS))
_ALL = (*_ERROR_FAMILIES, TRANSMITTED, RECEIVED, LINK_UP)
_BANDWIDTH = "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL"
_NOT_PROVEN = "of no proven unit; see fleetowl_gpu_nvlink_transmitted_bytes_total and _received_bytes_total"
METRICS = metrics(*_ALL)


def _links(target: Target) -> Mapping[str, float]:
    target.missing[_BANDWIDTH] = _NOT_PROVEN
    states = dict(_states(target))
    if not states:
        target.missing.update(lacking(_ALL, "no NVLink"))
        return {}
    target.parts += [(LINK_UP.name, {"nvlink": str(link)}, up) for link, up in states.items()]
    values = target.field_values((*_ERROR_FIELDS, *_TRAFFIC_FIELDS))
    for family in (TRANSMITTED, RECEIVED):
        if family.name in values:
            values[family.name] *= _KIB
    for family, _, counted in _ERRORS:
        if family.name not in values:
            values.update(_sum(target, family.name, counted, [link for link, up in states.items() if up]))
    return values


def _states(target: Target) -> Iterator[tuple[int, int]]:
    count = target.field_values([("", _LINK_COUNT_FIELD, 0)]).get("", _MOST_LINKS)
    target.missing.pop("", None)
    for link in range(min(int(count), _MOST_LINKS)):
        try:
            yield link, target.nvml.nvmlDeviceGetNvLinkState(target.handle, link)
        except target.nvml.NVMLError as error:
            if error.value not in LACKING and error.value != INVALID_ARGUMENT:
                raise
            return


def _sum(target: Target, name: str, counted: int, links: list[int]) -> dict[str, float]:
    try:
        errors = [target.nvml.nvmlDeviceGetNvLinkErrorCounter(target.handle, link, counted) for link in links]
    except target.nvml.NVMLError as error:
        if error.value not in LACKING and error.value != INVALID_ARGUMENT:
            raise
        return {}  # the field has said why
    if not links:
        return {}
    target.missing.pop(name, None)
    return {name: sum(errors)}


READERS = (Reader(_ALL, _links, slow=True),)
