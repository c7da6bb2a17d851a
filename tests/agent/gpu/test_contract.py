"""The families of dcgm-exporter's default set, held to its contract and to a real exporter's page."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any

import pytest

import agent
from model.document import read_yaml
from model.metric import Metric

CONTRACT: dict[str, Any] = read_yaml(Path(__file__).with_name("contract.yml"))
FAMILIES: dict[str, dict[str, Any]] = CONTRACT["families"]
LABELS: dict[str, Any] = CONTRACT["labels"]


def declared() -> dict[str, Metric]:
    """Every family that a module of the agent declares."""
    found = {}
    for module in pkgutil.walk_packages(agent.__path__, "agent."):
        for metric in getattr(importlib.import_module(module.name), "METRICS", ()):
            found[metric.name] = metric
    return found


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_declared_is_the_contract(name: str) -> None:
    family = FAMILIES[name]
    metric = declared().get(name)
    if metric is None:
        assert family.get("optional"), f"{name} is not declared"
        return
    assert (metric.type, metric.help) == (family["type"], family["help"])
    assert set(LABELS["of_every_family"]) <= set(metric.labels)


def test_the_contract_is_what_a_real_exporter_says(shared_data: Path) -> None:
    page = (shared_data / "captures" / "dcgm-exporter-real-L4-idle.prom").read_text()
    said = families_of(page)
    assert set(said) <= set(FAMILIES)
    for name, (kind, help_text, labels) in said.items():
        assert (kind, help_text) == (FAMILIES[name]["type"], FAMILIES[name]["help"])
        assert labels == {*LABELS["of_every_family"], *LABELS["hostname"]["Hostname"]}


def test_every_help_says_its_unit() -> None:
    for name, family in FAMILIES.items():
        assert family["unit"].lower() in family["help"].lower(), name


def test_the_page_is_the_contract(busy_page: str) -> None:
    shown = families_of(busy_page)
    assert {name for name, family in FAMILIES.items() if not family.get("optional")} <= set(shown)
    for name, family in FAMILIES.items():
        if name in shown:
            kind, help_text, labels = shown[name]
            assert (kind, help_text) == (family["type"], family["help"]), name
            assert labels == {*LABELS["of_every_family"], *LABELS["hostname"]["Hostname"]}, name


def test_the_page_is_what_a_real_exporter_says(busy_page: str, shared_data: Path) -> None:
    """Family by family: name, TYPE, HELP and label names."""
    real = families_of((shared_data / "captures" / "dcgm-exporter-real-L4-idle.prom").read_text())
    ours = families_of(busy_page)
    absent = {name for name in real if name not in ours}
    assert absent <= {name for name, family in FAMILIES.items() if family.get("optional")}
    for name in real.keys() - absent:
        assert ours[name] == real[name]


def test_values_are_in_the_contracts_units(busy_page: str) -> None:
    """A busy H100: a wrong unit is off by a thousand."""
    plausible = {
        "DCGM_FI_DEV_SM_CLOCK": (1000, 2500),
        "DCGM_FI_DEV_GPU_TEMP": (40, 95),
        "DCGM_FI_DEV_POWER_USAGE": (100, 700),
        "DCGM_FI_DEV_GPU_UTIL": (50, 100),
        "DCGM_FI_DEV_FB_USED": (10_000, 82_000),
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE": (0.1, 1),
        "DCGM_FI_PROF_DRAM_ACTIVE": (0.01, 1),
        "DCGM_FI_PROF_PCIE_TX_BYTES": (1e4, 1e11),
    }
    for name, (low, high) in plausible.items():
        for line in busy_page.splitlines():
            if line.startswith(name + "{"):
                assert low <= float(line.rpartition(" ")[2]) <= high, line


def families_of(page: str) -> dict[str, tuple[str, str, set[str]]]:
    """Type, HELP and label names of each DCGM family of a page."""
    helps: dict[str, str] = {}
    kinds: dict[str, str] = {}
    labels: dict[str, set[str]] = {}
    for line in page.splitlines():
        if line.startswith("# HELP DCGM_"):
            _, _, name, helps[name] = line.split(" ", 3)
        elif line.startswith("# TYPE DCGM_"):
            _, _, name, kinds[name] = line.split(" ", 3)
        elif line.startswith("DCGM_"):
            name, _, rest = line.partition("{")
            inner = rest.rpartition("}")[0]
            labels.setdefault(name, set()).update(part.split('="')[0] for part in inner.split('",'))
    return {name: (kinds[name], helps[name], labels[name]) for name in labels}
