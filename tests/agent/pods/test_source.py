"""The pods as a source: what the kubelet and the processes say, and what is said when both are silent."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from agent.gpu.protocol import Identity, Process
from agent.pods.attribution import Status
from agent.pods.kubelet import Failure, NoAnswer
from agent.pods.owner import Owner
from agent.pods.source import FAMILIES, PodSource
from agent.settings import AgentSettings
from tests.agent.pods.kubelet import answer, gpu_pod
from tests.agent.pods.test_attribution import A, B, identity
from tests.agent.pods.test_processes import VLLM, Node, on


class Scene:
    """A node whose kubelet says what a test puts into `says`."""

    def __init__(self, root: Path) -> None:
        self.node = Node(root)
        self.says: bytes | Failure = answer([])
        settings = AgentSettings.model_validate(
            {"node": "gpu-7", "procfs": root / "proc", "rootfs": root, "pods": {"interval": "15s"}}
        )
        self.source = PodSource(settings, self._ask, timer=self.node.clock)

    async def _ask(self) -> bytes:
        if isinstance(self.says, bytes):
            return self.says
        raise NoAnswer(self.says, "because")

    def sweep(self, *devices: tuple[Identity, Sequence[Process]]) -> None:
        """What the GPU source tells its companions."""
        self.source.latest.samples(devices, 0)

    async def read(self) -> dict[str, float]:
        """Its series without the target's labels, after the kubelet has been asked."""
        await self.source.attribution.refresh()
        reading = await self.source.read(0)
        assert {labels["node"] for labels in reading.series} == {"gpu-7"}
        assert {labels.name for labels in reading.series} <= {metric.name for metric in FAMILIES}
        return {
            str(labels): value for labels, value in zip(reading.exported or (), reading.values, strict=True)
        }

    async def __aenter__(self) -> Scene:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.source.close()


def of(found: Mapping[str, float], *families: str) -> list[str]:
    return sorted(name for name in found if name.partition("{")[0] in families)


GPU_A, GPU_B = identity(A, 0, 0), identity(B, 1, 1)
INFO, WHY = "fleetowl_gpu_pod_info", "fleetowl_gpu_unattributed"


async def test_the_kubelet_and_the_processes_agree(tmp_path: Path) -> None:
    async with Scene(tmp_path) as scene:
        scene.node.run(42)
        scene.node.log()
        scene.says = answer([gpu_pod("vllm-0", A)])
        scene.sweep((GPU_A, [on(42)]), (GPU_B, []))
        found = await scene.read()
    assert of(found, INFO, WHY) == [
        f'{INFO}{{container="server", gpu="0", namespace="llm", pod="vllm-0", share="exclusive", uuid="{A}"}}'
    ]
    assert of(found, "fleetowl_pod_attribution_status") == ['fleetowl_pod_attribution_status{state="ok"}']
    assert scene.source.owners(A) == (VLLM,)
    assert found["fleetowl_pod_processes_hung"] == 0


@pytest.mark.parametrize("failure", ["permission_denied", "timeout", "error", "no_kubelet"])
async def test_without_the_kubelet_the_processes_tell_who_has_a_gpu(tmp_path: Path, failure: Failure) -> None:
    async with Scene(tmp_path) as scene:
        scene.node.run(42)
        scene.node.log()
        scene.says = failure
        scene.sweep((GPU_A, [on(42)]))
        found = await scene.read()
        assert of(found, INFO, WHY) == [
            f'{INFO}{{container="server", gpu="0", namespace="llm", pod="vllm-0", share="by-process", '
            f'uuid="{A}"}}'
        ]
        assert scene.source.owners(A) == (VLLM,)
        scene.says = answer([gpu_pod("other-0", A)])
        await scene.read()
        assert scene.source.owners(A) == (Owner("other-0", "llm", "server"),), "its word is the better one"


@pytest.mark.parametrize(
    ("cgroup", "says", "reason"),
    [
        ("pod", answer([]), "a pod uses it that was not given it"),
        ("0::/user.slice\n", answer([]), "its processes run outside Kubernetes"),
        ("0::/user.slice\n", "no_kubelet", "its processes run outside Kubernetes"),
        ("unnamed", "permission_denied", "kubelet: permission_denied"),
        ("", "timeout", "kubelet: timeout"),
        ("", answer([]), "its processes are not in this procfs: the agent needs the host's (hostPID)"),
    ],
)
async def test_a_gpu_in_use_without_an_owner_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cgroup: str, says: bytes | Failure, reason: str
) -> None:
    caplog.set_level(logging.DEBUG, "fleetowl.agent")
    async with Scene(tmp_path) as scene:
        if cgroup == "pod":
            scene.node.log()
        if cgroup in ("pod", "unnamed"):
            scene.node.run(42)
        elif cgroup:
            scene.node.run(42, cgroup)
        scene.says = says
        scene.sweep((GPU_A, [on(42)]), (GPU_B, []))
        for _ in range(3):
            found = await scene.read()
    assert of(found, INFO, WHY) == [f'{WHY}{{gpu="0", reason="{reason}", uuid="{A}"}}']
    said = [record.message for record in caplog.records if A in record.message]
    assert said == [f"no pod is known to have the GPU {A}: {reason}"], "one line a change"


async def test_a_procfs_that_hangs_is_said_and_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Scene(tmp_path) as scene:
        scene.says = answer([gpu_pod("vllm-0", A)])
        scene.sweep((GPU_A, [on(42)]))
        returns = threading.Event()
        monkeypatch.setattr(scene.source, "_deadline", 0.02)
        monkeypatch.setattr(scene.source._table, "uses", lambda *_: returns.wait(10) and [])
        for _ in range(2):
            found = await scene.read()
            assert found["fleetowl_pod_processes_hung"] == 1
            assert of(found, INFO)
            assert not of(found, "fleetowl_gpu_processes")
        returns.set()
        call = scene.source._worker._running
        assert call is not None
        await asyncio.wrap_future(call)
        assert (await scene.read())["fleetowl_pod_processes_hung"] == 0


async def test_a_hung_kubelet_does_not_hold_up_a_reading(tmp_path: Path) -> None:
    async with Scene(tmp_path) as scene:
        never = asyncio.Event()

        async def hang() -> bytes:
            await never.wait()
            return b""

        scene.source.attribution._ask = hang
        async with asyncio.timeout(1):
            reading = await scene.source.read(0)
            await asyncio.sleep(0)
            reading = await scene.source.read(15_000)
    assert any(labels.value("state") == "waiting" for labels in reading.series)


async def test_it_asks_by_itself_from_the_first_reading_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Scene(tmp_path) as scene:
        heard = asyncio.Event()
        become = scene.source.attribution._become

        def note(status: Status) -> None:
            become(status)
            heard.set()

        monkeypatch.setattr(scene.source.attribution, "_become", note)
        scene.says = answer([gpu_pod("vllm-0", A)])
        await scene.source.read(0)
        async with asyncio.timeout(2):
            await heard.wait()
        assert scene.source.owners(A) == (VLLM,)


async def test_series_are_the_same_objects_while_nothing_changes(tmp_path: Path) -> None:
    async with Scene(tmp_path) as scene:
        scene.node.run(42)
        scene.sweep((GPU_A, [on(42)]))
        await scene.source.attribution.refresh()
        first, second = await scene.source.read(0), await scene.source.read(15_000)
    assert first.series is second.series
