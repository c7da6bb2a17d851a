"""The agent's page before the real `promtool check metrics`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.peer

FOREIGN = ("DCGM_", "vllm:", "sglang:", "trtllm_", "lmdeploy:", "http_", "process_", "python_")
"""Other people's names, which are theirs to choose."""


def complaints(promtool: str, page: str) -> set[str]:
    done = subprocess.run(
        [promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    assert "error while linting" not in done.stderr, done.stderr
    return {line for line in (done.stdout + done.stderr).splitlines() if line.strip()}


def test_promtool_has_nothing_against_what_is_ours(busy_page: str, peer_binary: Callable[[str], str]) -> None:
    said = complaints(peer_binary("promtool"), busy_page)
    ours = {line for line in said if not line.startswith((*FOREIGN, "node_"))}
    assert ours == set()


def test_of_the_host_it_says_only_what_it_says_of_node_exporter(
    busy_page: str, peer_binary: Callable[[str], str], shared_data: Path
) -> None:
    promtool = peer_binary("promtool")
    capture = (shared_data / "captures" / "node_exporter-1.5-debian12.prom").read_text()
    theirs = complaints(promtool, capture)
    ours = {line for line in complaints(promtool, busy_page) if line.startswith("node_")}
    new = {
        line for line in ours - theirs if line.split(" ", 1)[1] not in {t.split(" ", 1)[1] for t in theirs}
    }
    assert new == set()
    met = {line.split(" ")[0] for line in theirs}
    unmet = {line for line in ours - theirs if line.split(" ")[0] in met}
    assert unmet == set(), "a family that both have is judged alike"


def test_the_host_families_are_those_of_node_exporter(busy_page: str, shared_data: Path) -> None:
    capture = (shared_data / "captures" / "node_exporter-1.5-debian12.prom").read_text()
    ours, theirs = declared(busy_page), declared(capture)
    shared = {name for name in ours if name in theirs and name.startswith(("node_", "process_"))}
    assert len(shared) > 150
    differ = {name for name in shared if ours[name] != theirs[name]}
    assert {name: ours[name] for name in differ} == {name: theirs[name] for name in differ}


def declared(page: str) -> dict[str, tuple[str, str]]:
    """Type and HELP of each family."""
    helps, kinds = {}, {}
    for line in page.splitlines():
        if line.startswith("# HELP "):
            _, _, name, helps[name] = line.split(" ", 3)
        elif line.startswith("# TYPE "):
            _, _, name, kinds[name] = line.split(" ", 3)
    return {name: (kind, helps.get(name, "")) for name, kind in kinds.items()}
