"""The committed dashboard: built from its description, sound in shape, PromQL on metrics that exist."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.export import DASHBOARDS, FLEET, write
from dashboards.fleet import UID, build
from model.metric import Metric

BOARD: dict[str, Any] = json.loads(FLEET.read_text())
PANELS: list[dict[str, Any]] = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
TARGETS = [(panel, target) for panel in PANELS for target in panel["targets"]]
DECLARING = (
    "agent",
    "telemetry",
    "store",
    "detectors",
    "rules",
    "alertmanager",
    "incidents",
    "runbooks",
    "analyzer",
)

# What neither Fleetowl declares nor a capture holds: made by Prometheus itself, or by kube-state-metrics.
UPSTREAM = {"ALERTS", "up", "kube_node_spec_unschedulable"}


def plain(expression: str) -> str:
    """The expression with Grafana's macros and variables filled in."""
    expression = re.sub(r"\$__(rate_interval|interval)", "1m", expression)
    return re.sub(r"\$\{?\w+\}?", "x", expression)


def selectors(expression: str) -> Iterator[Any]:
    """Every vector selector in an expression, once."""
    found: list[Any] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(plain(expression)), pre_visit=visit)
    yield from found


def declared() -> dict[str, Metric]:
    """Every metric that a room of the project declares."""
    metrics: dict[str, Metric] = {}
    for room in DECLARING:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            found = vars(importlib.import_module(module.name)).get("METRICS", ())
            metrics |= {one.name: one for one in found if isinstance(one, Metric)}
    return metrics


def test_the_committed_file_is_what_the_description_builds() -> None:
    assert build() == FLEET.read_text(), "run: python -m dashboards.fleet"


def test_grafanas_types_lose_nothing_of_it() -> None:
    """from_json drops what it does not know, so an equal round trip means no unknown key."""
    again = JSONEncoder(sort_keys=True, indent=2).encode(Dashboard.from_json(BOARD))
    assert json.loads(again) == BOARD


def test_identity_is_stable_and_unique() -> None:
    assert BOARD["uid"] == UID == "fleetowl-overview"
    assert "id" not in BOARD
    assert BOARD["title"] == "Fleetowl / GPU serving overview"
    identities = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(identities)) == len(identities)
    assert 0 not in identities
    assert {BOARD["refresh"], BOARD["time"]["from"]} == {"10s", "now-1h"}


def test_panels_fit_the_grid_and_overlap_nowhere() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows_and_in_what_unit(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    for part in (panel, *panel["targets"]):
        assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    references = [target["refId"] for target in panel["targets"]]
    assert len(set(references)) == len(references)
    assert all(target["legendFormat"] for target in panel["targets"])


def test_data_sources_and_variables_are_only_named_by_variable() -> None:
    variables = {variable["name"] for variable in BOARD["templating"]["list"]}
    used = {
        name
        for _, target in TARGETS
        for name in re.findall(r"\$\{?(\w+)", target["expr"])
        if not name.startswith("__")
    }
    assert used == variables - {"datasource"} == {"node", "model"}
    for variable in BOARD["templating"]["list"]:
        if variable["type"] == "query":
            assert variable["datasource"]["uid"] == "${datasource}"
            assert variable["allValue"] == ".*"


@pytest.mark.parametrize(("panel", "target"), TARGETS, ids=lambda part: part.get("title", part.get("refId")))
def test_a_query_is_sound(panel: dict[str, Any], target: dict[str, Any]) -> None:
    """rate() stands on counters alone, no counter without it, and buckets are summed by le."""
    expression = target["expr"]
    rated = re.findall(r"rate\(([\w:]+)", expression)
    for selector in selectors(expression):
        counter = bool(re.search(r"_(total|bucket|sum|count)$", selector.name))
        assert counter == (selector.name in rated), f"{selector.name} in {panel['title']}"
    assert expression.count("histogram_quantile") == len(re.findall(r"sum by \(le, ", expression))


def test_every_metric_exists(shared_data: Path) -> None:
    """Fleetowl's own are declared with the right type; the others stand in real captures."""
    own = declared()
    captured: set[str] = set()
    for path in [*shared_data.glob("captures/*"), *shared_data.glob("vllm/**/*.prom")]:
        captured |= set(re.findall(r"^([a-zA-Z_:][\w:]*)", path.read_text(errors="replace"), re.MULTILINE))
    for panel, target in TARGETS:
        for selector in selectors(target["expr"]):
            name = selector.name
            known = name in own if name.startswith("fleetowl_") else name in captured | UPSTREAM
            assert known, f"{name} in {panel['title']} is not known"
            if name in own:
                assert (own[name].type == "counter") == name.endswith("_total"), name
                matched = {matcher.name for matcher in selector.matchers.matchers} - {"node"}
                assert matched <= set(own[name].labels), f"labels of {name}"


def test_export_writes_every_dashboard(tmp_path: Path) -> None:
    written = write(tmp_path / "new" / "folder")
    assert [path.read_bytes() for path in written] == [source.read_bytes() for source in DASHBOARDS]
    assert [path.name for path in written] == ["fleet.json"]
