"""Who has which GPU: each spelling of a device, sharing, and what is said when nobody is known."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import pytest

from agent.gpu.protocol import Identity, Process
from agent.pods.attribution import Attribution, Holding, State
from agent.pods.held import Held
from agent.pods.kubelet import Failure, NoAnswer
from agent.pods.owner import Owner
from agent.pods.settings import PodSettings
from model.metric import Sample
from tests.agent.pods.kubelet import Claim, Container, Pod, answer, gpu_pod

Flat = Callable[[list[Sample]], dict[str, float]]

A, B = "GPU-aaaaaaaa-0000-0000-0000-000000000000", "GPU-bbbbbbbb-0000-0000-0000-000000000000"
MIG_1, MIG_2 = "MIG-11111111-0000-0000-0000-000000000000", "MIG-22222222-0000-0000-0000-000000000000"


def identity(uuid: str, index: int, minor: int, parent: str = "", instance: int = -1) -> Identity:
    return {
        "uuid": uuid,
        "index": index,
        "pci_bus_id": f"00000000:{index:02X}:00.0",
        "minor": minor,
        "name": "NVIDIA H100 80GB HBM3",
        "serial": "",
        "parent": parent,
        "profile": "3g.40gb" if parent else "",
        "gpu_instance": instance,
        "compute_instance": 0 if parent else -1,
    }


# The driver counts by bus, the kernel by the order of discovery: index and minor number differ.
NODE: dict[str, Held] = {
    A: Held(identity(A, 0, 1)),
    B: Held(identity(B, 1, 0)),
    MIG_1: Held(identity(MIG_1, 1, 0, B, 1)),
    MIG_2: Held(identity(MIG_2, 1, 0, B, 2)),
}
OWNER = Owner("vllm-0", "llm", "server")


class Scene:
    """An attribution whose kubelet says what a test puts into `says`."""

    def __init__(self, node: Mapping[str, Held] = NODE, **options: object) -> None:
        self.node = dict(node)
        self.says: bytes | Failure | Exception = answer([])
        self.now = 100.0
        settings = PodSettings.model_validate(options)
        self.attribution = Attribution(settings, lambda: self.node, self._ask, lambda: self.now)

    async def _ask(self) -> bytes:
        if isinstance(self.says, bytes):
            return self.says
        raise self.says if isinstance(self.says, Exception) else NoAnswer(self.says, "it is said why")

    async def hear(self, says: bytes | Failure | Exception, after: float = 15.0) -> State:
        self.says, self.now = says, self.now + after
        await self.attribution.refresh()
        return self.attribution.status.state


@pytest.mark.parametrize(
    ("spelling", "uuid", "share"),
    [
        (A, A, "exclusive"),
        (f"{A}::3", A, "time-sliced"),
        (MIG_1, MIG_1, "mig"),
        (f"{MIG_2}::0", MIG_2, "time-sliced"),
        (f"MIG-{B}/2/0", MIG_2, "mig"),
        ("nvidia1", A, "exclusive"),
        ("nvidia0/gi1", MIG_1, "mig"),
        ("nvidia1/vgpu0", A, "time-sliced"),
        ("nvidia0/gi2/vgpu1", MIG_2, "time-sliced"),
        ("0", A, "exclusive"),
    ],
)
async def test_every_spelling_of_a_device(spelling: str, uuid: str, share: str) -> None:
    scene = Scene()
    assert await scene.hear(answer([gpu_pod("vllm-0", spelling)])) == "ok"
    assert scene.attribution.owners(uuid) == (OWNER,)
    assert scene.attribution.holdings(uuid) == [Holding(OWNER, share)]  # type: ignore[arg-type]
    assert not any(scene.attribution.owners(other) for other in NODE if other != uuid)


@pytest.mark.parametrize(
    ("claim", "uuid"),
    [
        (Claim("gpu-1"), A),
        (Claim(A.lower()), A),
        (Claim("", [f"k8s.gpu.nvidia.com/device={A}"]), A),
        (Claim("", ["k8s.gpu.nvidia.com/device=0b5e-gpu-1"], driver=""), A),
        (Claim("gpu-0-mig-9-4-4"), B),
        (Claim("", [f"k8s.gpu.nvidia.com/device={MIG_1}"]), MIG_1),
    ],
)
async def test_every_spelling_of_a_claimed_device(claim: Claim, uuid: str) -> None:
    scene = Scene()
    assert await scene.hear(answer([Pod("vllm-0", "llm", [Container("server", claims=[claim])])])) == "ok"
    assert scene.attribution.holdings(uuid) == [Holding(OWNER, "dra")]


async def test_a_claimed_mig_instance_that_is_the_only_one() -> None:
    scene = Scene({uuid: held for uuid, held in NODE.items() if uuid != MIG_2})
    await scene.hear(answer([Pod("vllm-0", "llm", [Container("server", claims=[Claim("gpu-0-mig-9-4-4")])])]))
    assert scene.attribution.owners(MIG_1) == (OWNER,)


async def test_a_shared_gpu_has_several_owners_each_once(flat: Flat) -> None:
    scene = Scene()
    pods = [gpu_pod("b", f"{A}::1", f"{A}::2"), gpu_pod("a", f"{A}::0"), gpu_pod("c", B)]
    await scene.hear(answer(pods))
    assert [owner.pod for owner in scene.attribution.owners(A)] == ["a", "b"]
    info = {name: value for name, value in flat(scene.attribution.samples()).items() if "_pod_info" in name}
    assert info == {
        f"fleetowl_gpu_pod_info{{container=server,gpu=0,namespace=llm,pod=a,share=time-sliced,uuid={A}}}": 1,
        f"fleetowl_gpu_pod_info{{container=server,gpu=0,namespace=llm,pod=b,share=time-sliced,uuid={A}}}": 1,
        f"fleetowl_gpu_pod_info{{container=server,gpu=1,namespace=llm,pod=c,share=exclusive,uuid={B}}}": 1,
    }


async def test_replicas_through_mps_are_told_by_their_processes() -> None:
    client: Process = {"pid": 7, "kind": "mps", "bytes": 1, "name": "python"}
    scene = Scene({A: Held(identity(A, 0, 0), [client])})
    await scene.hear(answer([gpu_pod("vllm-0", f"{A}::0", resource="nvidia.com/gpu.shared")]))
    assert scene.attribution.holdings(A)[0].share == "mps"


async def test_a_uuid_needs_no_driver() -> None:
    scene = Scene({})
    await scene.hear(answer([gpu_pod("vllm-0", A), gpu_pod("gke", "nvidia0")]))
    assert scene.attribution.owners(A) == (OWNER,)
    scene.node = dict(NODE)
    scene.attribution.samples()
    assert [owner.pod for owner in scene.attribution.owners(B)] == ["gke"], "found as soon as it is listed"


async def test_a_device_that_is_not_here_is_counted(flat: Flat) -> None:
    scene = Scene()
    gone = "GPU-cccccccc-0000-0000-0000-000000000000"
    await scene.hear(answer([gpu_pod("vllm-0", gone, "nvidia7", "what?")]))
    assert flat(scene.attribution.samples())["fleetowl_pod_devices_unknown{resource=nvidia.com/gpu}"] == 3
    assert scene.attribution.owners(gone) == (OWNER,), "a GPU that is lost is still somebody's"


async def test_other_resources_are_no_gpus_unless_configured() -> None:
    scene = Scene()
    mine = answer([gpu_pod("vllm-0", A, resource="acme.example/gpu")])
    assert await scene.hear(mine) == "no_gpu_pods"
    assert "pods have acme.example/gpu" in scene.attribution.status.reason
    assert "agent.pods.resources" in scene.attribution.status.reason
    scene = Scene(resources=["acme.example/*"])
    assert await scene.hear(mine) == "ok"
    assert scene.attribution.owners(A) == (OWNER,)


async def test_no_gpu_pod_is_healthy(flat: Flat) -> None:
    scene = Scene()
    assert scene.attribution.status.state == "waiting"
    assert await scene.hear(answer([])) == "no_gpu_pods"
    assert scene.attribution.status.healthy
    (status,) = flat(scene.attribution.samples()).items()
    assert status == (
        "fleetowl_pod_attribution_status{reason=no pod has nvidia.com/gpu, nvidia.com/gpu.shared, "
        "nvidia.com/mig-*, gpu.nvidia.com,state=no_gpu_pods}",
        1,
    )


@pytest.mark.parametrize("failure", ["no_kubelet", "permission_denied", "timeout", "error"])
async def test_each_failure_is_a_state_with_its_reason(failure: Failure, flat: Flat) -> None:
    scene = Scene()
    assert await scene.hear(failure) == failure
    assert f"fleetowl_pod_attribution_status{{reason=it is said why,state={failure}}}" in flat(
        scene.attribution.samples()
    )
    assert scene.attribution.status.healthy == (failure == "no_kubelet")


async def test_the_last_answer_is_kept_for_three_intervals_and_then_dropped() -> None:
    scene = Scene()
    await scene.hear(answer([gpu_pod("vllm-0", A)]))
    for _ in range(2):
        assert await scene.hear("timeout") == "stale"
        assert scene.attribution.owners(A) == (OWNER,)
    assert scene.attribution.status.reason == "timeout: it is said why; the last answer is kept for 45s"
    assert await scene.hear("timeout") == "timeout"
    assert scene.attribution.owners(A) == ()
    assert await scene.hear(answer([gpu_pod("vllm-0", A)])) == "ok"
    assert scene.attribution.owners(A) == (OWNER,)


async def test_what_cannot_be_read_is_an_error_and_never_raised() -> None:
    scene = Scene()
    assert await scene.hear(b"\xff\xff") == "error"
    assert "cannot be read" in scene.attribution.status.reason


async def test_a_fault_of_ours_does_not_end_the_questions(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    assert await scene.hear(ZeroDivisionError("oops")) == "error"
    assert scene.attribution.status.reason == "ZeroDivisionError: oops"
    assert await scene.hear(answer([])) == "no_gpu_pods"


async def test_one_line_is_logged_for_each_change(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scene = Scene()
    for turn in range(5):
        await scene.hear(NoAnswer("error", f"transport: dial 10.0.0.{turn}: refused at 0x{turn:x}f"))
    for _ in range(3):
        await scene.hear(answer([gpu_pod("vllm-0", A)]))
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "which pod has which GPU: error: transport: dial 10.0.0.0: refused at 0x0f"),
        ("INFO", "which pod has which GPU is known again (ok)"),
    ]
    assert scene.attribution.status.reason == ""
