"""Notifications that the tests of receivers send."""

from __future__ import annotations

from collections.abc import Sequence

from alertmanager.notification import Brief, Delivery, Notification
from model.alert import Alert
from model.labels import Labels

T0 = 1_795_000_000_000

LOST = Alert(
    Labels({"alertname": "GpuLost", "tier": "P1", "node": "n1", "gpu": "3"}),
    {
        "summary": "GPU 3 has fallen off the bus",
        "first_check": "nvidia-smi -L on the node",
        "runbook_url": "https://runbooks.example/gpu-lost",
    },
    T0,
    generator_url="http://analyzer/graph",
    incident="INC-20261120-0001",
)
GONE = Alert(
    Labels({"alertname": "EngineGone", "tier": "P2", "node": "n1", "pod": "vllm-1"}),
    {"summary": "engine is gone"},
    T0 + 1000,
    T0 + 31_000,
    incident="INC-20261120-0001",
)
BRIEF = Brief(
    "INC-20261120-0001",
    "GPU 3 of n1 is lost: 1 replica of chat, 12 % of its traffic",
    ("Most likely cause: the GPU fell off the bus (XID 79).", "Held back: 14 alerts."),
    "https://owl.example/api/v1/incidents/INC-20261120-0001",
    "https://owl.example/ack?t=abc",
)


def told(
    alerts: Sequence[Alert] = (LOST, GONE),
    integration: str = "webhook[0]",
    headline: str = "",
    briefs: tuple[Brief, ...] = (),
    group_labels: Labels | None = None,
    group_key: str = '{}:{incident="INC-20261120-0001"}',
    sequence: int = 1,
) -> Notification:
    """A notification to the receiver `team`, a minute after T0."""
    at = T0 + 60_000
    ended = frozenset(alert.fingerprint for alert in alerts if alert.resolved_at(at))
    firing = frozenset(alert.fingerprint for alert in alerts) - ended
    labels = Labels({"incident": "INC-20261120-0001"}) if group_labels is None else group_labels
    return Notification(
        Delivery(group_key, "team", integration),
        labels,
        tuple(alerts),
        firing,
        ended,
        at,
        sequence,
        "k" * 32,
        headline=headline,
        briefs=briefs,
    )
