"""The agent's page before the real `promtool check metrics`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simulator.nvml.stub import Stub
from tests.agent.whole import WholeAgent

pytestmark = pytest.mark.peer

FOREIGN = ("DCGM_", "vllm:", "sglang:", "trtllm_", "lmdeploy:", "http_", "process_", "python_")
"""Other people's names, which are theirs to choose."""

ENGINE = """# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 4.0
"""


def complaints(promtool: str, page: str) -> set[str]:
    done = subprocess.run(
        [promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    assert "error while linting" not in done.stderr, done.stderr
    return {line for line in (done.stdout + done.stderr).splitlines() if line.strip()}


def grown(page: str) -> bool:
    return 'fleetowl_gpu_status{state="ready"}' in page and "DCGM_FI_DEV_GPU_TEMP{" in page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, nvml_cache: Path) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("whole")
    with (
        Stub(folder / "stub", gpus=2, load="busy", cache=nvml_cache) as stub,
        WholeAgent(folder, environment=stub.environment()) as agent,
    ):
        yield agent.page(grown)


def test_promtool_has_nothing_against_what_is_ours(page: str, peer_binary: Callable[[str], str]) -> None:
    said = complaints(peer_binary("promtool"), page)
    ours = {line for line in said if not line.startswith((*FOREIGN, "node_"))}
    assert ours == set()


def test_of_the_host_it_says_only_what_it_says_of_node_exporter(
    page: str, peer_binary: Callable[[str], str], shared_data: Path
) -> None:
    promtool = peer_binary("promtool")
    capture = (shared_data / "captures" / "node_exporter-1.5-debian12.prom").read_text()
    theirs = complaints(promtool, capture)
    ours = {line for line in complaints(promtool, page) if line.startswith("node_")}
    new = {
        line for line in ours - theirs if line.split(" ", 1)[1] not in {t.split(" ", 1)[1] for t in theirs}
    }
    assert new == set()
    met = {line.split(" ")[0] for line in theirs}
    unmet = {line for line in ours - theirs if line.split(" ")[0] in met}
    assert unmet == set(), "a family that both have is judged alike"


def test_the_host_families_are_those_of_node_exporter(page: str, shared_data: Path) -> None:
    capture = (shared_data / "captures" / "node_exporter-1.5-debian12.prom").read_text()
    ours, theirs = declared(page), declared(capture)
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
