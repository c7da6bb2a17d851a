"""Documents written by hand that list things: the lists are true."""

from __future__ import annotations

import dataclasses
import re
from fnmatch import fnmatchcase
from pathlib import Path

from agent.host import Host
from agent.registry import Round, collectors_for
from agent.snapshot import shape

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
_CODE = re.compile(r"`([^`]+)`")


def first_cells(document: str) -> set[str]:
    """What stands as code in the first cell of each row of its tables."""
    rows = [line for line in (DOCS / document).read_text().splitlines() if line.startswith("| `")]
    return {name for row in rows for name in _CODE.findall(row.split(" | ")[0])}


def test_every_key_of_once_is_documented() -> None:
    views = (
        shape.Snapshot,
        shape.NodeView,
        shape.HostView,
        shape.GpuView,
        shape.EngineView,
        shape.Finding,
    )
    keys = {field.name for view in views for field in dataclasses.fields(view)}
    assert first_cells("agent-once.md") == keys
    text = (DOCS / "agent-once.md").read_text()
    for view in (shape.XidView, shape.ProcessView):
        for field in dataclasses.fields(view):
            assert f"`{field.name}`" in text


def test_the_host_families_that_are_left_out_are_listed(shared_data: Path) -> None:
    page = (shared_data / "captures" / "node_exporter-1.5-debian12.prom").read_text()
    theirs = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE node_")}
    host = Host("here")
    tour = Round(host, collectors_for(host, ("gpu",)))
    tour.collect()
    ours = {metric.name for metric in tour.metrics()}
    patterns = first_cells("host-metrics.md")
    left_out = {name for name in theirs if any(fnmatchcase(name, pattern) for pattern in patterns)}
    # What a field of procfs is called depends on the kernel: those of memory need not be the same here.
    unlisted = {
        name for name in theirs - ours - left_out if not name.startswith(("node_memory_", "node_vmstat_"))
    }
    assert unlisted == set()
    assert left_out & ours == set(), "it is there by now"
    for pattern in patterns:
        assert any(fnmatchcase(name, pattern) for name in theirs), pattern
