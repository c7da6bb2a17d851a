"""The kubelet's pods as engines: what annotations mean, and what none of them can do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.engines.found import DiscoveryFailed, Findings, Found
from agent.engines.pod_list import engines_of


def pod(name: str = "llama-0", notes: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A pod as the kubelet lists it, running and annotated as is customary."""
    usual = {"prometheus.io/scrape": "true", "prometheus.io/port": "8000"}
    found: dict[str, Any] = {
        "metadata": {
            "name": name,
            "namespace": "llm",
            "uid": f"uid-{name}",
            "labels": {"app": "llama"},
            "annotations": usual if notes is None else notes,
        },
        "spec": {
            "containers": [
                {"name": "proxy", "image": "envoy:1", "ports": [{"containerPort": 9901}]},
                {"name": "vllm", "image": "r:5000/vllm:v0.32.0", "ports": [{"containerPort": 8000}]},
            ]
        },
        "status": {
            "phase": "Running",
            "podIP": "10.1.2.3",
            "containerStatuses": [
                {"name": "vllm", "state": {"running": {"startedAt": "2026-11-20T12:00:00Z"}}}
            ],
        },
    }
    for path, value in changes.items():
        inner = found
        *way, last = path.split("__")
        for key in way:
            inner = inner[key]
        inner[last] = value
    return found


def _read(*pods: Any) -> Findings:
    return engines_of(json.dumps({"kind": "PodList", "items": pods}).encode())


def _one(*args: Any, **changes: Any) -> Found:
    (found,) = _read(pod(*args, **changes)).engines
    return found


def _refused(*args: Any, **changes: Any) -> str:
    findings = _read(pod(*args, **changes))
    assert not findings.engines
    (refused,) = findings.refused
    assert refused.who == "llm/llama-0"
    return refused.reason


def test_an_annotated_pod() -> None:
    found = _one()
    assert found.settings.url == "http://10.1.2.3:8000/metrics"
    assert found.settings.job == "llama"
    assert found.settings.labels == {
        "namespace": "llm",
        "pod": "llama-0",
        "container": "vllm",
        "service": "llama",
        "replica": "llama-0",
        "version": "v0.32.0",
    }
    assert found.started == 1_795_176_000
    assert not found.settings.follow_redirects, "a pod chooses no other host"


def test_ours_go_before_prometheus() -> None:
    notes = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "8000",
        "fleetowl.io/port": "9901",
        "fleetowl.io/path": "/stats/prometheus",
        "fleetowl.io/scheme": "https",
        "fleetowl.io/job": "gateway",
    }
    found = _one(notes=notes)
    assert found.settings.url == "https://10.1.2.3:9901/stats/prometheus"
    assert found.settings.job == "gateway"
    assert found.settings.labels["container"] == "proxy"
    assert not _read(pod(notes={**notes, "fleetowl.io/scrape": "false"})).engines


@pytest.mark.parametrize(
    "changes",
    [
        {"notes": {}},
        {"notes": {"prometheus.io/scrape": "false"}},
        {"metadata__annotations": None},
        {"status__phase": "Pending"},
        {"status__phase": "Succeeded"},
        {"status__phase": "Failed"},
    ],
)
def test_pods_that_ask_for_nothing_or_do_not_run(changes: dict[str, Any]) -> None:
    assert _read(pod(**changes)) == Findings()


def test_the_only_port_is_the_port() -> None:
    notes = {"fleetowl.io/scrape": "true"}
    containers = [{"name": "vllm", "image": "vllm", "ports": [{"containerPort": 8000}]}]
    found = _one(notes=notes, spec__containers=containers)
    assert found.settings.url.endswith(":8000/metrics")
    assert "version" not in found.settings.labels
    assert _refused(notes=notes) == "no_port"
    assert _refused(notes=notes, spec__containers=None) == "no_port"


@pytest.mark.parametrize("port", [0, -1, 65_536, 80_001_234, True])
def test_a_declared_port_that_is_none(port: int) -> None:
    containers = [{"name": "vllm", "image": "vllm", "ports": [{"containerPort": port}]}]
    assert _refused(notes={"fleetowl.io/scrape": "true"}, spec__containers=containers) == "invalid"


def test_the_version_by_label_goes_before_the_tag() -> None:
    labels = {"app.kubernetes.io/name": "chat", "app": "x", "app.kubernetes.io/version": "2.1"}
    found = _one(metadata__labels=labels)
    assert (found.settings.labels["service"], found.settings.labels["version"]) == ("chat", "2.1")


@pytest.mark.parametrize(
    ("note", "value", "reason"),
    [
        ("port", "http", "invalid_port"),
        ("port", "0", "invalid_port"),
        ("port", "99999999999999999999", "invalid_port"),
        ("port", "80@evil", "invalid_port"),
        ("port", "0000080001234", "invalid_port"),
        ("port", "000008000" + "1" * 5000, "invalid_port"),
        ("port", "65536", "invalid_port"),
        ("port", "\u0663", "invalid_port"),
        ("path", "/a b", "invalid"),
        ("path", "/a\r\nX: y", "invalid"),
        ("path", "/" + "a" * 2000, "invalid"),
        ("scheme", "file", "invalid"),
    ],
)
def test_annotations_that_mean_nothing(note: str, value: str, reason: str) -> None:
    notes = {"prometheus.io/scrape": "true", "prometheus.io/port": "8000", f"prometheus.io/{note}": value}
    assert _refused(notes=notes) == reason


@pytest.mark.parametrize(
    "path", ["@evil.example/x", "//evil.example/x", "metrics", "/\\evil", "/x?y=http://evil"]
)
def test_no_path_leads_to_another_host(path: str) -> None:
    notes = {"prometheus.io/scrape": "true", "prometheus.io/port": "8000", "prometheus.io/path": path}
    assert _one(notes=notes).settings.url.startswith("http://10.1.2.3:8000/")


@pytest.mark.parametrize("address", [None, "", "evil.example", "10.1.2.3@evil", 7])
def test_an_address_is_an_address(address: Any) -> None:
    assert _refused(status__podIP=address) == "no_address"


def test_an_address_of_six() -> None:
    assert _one(status__podIP="fd00::7").settings.url == "http://[fd00::7]:8000/metrics"


@pytest.mark.parametrize(
    "body", [b"", b"Unauthorized", b"[]", b'{"items": 1}', b"null", b"[" * 100_000, b"\xff"]
)
def test_what_is_no_list_of_pods(body: bytes) -> None:
    with pytest.raises(DiscoveryFailed) as caught:
        engines_of(body)
    assert caught.value.kind == "malformed"


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PLACES = [
    "metadata", "spec", "status", "metadata__annotations", "metadata__labels", "metadata__name",
    "metadata__uid", "spec__containers", "status__podIP", "status__containerStatuses",
]  # fmt: skip


@given(st.sampled_from(PLACES), JUNK)
def test_a_broken_pod_harms_none_of_the_others(place: str, junk: Any) -> None:
    broken = pod("broken", **{place: junk})
    assert _one() in _read(broken, pod()).engines
    assert _one() in _read(junk, pod()).engines
