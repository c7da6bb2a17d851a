"""NVIDIA's own dashboard for dcgm-exporter finds on our page what it asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.snapshot.facts import Facts
from wire.text import TextDecoder

_SELECTOR = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{(?P<matchers>[^}]*)\}")
_VARIABLE = re.compile(r"label_values\((?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*),\s*(?P<label>\w+)\)")
_GIVEN_BY_THE_SCRAPE = {"instance", "job"}


def expressions(node: Any) -> Iterator[str]:
    """Every query of a dashboard: those of its panels and of its variables."""
    if isinstance(node, dict):
        if isinstance(node.get("expr"), str):
            yield node["expr"]
        if node.get("type") == "query" and isinstance(node.get("definition"), str):
            yield node["definition"]
        for child in node.values():
            yield from expressions(child)
    elif isinstance(node, list):
        for child in node:
            yield from expressions(child)


def asked(text: str) -> Iterator[tuple[str, set[str]]]:
    """Each metric of a query, with the labels that it must have."""
    for found in _SELECTOR.finditer(text):
        yield found["name"], set(re.findall(r"(\w+)\s*=~?", found["matchers"]))
    for found in _VARIABLE.finditer(text):
        yield found["name"], {found["label"]}


@pytest.fixture
def facts(busy_page: str) -> Facts:
    decoder = TextDecoder()
    found = decoder.decode(busy_page.encode())
    return Facts(0.0, [(decoder.labels[i], value) for i, value in zip(found.ids, found.values, strict=True)])


def test_every_query_finds_its_series(facts: Facts, shared_data: Path) -> None:
    dashboard = json.loads((shared_data / "grafana" / "nvidia-dcgm-exporter-dashboard.json").read_text())
    wanted = [each for text in expressions(dashboard) for each in asked(text)]
    assert len({name for name, _ in wanted}) >= 6
    missing = set()
    for name, labels in wanted:
        rows = facts.named(name)
        if not rows or any((labels - _GIVEN_BY_THE_SCRAPE) - set(row) for row, _ in rows):
            missing.add(name)
    assert missing == set()
