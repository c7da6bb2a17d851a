"""The catalogue of metrics against what real servers expose."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rules.metrics.catalogue import catalogue
from wire import aliases

KNOWN = catalogue()


def exposed(path: Path, prefix: str) -> dict[str, str]:
    """The type by family of an exposition."""
    found = re.findall(rf"^# TYPE ({prefix}\S+) (\w+)$", path.read_text(), re.MULTILINE)
    return {name: kind for name, kind in found if not name.endswith("_created")}


def test_it_has_all_of_a_real_vllm(shared_data: Path) -> None:
    for name, kind in exposed(shared_data / "vllm" / "after-overload.prom", "vllm:").items():
        family = KNOWN.families.get(name)
        assert family is not None, name
        assert (family.type, family.gone) == (kind, ""), name


def test_edges_are_those_of_a_real_vllm(shared_data: Path) -> None:
    text = (shared_data / "vllm" / "after-overload.prom").read_text()
    seen: dict[str, list[float]] = {}
    for name, edge in re.findall(r'^(vllm:\S+)_bucket\{.*?le="([^"]+)"', text, re.MULTILINE):
        if edge != "+Inf" and float(edge) not in seen.setdefault(name, []):
            seen[name].append(float(edge))
    assert len(seen) > 10
    for name, edges in seen.items():
        family = KNOWN.families[name]
        assert family.buckets_vary or list(family.buckets) == edges, name


@pytest.mark.parametrize("capture", ["real-L4-idle", "SYNTHETIC-8xH100-edgecases"])
def test_it_has_all_of_dcgm_exporter(shared_data: Path, capture: str) -> None:
    for name, kind in exposed(shared_data / "captures" / f"dcgm-exporter-{capture}.prom", "DCGM_").items():
        assert KNOWN.families[name].type == kind, name


def test_it_agrees_with_the_alias_table() -> None:
    for name, kind in aliases.families().items():
        assert KNOWN.families[name].type == kind, name
        for alias in aliases.aliases_of(name):
            family = KNOWN.family(alias.name)
            if family is not None:
                assert (family.type, family.unit) == (kind, KNOWN.families[name].unit), alias


def test_what_took_the_place_of_a_family_is_there() -> None:
    for family in KNOWN.families.values():
        for name in re.findall(r"(?:vllm:|DCGM_)\w+(?![\w*])", family.now):
            successor = KNOWN.family(name)
            assert name.endswith("_") or (successor is not None and not successor.gone), family.name


def test_every_family_is_sound() -> None:
    for family in KNOWN.families.values():
        assert family.type in ("counter", "gauge", "histogram"), family.name
        assert family.help or family.now or family.gone, family.name
        assert list(family.buckets) == sorted(set(family.buckets)), family.name
        assert not family.gone or family.now is not None


def test_a_type_of_a_name_that_is_not_listed() -> None:
    assert KNOWN.type_of("go_goroutines") == ""
    assert KNOWN.type_of("my_requests_total") == "counter"
    assert KNOWN.type_of("kube_pod_status_phase") == "gauge"
    assert KNOWN.type_of("kube_pod_container_status_restarts_total") == "counter"
    assert KNOWN.type_of("vllm:request_success_created") == "gauge"
