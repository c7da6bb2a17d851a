"""Builds the overview dashboard with grafana-foundation-sdk (a development dependency).

`python -m dashboards.fleet` writes dashboards/fleet.json again; a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as shapes

from dashboards.export import FLEET
from dashboards.panels import ROWS, Panel, Query

UID = "fleetowl-overview"
TITLE = "Fleetowl / GPU serving overview"
COLUMNS = 24
PANEL_HEIGHT, STAT_HEIGHT = 8, 4

_DATASOURCE = shapes.DataSourceRef(type_val="prometheus", uid="${datasource}")


def build() -> str:
    """The dashboard as JSON, the same bytes each time."""
    made = (
        dashboard.Dashboard(TITLE)
        .uid(UID)
        .description("Alerts, GPUs, serving engines, hosts and Fleetowl itself, on one page.")
        .tags(["fleetowl", "gpu", "llm"])
        .time("now-1h", "now")
        .refresh("10s")
        .timezone("browser")
        .editable()
        .tooltip(shapes.DashboardCursorSync.CROSSHAIR)
        .annotations([])
    )
    for variable in _variables():
        made = made.with_variable(variable)
    for kind, part in _placed():
        made = made.with_row(part) if kind == "row" else made.with_panel(part)
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


def _variables() -> Iterator[Any]:
    yield dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    for name, label, query in (
        ("node", "Node", "label_values(up, node)"),
        ("model", "Model", "label_values(vllm:num_requests_running, model_name)"),
    ):
        yield (
            dashboard.QueryVariable(name)
            .label(label)
            .query(query)
            .datasource(_DATASOURCE)
            .refresh(shapes.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(shapes.VariableSort.NATURAL_ASC)
            .multi(True)
            .include_all(True)
            .all_value(".*")
        )


def _placed() -> Iterator[tuple[str, Any]]:
    """Rows and panels with ids and places, left to right and then down."""
    identity, top = 0, 0
    for row in ROWS:
        identity += 1
        place = shapes.GridPos(h=1, w=COLUMNS, x=0, y=top)
        yield "row", dashboard.Row(row.title).id(identity).grid_pos(place)
        top, left, height = top + 1, 0, 0
        for panel in row.panels:
            if left + panel.width > COLUMNS:
                top, left, height = top + height, 0, 0
            identity += 1
            size = STAT_HEIGHT if panel.kind == "stat" else PANEL_HEIGHT
            place = shapes.GridPos(h=size, w=panel.width, x=left, y=top)
            yield "panel", _panel(panel).id(identity).grid_pos(place)
            left, height = left + panel.width, max(height, size)
        top += height


def _panel(panel: Panel) -> Any:
    """The builder of a panel; the SDK's two kinds share these methods but no type."""
    made: Any = stat.Panel() if panel.kind == "stat" else timeseries.Panel()
    made = made.title(panel.title).description(panel.description).unit(panel.unit).datasource(_DATASOURCE)
    if panel.kind == "timeseries":
        legend = common.VizLegendOptions().display_mode(options.LegendDisplayMode.LIST)
        legend = legend.placement(options.LegendPlacement.BOTTOM).show_legend(True)
        made = made.legend(legend).min(0)
    if panel.maximum is not None:
        made = made.max(panel.maximum)
    for letter, query in zip("ABCDEF", panel.queries, strict=False):
        made = made.with_target(_target(letter, query, instant=panel.kind == "stat"))
    return made


def _target(letter: str, query: Query, *, instant: bool) -> Any:
    made = prometheus.Dataquery().ref_id(letter).expr(query.expr).legend_format(query.legend)
    made = made.datasource(_DATASOURCE)
    return made.instant() if instant else made.range()


if __name__ == "__main__":
    FLEET.write_text(build())
