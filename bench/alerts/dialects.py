"""How a monitoring says that something is wrong: the labels of its alerts, by what is said and of what.

`Own` is the shipped packs (rules/packs): names, labels and the order of things are those that
bench.alerts.recording hears. `Foreign` is a site with kube-prometheus, node-exporter, dcgm-exporter and
vLLM's rules: other names, a severity instead of a tier, `instance` where we say `node`, the exporter's own
`pod` and `service` on every series, sums over whole jobs.

A sign that a dialect has no alert for gives no labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from bench.alerts.fleet import Gpu, Node, Replica

Words = dict[str, str]
_SEVERITY = {"P0": "critical", "P1": "critical", "P2": "warning", "P3": "info"}


class Dialect(Protocol):
    """A way to say it. `wait` (s) is what its rules wait longer than ours."""

    name: str
    wait: Mapping[str, int]

    def say(self, sign: str, of: Any) -> Iterator[Words]:
        """The labels of the alerts by which a sign is told."""


def _own(name: str, tier: str, kind: str = "threshold", **labels: str) -> Words:
    return {"alertname": name, "tier": tier, "kind": kind, "severity": _SEVERITY[tier], **labels}


def _gpu(gpu: Gpu) -> Words:
    return {"Hostname": gpu.node, "node": gpu.node, "gpu": str(gpu.index), "UUID": gpu.uuid}


def _target(replica: Replica) -> Words:
    return {
        "job": "vllm",
        "instance": replica.address,
        "namespace": "serving",
        "node": replica.node,
        "pod": replica.pod,
    }


def _engine(replica: Replica) -> Words:
    return {**_target(replica), "service": replica.service, "model_name": replica.service, "engine": "0"}


def _latency(replica: Replica) -> Words:
    return {**_target(replica), "model_name": replica.service}


def _host(node: Node, job: str, port: int) -> Words:
    labels = {"job": job, "instance": f"{node.address}:{port}", "node": node.name}
    return {**labels, "rack": node.rack.name}


_OWN: dict[str, Callable[[Any], list[Words]]] = {
    "gpu lost": lambda gpu: [_own("GpuLost", "P0", **_gpu(gpu))],
    "gpu xid reset": lambda gpu: [_own("GpuXidReset", "P1", xid="95", **_gpu(gpu))],
    "gpu xid nvlink": lambda gpu: [_own("GpuXidReset", "P1", xid="74", **_gpu(gpu))],
    "gpu ecc": lambda gpu: [_own("GpuEccUncorrected", "P1", **_gpu(gpu))],
    "gpu nvlink": lambda gpu: [_own("GpuNvlinkErrors", "P1", **_gpu(gpu))],
    "gpu hot": lambda gpu: [_own("GpuThermalThrottle", "P2", **_gpu(gpu))],
    "gpu memory hot": lambda gpu: [_own("GpuMemoryHot", "P2", **_gpu(gpu))],
    "gpu slow": lambda gpu: [_own("GpuSlowClock", "P2", **_gpu(gpu))],
    "gpu pressure": lambda given: [
        _own("GpuPressure", "P2", pod=given[1].pod, namespace="serving", **_gpu(given[0]))
    ],
    "gpus missing": lambda node: [_own("NodeGpusMissing", "P1", node=node.name)],
    "driver failing": lambda node: [
        _own("GpuDriverFailing", "P1", job="agent", instance=f"{node.address}:9400", node=node.name)
    ],
    "host down": lambda node: [
        _own("InstanceDown", "P2", **_host(node, "dcgm", 9400)),
        _own("InstanceDown", "P2", **_host(node, "node", 9100)),
    ],
    "agent down": lambda node: [_own("InstanceDown", "P1", **_host(node, "agent", 9400))],
    "node lost": lambda node: [_own("KubeNodeLost", "P0", node=node.name)],
    "exporter down": lambda node: [_own("InstanceDown", "P2", **_host(node, "dcgm", 9400))],
    "not ready": lambda node: [_own("KubeNodeNotReady", "P1", node=node.name)],
    "port down": lambda node: [
        _own("InfinibandPortDown", "P1", device=f"mlx5_{port}", port="1", **_host(node, "node", 9100))
        for port in range(4)
    ],
    "retransmits": lambda node: [_own("HostRetransmits", "P3", **_host(node, "node", 9100))],
    "engine gone": lambda one: [_own("EngineGone", "P1", service=one.service, **_target(one))],
    "crash loop": lambda one: [
        _own("ServingPodCrashLooping", "P1", namespace="serving", pod=one.pod, container="vllm")
    ],
    "oom killed": lambda one: [
        _own("ServingPodOomKilled", "P2", namespace="serving", pod=one.pod, container="vllm")
    ],
    "stalled": lambda one: [_own("EngineStalled", "P0", **_engine(one))],
    "errors": lambda one: [_own("ErrorRateHigh", "P1", "business", **_target(one))],
    "queue": lambda one: [_own("EngineQueue", "P2", **_engine(one))],
    "preempting": lambda one: [_own("EnginePreempting", "P2", **_engine(one))],
    "thrashing": lambda one: [_own("KvCacheThrashing", "P1", **_engine(one))],
    "throughput": lambda one: [_own("ThroughputDropped", "P2", **_engine(one))],
    "slow first token": lambda one: [_own("TimeToFirstTokenHigh", "P2", **_latency(one))],
    "slow tokens": lambda one: [_own("TimePerOutputTokenHigh", "P2", **_latency(one))],
    "overload": lambda service: [_own("ServiceOverloaded", "P1", model_name=service)],
    "slow service": lambda service: [_own("ServiceLatencyHigh", "P1", "business", model_name=service)],
    "service down": lambda service: [_own("ServiceDown", "P0", "business", model_name=service)],
    "burn": lambda service: [_own("AvailabilityBurnFast", "P0", "business", model_name=service)],
    "rack hot": lambda rack: [_own("RackCoolingLoss", "P1", rack=rack.name)],
    "switch down": lambda rack: [
        _own("InstanceDown", "P2", job="snmp", instance=rack.leaf, rack=rack.name, switch=rack.leaf)
    ],
    "many agents lost": lambda _: [_own("FleetowlAgentsLostTogether", "P1")],
    "watchdog": lambda _: [_own("Watchdog", "P3")],
    "disk filling": lambda node: [
        _own("HostFilesystemFilling", "P3", "trend", mountpoint="/var", **_host(node, "node", 9100))
    ],
    "aim missed": lambda one: [_own("TimeToFirstTokenAimMissed", "P3", "business", **_latency(one))],
    "gpu wasted": lambda gpu: [_own("GpuWasted", "P3", "business", **_gpu(gpu))],
    "network errors": lambda node: [
        _own("HostNetworkErrors", "P3", device="eth0", **_host(node, "node", 9100))
    ],
}


class Own:
    """The shipped packs."""

    name = "own"
    wait: Mapping[str, int] = MappingProxyType({})

    def say(self, sign: str, of: Any) -> Iterator[Words]:
        """As the rules of rules/packs."""
        yield from _OWN[sign](of)


def _theirs(name: str, severity: str, **labels: str) -> Words:
    return {"alertname": name, "severity": severity, "prometheus": "monitoring/k8s", **labels}


def _kube(name: str, severity: str, **labels: str) -> Words:
    """kube-state-metrics: the address of the exporter is on every series."""
    base = {"job": "kube-state-metrics", "instance": "10.244.0.17:8443", "container": "kube-rbac-proxy-main"}
    return _theirs(name, severity, **base, **labels)


def _dcgm(name: str, severity: str, gpu: Gpu, **labels: str) -> Words:
    base = {
        "job": "nvidia-dcgm-exporter",
        "instance": "10.244.3.9:9400",
        "namespace": "gpu-operator",
        "service": "nvidia-dcgm-exporter",
        "pod": f"nvidia-dcgm-exporter-{gpu.uuid[4:9]}",
        "Hostname": gpu.node,
        "gpu": str(gpu.index),
        "UUID": gpu.uuid,
        "modelName": "NVIDIA H100 80GB HBM3",
        "device": f"nvidia{gpu.index}",
    }
    return _theirs(name, severity, **base, **labels)


def _node_exporter(name: str, severity: str, node: Node, **labels: str) -> Words:
    """kube-prometheus names the node in `instance`."""
    base = {
        "job": "node-exporter",
        "instance": node.name,
        "namespace": "monitoring",
        "service": "node-exporter",
        "pod": f"node-exporter-{node.exporter}",
    }
    return _theirs(name, severity, **base, **labels)


def _vllm(name: str, severity: str, one: Replica, **labels: str) -> Words:
    base = {
        "job": "vllm",
        "instance": one.address,
        "namespace": "serving",
        "service": f"{one.service}-metrics",
        "pod": one.pod,
        "container": "vllm",
        "endpoint": "http",
    }
    return _theirs(name, severity, **base, **labels)


def _target_down(job: str, namespace: str) -> Words:
    return _theirs("TargetDown", "warning", job=job, namespace=namespace, service=job)


_FOREIGN: dict[str, Callable[[Any], list[Words]]] = {
    "gpu lost": lambda gpu: [_dcgm("NvidiaGpuXidError", "critical", gpu, err_code="79")],
    "gpu xid reset": lambda gpu: [_dcgm("NvidiaGpuXidError", "critical", gpu, err_code="95")],
    "gpu xid nvlink": lambda gpu: [_dcgm("NvidiaGpuXidError", "critical", gpu, err_code="74")],
    "gpu ecc": lambda gpu: [_dcgm("NvidiaGpuDoubleBitEccError", "critical", gpu)],
    "gpu nvlink": lambda gpu: [_dcgm("NvidiaGpuNvlinkErrors", "warning", gpu)],
    "gpu hot": lambda gpu: [_dcgm("NvidiaGpuTemperatureHigh", "warning", gpu)],
    "gpu memory hot": lambda gpu: [_dcgm("NvidiaGpuMemoryTemperatureHigh", "warning", gpu)],
    "gpu pressure": lambda given: [
        _dcgm("GPUHighUtilization", "warning", given[0], exported_pod=given[1].pod)
    ],
    "driver failing": lambda _: [_target_down("nvidia-dcgm-exporter", "gpu-operator")],
    "host down": lambda node: [
        _node_exporter("NodeDown", "critical", node),
        _target_down("node-exporter", "monitoring"),
        _target_down("kubelet", "kube-system"),
    ],
    "exporter down": lambda _: [_target_down("nvidia-dcgm-exporter", "gpu-operator")],
    "not ready": lambda node: [
        _kube("KubeNodeNotReady", "warning", node=node.name, condition="Ready", status="true"),
        _kube("KubeNodeUnreachable", "warning", node=node.name, key="node.kubernetes.io/unreachable"),
    ],
    "port down": lambda node: [
        _node_exporter("NodeInfinibandPortDown", "critical", node, device=f"mlx5_{port}", port="1")
        for port in range(4)
    ],
    "retransmits": lambda node: [_node_exporter("NodeHighTcpRetransmits", "warning", node)],
    "engine gone": lambda one: [_vllm("vLLMServiceDown", "critical", one)],
    "crash loop": lambda one: [
        _kube("KubePodCrashLooping", "warning", namespace="serving", pod=one.pod, reason="CrashLoopBackOff"),
        _theirs("KubePodNotReady", "warning", namespace="serving", pod=one.pod, job="kube-state-metrics"),
        _kube("KubeDeploymentReplicasMismatch", "warning", namespace="serving", deployment=one.service),
    ],
    "stalled": lambda one: [_vllm("VllmNoTokens", "critical", one, model_name=one.service)],
    "errors": lambda _: [_theirs("HighVLLMErrorRate", "warning")],
    "queue": lambda one: [_vllm("VLLMRequestQueueBacklog", "warning", one, model_name=one.service)],
    "preempting": lambda one: [_vllm("HighVLLMKVCacheUsage", "warning", one, model_name=one.service)],
    "thrashing": lambda one: [_vllm("VllmPreemptionSpike", "warning", one, model_name=one.service)],
    "slow first token": lambda one: [
        _theirs("VllmTTFTP99TooHigh", "warning", model_name=one.service),
        _vllm("HighVLLMTimeToFirstToken", "warning", one, model_name=one.service),
    ],
    "slow tokens": lambda one: [_theirs("VllmITLP99TooHigh", "warning", model_name=one.service)],
    "slow service": lambda service: [_theirs("VllmE2ELatencyP99TooHigh", "warning", model_name=service)],
    "service down": lambda _: [_theirs("VllmReplicaDown", "critical")],
    "burn": lambda service: [_theirs("LLMAvailabilityErrorBudgetFastBurn", "critical", model=service)],
    "rack hot": lambda rack: [_theirs("RackInletTemperatureHigh", "critical", rack=rack.name, job="ipmi")],
    "switch down": lambda rack: [_theirs("SwitchDown", "critical", job="snmp", instance=rack.leaf)],
    "watchdog": lambda _: [_theirs("Watchdog", "none")],
    "disk filling": lambda node: [
        _node_exporter("NodeFilesystemSpaceFillingUp", "info", node, mountpoint="/var", device="nvme0n1p2")
    ],
    "aim missed": lambda one: [_vllm("VllmSlowRequestsPresent", "info", one, model_name=one.service)],
    "gpu wasted": lambda gpu: [_dcgm("NvidiaGpuIdle", "info", gpu)],
    "network errors": lambda node: [_node_exporter("NodeNetworkReceiveErrs", "info", node, device="eth0")],
}


class Foreign:
    """A site that has never heard of Fleetowl. Its rules wait longer before they fire."""

    name = "foreign"
    wait: Mapping[str, int] = MappingProxyType(
        {"not ready": 120, "crash loop": 240, "host down": 15, "slow first token": 60, "errors": 60}
    )

    def say(self, sign: str, of: Any) -> Iterator[Words]:
        """As the community's rules; nothing for what they have no rule for."""
        yield from _FOREIGN.get(sign, lambda _: [])(of)


DIALECTS: tuple[Dialect, ...] = (Own(), Foreign())
