"""The processes on the GPUs: their series, who they belong to, and pids that are used again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.gpu.protocol import Process
from agent.pods.cgroup import Membership
from agent.pods.containers import ContainerNames
from agent.pods.held import Held, Latest
from agent.pods.owner import Owner
from agent.pods.process import facts
from agent.pods.processes import OUTSIDE, UNNAMED, UNSEEN, ProcessTable
from model.metric import Sample
from tests.agent.pods.test_attribution import MIG_1, MIG_2, A, B, identity

Flat = Callable[[list[Sample]], dict[str, float]]

GIB = 1 << 30
PAGE = os.sysconf("SC_PAGE_SIZE")
UID, ID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", "1a2b3c4d" * 8
IN_POD = f"0::/kubepods/burstable/pod{UID}/{ID}\n"
VLLM = Owner("vllm-0", "llm", "server")
OTHER = Owner("batch-7", "research", "worker")


class Node:
    """A procfs and the kubelet's log folders under one root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 1000.0
        self.owners: dict[str, Sequence[Owner]] = {}
        self.table = self.make_table()

    def make_table(self, limit: int = 32) -> ProcessTable:
        names = ContainerNames(self.root, self.clock)
        return ProcessTable(self.root / "proc", names, limit, self.clock)

    def clock(self) -> float:
        return self.now

    def run(
        self, pid: int, cgroup: str = IN_POD, comm: str = "python3", started: int = 5000, anonymous: int = 3
    ) -> None:
        folder = self.root / "proc" / str(pid)
        folder.mkdir(parents=True, exist_ok=True)
        before = "S 1 1 1 0 -1 4194560 " + " ".join(str(n) for n in range(9, 21))
        (folder / "stat").write_text(f"{pid} ({comm}) {before} {started} 99 88\n")
        (folder / "statm").write_text(f"90000 {anonymous + 100} 100 7 0 600 0\n")
        (folder / "cgroup").write_text(cgroup)
        (folder / "cmdline").write_text("python3\0--prompt\0a secret\0")

    def log(self, owner: Owner = VLLM, container: str = ID, pod_uid: str = UID) -> None:
        folder = self.root / "var/log"
        (folder / "containers").mkdir(parents=True, exist_ok=True)
        (folder / "pods" / f"{owner.namespace}_{owner.pod}_{pod_uid}").mkdir(parents=True, exist_ok=True)
        if container:
            name = f"{owner.pod}_{owner.namespace}_{owner.container}-{container}.log"
            (folder / "containers" / name).touch()

    def sweep(self, devices: Mapping[str, Held]) -> list[Sample]:
        uses = self.table.uses(devices, lambda uuid: self.owners.get(uuid, ()))
        return self.table.samples(devices, uses)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def on(pid: int, size: int = GIB, kind: str = "compute", name: str = "/usr/bin/python3 -c secret") -> Process:
    return {"pid": pid, "kind": kind, "bytes": size, "name": name}  # type: ignore[typeddict-item]


def gpu(*processes: Process, uuid: str = A) -> dict[str, Held]:
    return {uuid: Held(identity(uuid, 0, 0), processes)}


def test_a_process_of_a_pod_has_its_labels_and_its_memory(node: Node, flat: Flat) -> None:
    node.run(42, anonymous=1000)
    node.log()
    who = "container=server,{}namespace=llm,pid=42,pod=vllm-0,process=python3{}"
    device = who.format("gpu=0,", f",uuid={A}")
    assert flat(node.sweep(gpu(on(42, 70 * GIB)))) == {
        f"fleetowl_gpu_processes{{gpu=0,uuid={A}}}": 1,
        "fleetowl_gpu_processes_not_shown": 0,
        f"fleetowl_gpu_process_memory_bytes{{{device}}}": 70 * GIB,
        f"fleetowl_process_host_memory_bytes{{{who.format('', '')}}}": 1000 * PAGE,
    }


def test_no_command_line_is_ever_exported(node: Node, flat: Flat) -> None:
    node.run(1, comm="VLLM::EngineCor")
    found = str(flat(node.sweep(gpu(on(1), on(2, name="/opt/venv/bin/python serve --api-key secret")))))
    assert "process=VLLM::EngineCor" in found
    assert "process=python," in found
    assert "secret" not in found
    assert "api-key" not in found


def test_names_that_no_parser_likes(node: Node) -> None:
    node.run(1, comm='a) S (b "\n\\')
    seen = facts(node.root / "proc", 1)
    assert seen is not None
    assert (seen.comm, seen.started) == ("a)", 5000)


@pytest.mark.parametrize(
    ("cgroup", "logged", "owners", "owner", "reason"),
    [
        (IN_POD, "container", [], VLLM, ""),
        (IN_POD, "container", [OTHER], VLLM, ""),
        (IN_POD, "pod", [], Owner("vllm-0", "llm", ""), ""),
        (IN_POD, "pod", [VLLM, OTHER], VLLM, ""),
        (IN_POD, "", [OTHER], OTHER, ""),
        (IN_POD, "", [], None, UNNAMED),
        (IN_POD, "", [VLLM, OTHER], None, UNNAMED),
        ("0::/user.slice\n", "container", [OTHER], None, OUTSIDE),
        (None, "container", [], None, UNSEEN),
        (None, "container", [OTHER], OTHER, ""),
        (None, "container", [VLLM, OTHER], None, UNSEEN),
    ],
)
def test_who_a_process_belongs_to(
    node: Node, cgroup: str | None, logged: str, owners: list[Owner], owner: Owner | None, reason: str
) -> None:
    """By its container's name, else by its pod's, else by the one owner of the device, else not."""
    if cgroup is not None:
        node.run(42, cgroup)
    if logged:
        node.log(container=ID if logged == "container" else "")
    (use,) = node.table.uses(gpu(on(42)), lambda uuid: owners)
    assert (use.owner, use.reason) == (owner, reason)


def test_processes_without_a_pod_are_counted_by_reason(node: Node, flat: Flat) -> None:
    node.run(1)
    node.run(2, "0::/user.slice\n")
    node.run(3, "0::/user.slice\n")
    found = flat(node.sweep(gpu(on(1), on(2), on(3))))
    assert found[f"fleetowl_gpu_processes_unattributed{{reason={OUTSIDE}}}"] == 2
    assert found[f"fleetowl_gpu_processes_unattributed{{reason={UNNAMED}}}"] == 1


def test_the_largest_have_series_and_the_rest_is_summed(node: Node, flat: Flat) -> None:
    node.table = node.make_table(limit=2)
    for pid in range(1, 6):
        node.run(pid)
    found = flat(node.sweep(gpu(*(on(pid, pid * GIB) for pid in range(1, 6)))))
    sizes = {name: value / GIB for name, value in found.items() if "gpu_process_memory_bytes" in name}
    assert sorted(sizes.values()) == [4, 5, 6]
    assert sizes[f"fleetowl_gpu_process_memory_bytes{{gpu=0,uuid={A}}}"] == 6
    assert found["fleetowl_gpu_processes_not_shown"] == 3
    assert found[f"fleetowl_gpu_processes{{gpu=0,uuid={A}}}"] == 5


def test_a_process_on_two_gpus_has_its_host_memory_once(node: Node, flat: Flat) -> None:
    node.run(1)
    devices = {A: Held(identity(A, 0, 0), [on(1)]), B: Held(identity(B, 1, 1), [on(1, 2 * GIB)])}
    found = flat(node.sweep(devices))
    assert sum("gpu_process_memory_bytes" in name for name in found) == 2
    assert sum("process_host_memory_bytes" in name for name in found) == 1


def test_a_process_is_counted_once_on_a_device(node: Node, flat: Flat) -> None:
    """It computes and draws; and it is listed for its MIG instance and for the GPU around it."""
    node.run(1)
    node.run(2)
    devices = {
        A: Held(identity(A, 0, 0), [on(1), on(2, GIB), on(2, 3 * GIB, "graphics")]),
        MIG_1: Held(identity(MIG_1, 0, 0, A, 1), [on(1)]),
        MIG_2: Held(identity(MIG_2, 0, 0, A, 2), []),
    }
    found = flat(node.sweep(devices))
    counts = {name[-41:-1]: value for name, value in found.items() if "gpu_processes{" in name}
    assert counts == {A[-40:]: 1, MIG_1: 1, MIG_2: 0}
    assert sum(value for name, value in found.items() if "gpu_process_memory_bytes" in name) == 4 * GIB


def test_memory_that_the_driver_does_not_tell_has_no_series(node: Node, flat: Flat) -> None:
    node.run(1)
    found = flat(node.sweep(gpu(on(1, -1))))
    assert not any("gpu_process_memory_bytes" in name for name in found)
    assert found[f"fleetowl_gpu_processes{{gpu=0,uuid={A}}}"] == 1


def follow(node: Node, flat: Flat, minutes: int, size: Callable[[int], int]) -> dict[str, float]:
    found: dict[str, float] = {}
    for turn in range(minutes * 4):
        node.now += 15
        found = flat(node.sweep(gpu(on(1, size(turn)))))
    return {name.partition("{")[0]: value for name, value in found.items() if "_leak_" in name}


GPU_LEAK = "fleetowl_gpu_process_memory_leak_bytes_per_second"
HOST_LEAK = "fleetowl_process_host_memory_leak_bytes_per_second"


def test_a_leak_has_a_rate(node: Node, flat: Flat) -> None:
    node.run(1)
    assert follow(node, flat, 19, lambda turn: GIB + turn * (15 << 20)) == {}
    assert follow(node, flat, 30, lambda turn: GIB + (turn + 76) * (15 << 20)) == {
        GPU_LEAK: pytest.approx(1 << 20),
        HOST_LEAK: 0.0,
    }


def test_a_pid_that_is_used_again_begins_anew(node: Node, flat: Flat) -> None:
    node.run(1, started=5000)
    assert follow(node, flat, 25, lambda turn: GIB + turn * (15 << 20))[GPU_LEAK] > 0
    node.run(1, started=9000)
    assert follow(node, flat, 15, lambda turn: 50 * GIB) == {}


def test_what_has_ended_is_forgotten(node: Node, flat: Flat) -> None:
    node.run(1)
    follow(node, flat, 25, lambda turn: GIB)
    node.now += 301
    node.sweep({})
    assert node.table._trends == {}


def test_a_sweep_without_the_gpu_does_not_break_a_trend(node: Node, flat: Flat) -> None:
    node.run(1)
    follow(node, flat, 25, lambda turn: GIB + turn * (15 << 20))
    for _ in range(8):
        node.now += 15
        node.sweep({})
    assert follow(node, flat, 1, lambda turn: GIB + (turn + 108) * (15 << 20))[GPU_LEAK] > 0


def test_new_containers_are_looked_for_but_not_all_the_time(tmp_path: Path) -> None:
    node = Node(tmp_path)
    names = ContainerNames(tmp_path, node.clock)
    where = Membership(UID, ID)
    assert names.find(where) is None, "a node without a kubelet"
    node.log()
    assert names.find(where) is None, "it has just looked"
    node.now += 11
    assert names.find(where) == VLLM
    node.log(VLLM._replace(container="again"), container="b" * 64)
    node.now += 11
    assert names.find(Membership(UID, "b" * 64)) == VLLM._replace(container="again")
    assert names.find(Membership()) is None


def test_file_names_that_are_no_container(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.log()
    for name in ("README", "a_b-c.log", f"a_b_c_d-{ID}.log", f"a_b_c-{ID[:40]}.log"):
        (tmp_path / "var/log/containers" / name).touch()
    assert ContainerNames(tmp_path).find(Membership(UID, ID)) == VLLM


def test_this_very_process_can_be_read() -> None:
    mine = facts(Path("/proc"), os.getpid())
    assert mine is not None
    assert mine.anonymous > 1 << 20
    assert mine.started > 0
    assert facts(Path("/proc"), 1 << 30) is None


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.binary(max_size=20), st.binary(max_size=60))
def test_files_of_any_content_are_read_or_not_seen(
    tmp_path_factory: pytest.TempPathFactory, stat: bytes, statm: bytes, cgroup: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp() / "random" / "1"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("stat", stat), ("statm", statm), ("cgroup", cgroup)):
        (folder / name).write_bytes(content)
    facts(folder.parent, 1)


def test_what_the_gpu_source_tells_is_believed_for_a_while() -> None:
    now = [0.0]
    latest = Latest(fresh=10.0, timer=lambda: now[0])
    latest.samples([(identity(A, 0, 0), [on(1)]), (identity(B, 1, 1), [])], 0)
    now[0] = 8.0
    latest.samples([(identity(A, 0, 0), [on(2)])], 8000)
    now[0] = 12.0
    assert [process["pid"] for process in latest.devices()[A].processes or ()] == [2]
    now[0] = 19.0
    assert latest.devices()[A] == Held(identity(A, 0, 0)), "the driver hangs: its processes are not known"
    now[0] = 86_405.0
    assert list(latest.devices()) == [A]


def test_a_device_takes_the_place_of_the_one_before() -> None:
    latest = Latest()
    latest.samples([(identity(A, 0, 0), []), (identity(MIG_1, 0, 0, A, 1), [])], 0)
    latest.samples([(identity(A, 0, 0), []), (identity(MIG_2, 0, 0, A, 1), [])], 0)
    assert set(latest.devices()) == {A, MIG_2}
    latest.samples([(identity(B, 0, 0), [])], 0)
    assert set(latest.devices()) == {B, MIG_2}


def test_a_device_that_does_not_answer_has_no_count(node: Node, flat: Flat) -> None:
    assert flat(node.sweep({A: Held(identity(A, 0, 0))})) == {"fleetowl_gpu_processes_not_shown": 0}
