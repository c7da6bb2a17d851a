"""Which alerts of well-known rule packs explain which: kubernetes-mixin, node-exporter, dcgm, vLLM.

Names only: a pair holds where a topology edge joins the two alerts. Where both names of a pair of alerts are
in a table and the pair is not, nothing is inferred.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

Explains = Mapping[str, Collection[str]]
"""The name of an alert and the names of the alerts that it explains."""

_POD_TROUBLE = (
    "KubePodNotReady",
    "KubePodCrashLooping",
    "KubeContainerWaiting",
    "KubeDaemonSetRolloutStuck",
    "KubeDeploymentReplicasMismatch",
    "KubeStatefulSetReplicasMismatch",
)
_ENGINE_TROUBLE = ("VllmReplicaDown", "vLLMServiceDown", "EngineGone", "EngineStalled")
_SLOW = (
    "HighVLLMTimeToFirstToken",
    "HighVLLME2ELatency",
    "HighVLLMErrorRate",
    "LLMHighTTFT",
    "LLMQueueBacklog",
    "VLLMRequestQueueBacklog",
    "VllmE2ELatencyP99TooHigh",
    "VllmHighQueueDepth",
    "VllmITLP99TooHigh",
    "VllmSlowRequestsPresent",
    "VllmTTFTP99TooHigh",
)
_WATCHERS = ("TargetDown", "InstanceDown", "KubeletDown", "GPUMetricsAbsent", "LLMMetricsAbsent")
_NODE_LOSS = (
    "KubeNodeNotReady",
    "KubeNodeUnreachable",
    "KubeNodeReadinessFlapping",
    *_WATCHERS,
    *_POD_TROUBLE,
    *_ENGINE_TROUBLE,
    *_SLOW,
    "GpuLost",
    "NodeGpusMissing",
)

KNOWN: Explains = {
    "NodeDown": _NODE_LOSS,
    "HostDown": _NODE_LOSS,
    "KubeNodeUnreachable": [name for name in _NODE_LOSS if name != "KubeNodeUnreachable"],
    "KubeNodeNotReady": [
        name for name in _NODE_LOSS if name not in ("KubeNodeNotReady", "KubeNodeUnreachable")
    ],
    "KubePodCrashLooping": ("KubePodNotReady", "KubeContainerWaiting", *_ENGINE_TROUBLE),
    "KubePodNotReady": ("KubeDeploymentReplicasMismatch", "KubeStatefulSetReplicasMismatch", *_SLOW),
    "VllmReplicaDown": ("LLMMetricsAbsent", *_SLOW),
    "vLLMServiceDown": ("LLMMetricsAbsent", *_SLOW),
    "GpuLost": ("NodeGpusMissing", *_ENGINE_TROUBLE, *_SLOW),
    "NodeNetworkInterfaceFlapping": ("NodeNetworkReceiveErrs", "NodeNetworkTransmitErrs"),
    "NodeRAIDDiskFailure": ("NodeRAIDDegraded",),
    "KubeletDown": ("KubeletInstanceUnreachable",),
    "KubeAPIDown": ("KubeAPIInstanceUnreachable", "KubeAPIErrorBudgetBurn"),
}


def merged(*tables: Explains) -> dict[str, frozenset[str]]:
    """All tables as one; each adds to the ones before."""
    names = {name for table in tables for name in table}
    return {
        name: frozenset(explained for table in tables for explained in table.get(name, ())) for name in names
    }
