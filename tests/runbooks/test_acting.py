"""Runbooks acting on a node API over real HTTP: budget, fencing, crashes, failures, undo."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientSession, web

from model.alert import Alert
from runbooks.audit import read, verify

MakeAlert = Callable[..., Alert]


async def test_a_proven_fault_cordons_its_node_once(machine: Any, make_alert: MakeAlert) -> None:
    results = await machine.ticks(30, [make_alert("gpu-node-3")])
    assert machine.api.cordoned() == ["gpu-node-3"]
    assert [result.outcome for result in results] == ["applied"]
    assert machine.states() == {"gpu-node-3": "done"}
    (write,) = machine.api.writes()
    (request,) = [entry for entry in machine.api.requests if entry["method"] == "PATCH"]
    assert request["query"] == {"fieldManager": "fleetowl", "fieldValidation": "Strict"}
    assert set(write.body["metadata"]) == {"uid", "resourceVersion", "annotations"}
    assert machine.api.node("gpu-node-3")["metadata"]["annotations"] == {
        "fleetowl.io/cordoned-by": machine.engine.runs()[0].id,
        "fleetowl.io/prior-unschedulable": "false",
    }


async def test_the_audit_tells_the_whole_run_and_stands_before_the_write(
    machine: Any, make_alert: MakeAlert
) -> None:
    lines_before_write: list[str] = []

    async def look(request: web.Request) -> None:
        if request.method == "PATCH":
            lines_before_write.extend(entry["state"] for entry in read(machine.audit.path))

    machine.api.before.append(look)
    await machine.ticks(15, [make_alert("gpu-node-3")])
    states = [entry["state"] for entry in read(machine.audit.path)]
    assert lines_before_write[-1] == "writing"
    assert [state for state in states if state != "refused"] == [
        "writing",
        "proposed",
        "acting",
        "verifying",
        "done",
    ]
    assert verify(machine.audit.path)


async def test_twenty_faults_at_once_take_one_node_out(machine: Any, make_alert: MakeAlert) -> None:
    machine.api.rebuild(20)
    await machine.ticks(40, [make_alert(name) for name in machine.api.names()])
    assert len(machine.api.cordoned()) == 1
    assert len(machine.api.writes()) == 1
    refused = [run.sentence for run in machine.engine.runs() if run.state == "refused"]
    assert len(refused) == 19
    first = machine.api.cordoned()[0]
    assert all(f"1 of 20 nodes is already out ({first}, cordoned by run " in why for why in refused)
    assert all("the budget is 1" in why for why in refused)


async def test_a_foreign_cordon_uses_up_the_budget(machine: Any, make_alert: MakeAlert) -> None:
    machine.api.touch("gpu-node-5", unschedulable=True)
    await machine.ticks(20, [make_alert("gpu-node-3")])
    assert machine.api.cordoned() == ["gpu-node-5"]
    assert machine.sentence("gpu-node-3") == (
        "refused: 1 of 8 nodes is already out (gpu-node-5, cordoned by kubectl-cordon) and the budget is 1"
    )


async def test_a_cordon_that_comes_between_deciding_and_writing_is_counted(
    machine: Any, make_alert: MakeAlert
) -> None:
    """The executor looks again: the engine's list of nodes is already old when it acts."""
    lists = 0

    async def cordon_another(request: web.Request) -> None:
        nonlocal lists
        proposed = any(run.state in ("proposed", "acting") for run in machine.engine.runs())
        if request.method == "GET" and proposed and not lists:
            lists += 1
            machine.api.touch("gpu-node-6", unschedulable=True)

    machine.api.before.append(cordon_another)
    await machine.ticks(20, [make_alert("gpu-node-3")])
    assert lists == 1
    assert machine.api.cordoned() == ["gpu-node-6"]
    assert "gpu-node-6, cordoned by kubectl-cordon" in machine.sentence("gpu-node-3")


async def test_writers_of_foreign_taints_lose_nothing(machine: Any, make_alert: MakeAlert) -> None:
    """Eight writers put a taint each on the node while it is cordoned; all eight and the cordon survive."""
    url = f"{machine.api.url}api/v1/nodes/gpu-node-3"
    running = asyncio.Event()

    async def taint(number: int) -> None:
        await running.wait()
        async with ClientSession() as session:
            while True:
                node = machine.api.node("gpu-node-3")
                version, taints = node["metadata"]["resourceVersion"], node["spec"].get("taints", [])
                await asyncio.sleep(0)
                body = {
                    "metadata": {"resourceVersion": version},
                    "spec": {"taints": [*taints, {"key": f"foreign-{number}", "effect": "NoSchedule"}]},
                }
                headers = {"Content-Type": "application/merge-patch+json"}
                query = {"fieldValidation": "Strict", "fieldManager": f"writer-{number}"}
                async with session.patch(url, json=body, headers=headers, params=query) as response:
                    if response.status == 200:
                        return

    async def release(request: web.Request) -> None:
        if request.method == "PATCH":
            running.set()
            await asyncio.sleep(0.005)

    machine.api.before.append(release)
    writers = [asyncio.create_task(taint(number)) for number in range(8)]
    await machine.ticks(70, [make_alert("gpu-node-3")])
    await asyncio.gather(*writers)
    assert machine.api.foreign_taints("gpu-node-3") == {f"foreign-{number}" for number in range(8)}
    assert machine.api.cordoned() == ["gpu-node-3"]
    assert any(entry["status"] == 409 for entry in machine.api.requests), "nothing was contended"


async def test_a_stale_node_is_read_again_once_and_then_later(machine: Any, make_alert: MakeAlert) -> None:
    async def disturb(request: web.Request) -> None:
        if request.method == "PATCH" and len(conflicts) < 2:
            conflicts.append(1)
            machine.api.touch("gpu-node-3", taints=[{"key": f"t{len(conflicts)}", "effect": "NoSchedule"}])

    conflicts: list[int] = []
    machine.api.before.append(disturb)
    (result,) = await machine.ticks(13, [make_alert("gpu-node-3")])
    assert result.outcome == "unknown"
    assert "409" in machine.sentence("gpu-node-3")
    assert machine.api.cordoned() == []
    await machine.ticks(12, [make_alert("gpu-node-3")])
    assert machine.states() == {"gpu-node-3": "done"}
    assert machine.api.foreign_taints("gpu-node-3") == {"t2"}


async def test_a_node_replaced_under_its_name_is_left_alone(machine: Any, make_alert: MakeAlert) -> None:
    async def replace(request: web.Request) -> None:
        if request.method == "PATCH":
            machine.api.replace("gpu-node-3")

    machine.api.before.append(replace)
    await machine.ticks(14, [make_alert("gpu-node-3")])
    assert machine.api.cordoned() == []
    assert "is no longer in the cluster" in machine.sentence("gpu-node-3") or "refused" in machine.sentence(
        "gpu-node-3"
    )


async def test_a_dry_run_asks_the_server_and_writes_nothing(machine: Any, make_alert: MakeAlert) -> None:
    machine.changes["mode"] = "dry-run"
    machine.crash()
    before = machine.api.kube.store.nodes()
    await machine.ticks(30, [make_alert("gpu-node-3"), make_alert("gpu-node-4")])
    assert machine.api.writes() == []
    assert len(machine.api.writes(dry_run=True)) == 1
    assert machine.api.kube.store.nodes() == before
    assert machine.states() == {"gpu-node-3": "dry-run", "gpu-node-4": "refused"}
    assert machine.sentence("gpu-node-3").startswith("dry run: would cordon gpu-node-3: ")
    assert "1 of 8 nodes is already out (gpu-node-3, being taken out by run" in machine.sentence("gpu-node-4")
    assert not machine.engine.undo(machine.engine.runs()[0].id, "me", machine.now)


async def test_undo_takes_back_our_cordon_and_nothing_else(machine: Any, make_alert: MakeAlert) -> None:
    await machine.ticks(15, [make_alert("gpu-node-3")])
    machine.api.touch("gpu-node-3", taints=[{"key": "foreign", "effect": "NoSchedule"}])
    run = machine.engine.runs()[0]
    assert machine.engine.undo(run.id, "an operator", machine.now)
    await machine.ticks(3, [make_alert("gpu-node-3")])
    node = machine.api.node("gpu-node-3")
    assert "unschedulable" not in node["spec"]
    assert machine.api.foreign_taints("gpu-node-3") == {"foreign"}
    assert node["metadata"]["annotations"] == {}
    assert machine.states() == {"gpu-node-3": "undone"}
    again = machine.engine.undo(run.id, "an operator", machine.now)
    assert not again
    assert "is undone" in again.why
    await machine.ticks(30, [make_alert("gpu-node-3")])
    assert machine.api.cordoned() == [], "what was undone is not done again in the same episode"


async def test_a_cordon_that_others_took_over_is_left(machine: Any, make_alert: MakeAlert) -> None:
    await machine.ticks(15, [make_alert("gpu-node-3")])
    machine.api.touch("gpu-node-3", unschedulable=None)
    machine.api.touch("gpu-node-3", unschedulable=True)
    run = machine.engine.runs()[0]
    machine.engine.undo(run.id, "an operator", machine.now)
    await machine.ticks(3, [make_alert("gpu-node-3")])
    assert machine.api.cordoned() == ["gpu-node-3"]
    assert "is cordoned by kubectl-cordon: that is not this run's doing" in machine.sentence("gpu-node-3")


async def test_a_persons_uncordon_ends_the_run(machine: Any, make_alert: MakeAlert) -> None:
    async def uncordon(request: web.Request) -> None:
        if request.method == "PATCH":
            machine.api.after.clear()
            machine.api.touch("gpu-node-3", unschedulable=None)

    machine.api.after.append(uncordon)
    await machine.ticks(40, [make_alert("gpu-node-3")])
    assert machine.api.cordoned() == []
    assert len(machine.api.writes()) == 1
    assert "someone else changed the cordon of gpu-node-3 meanwhile" in machine.sentence("gpu-node-3")


async def test_what_cannot_be_verified_is_undone(machine: Any, make_alert: MakeAlert, gpu_lost: Any) -> None:
    verify_by = {"within": "10s", "all": [{"expr": 'quiet{node="$node"} > 0'}]}
    machine.runbook = type(gpu_lost).model_validate(
        {**gpu_lost.model_dump(by_alias=True), "verify": verify_by}
    )
    machine.crash()
    await machine.ticks(13, [make_alert("gpu-node-3")])
    assert machine.api.cordoned() == ["gpu-node-3"]
    await machine.ticks(14, [make_alert("gpu-node-3")])
    assert machine.api.cordoned() == []
    assert machine.states() == {"gpu-node-3": "undone"}
    assert 'quiet{node="$node"} > 0: 0 samples' in machine.sentence("gpu-node-3")


@pytest.mark.parametrize(
    ("code", "patches", "text"),
    [
        (403, 1, "failed: patch node gpu-node-3: the API server answered 403 (forbidden)"),
        (422, 1, "answered 422"),
        (500, 3, "gave up after 3 attempts: patch node gpu-node-3: the API server answered 500"),
        (429, 3, "answered 429"),
    ],
)
async def test_what_the_api_server_refuses_is_said(
    machine: Any, make_alert: MakeAlert, code: int, patches: int, text: str
) -> None:
    async def refuse(request: web.Request) -> web.Response | None:
        if request.method != "PATCH":
            return None
        body = {"kind": "Status", "apiVersion": "v1", "message": "forbidden", "code": code}
        return web.json_response(body, status=code)

    machine.api.before.append(refuse)
    await machine.ticks(60, [make_alert("gpu-node-3")])
    assert machine.states() == {"gpu-node-3": "failed"}
    assert text in machine.sentence("gpu-node-3")
    assert len([entry for entry in machine.api.requests if entry["method"] == "PATCH"]) == patches


async def test_a_hanging_api_server_holds_nobody_up(machine: Any, make_alert: MakeAlert) -> None:
    async def hang(request: web.Request) -> None:
        if request.method == "PATCH":
            await asyncio.sleep(3)

    machine.api.before.append(hang)
    (result,) = await machine.ticks(12, [make_alert("gpu-node-3")])
    assert (result.outcome, "did not answer within 300ms" in result.why) == ("unknown", True)


async def test_an_unreadable_cluster_is_a_refusal_not_a_crash(machine: Any, make_alert: MakeAlert) -> None:
    async def broken(request: web.Request) -> web.Response:
        return web.Response(status=502, text="<html>bad gateway</html>", content_type="text/html")

    machine.api.before.append(broken)
    await machine.ticks(5, [make_alert("gpu-node-3")])
    assert "there is no node list of the last 30s" in machine.sentence("gpu-node-3")
    assert "502" in machine.executor.trouble
    machine.api.before.clear()
    await machine.ticks(15, [make_alert("gpu-node-3")])
    assert machine.api.cordoned() == ["gpu-node-3"]


async def test_an_answer_that_is_lost_is_looked_up_and_not_repeated(
    machine: Any, make_alert: MakeAlert
) -> None:
    async def lose(request: web.Request) -> web.Response | None:
        if request.method != "PATCH":
            return None
        machine.api.after.clear()
        return web.json_response({"message": "etcd leader changed"}, status=504)

    machine.api.after.append(lose)
    results = await machine.ticks(40, [make_alert("gpu-node-3")])
    assert [result.outcome for result in results] == ["unknown", "already"]
    assert len(machine.api.writes()) == 1
    assert machine.states() == {"gpu-node-3": "done"}


async def test_a_cordon_that_arrives_after_giving_up_is_taken_into_the_books(
    machine: Any, make_alert: MakeAlert
) -> None:
    """Three times no answer and nothing done; then a proxy delivers the first request after all."""
    held: list[Any] = []

    async def hold(request: web.BaseRequest) -> web.Response | None:
        if request.method != "PATCH":
            return None
        held.append(await request.json())
        return web.Response(status=503, text="no upstream")

    machine.api.before.append(hold)
    await machine.ticks(60, [make_alert("gpu-node-3")])
    assert machine.states() == {"gpu-node-3": "failed"}
    machine.api.kube.store.patch(
        "gpu-node-3", held[0], "application/merge-patch+json", status=False, dry_run=False, strict=True
    )
    machine.engine.undo(machine.engine.runs()[0].id, "someone", machine.now)
    machine.api.before.clear()
    await machine.ticks(40, [make_alert("gpu-node-3")])
    assert machine.api.cordoned() == []
    assert machine.states() == {"gpu-node-3": "undone"}


async def test_a_run_whose_records_were_lost_finds_its_cordon_again(
    machine: Any, make_alert: MakeAlert
) -> None:
    """The state database is gone; the run has the same id and the node says so."""
    await machine.ticks(20, [make_alert("gpu-node-3")])
    machine.leave()
    for path in machine.folder.glob("state.db*"):
        path.unlink()
    machine.boot()
    await machine.ticks(5, [make_alert("gpu-node-3")])
    assert machine.states() == {"gpu-node-3": "done"}
    assert len(machine.api.writes()) == 1
    assert machine.engine.undo(machine.engine.runs()[0].id, "an operator", machine.now)


async def test_no_write_while_paused(machine: Any, make_alert: MakeAlert) -> None:
    machine.reload(paused=True)
    await machine.ticks(15, [make_alert("gpu-node-3")])
    machine.crash()
    await machine.ticks(15, [make_alert("gpu-node-3")])
    assert machine.api.writes() == []
    assert machine.sentence("gpu-node-3") == "refused: remediation is paused by the configuration"
    machine.changes["paused"] = False
    machine.crash()
    await machine.ticks(15, [make_alert("gpu-node-3")])
    assert machine.api.cordoned() == ["gpu-node-3"]


async def test_a_pause_that_comes_at_the_last_moment_holds(machine: Any, make_alert: MakeAlert) -> None:
    async def pause(request: web.Request) -> None:
        if any(run.state == "acting" for run in machine.engine.runs()):
            machine.reload(paused=True)

    machine.api.before.append(pause)
    await machine.ticks(15, [make_alert("gpu-node-3")])
    assert machine.api.writes() == []


async def test_no_audit_no_action(machine: Any, make_alert: MakeAlert) -> None:
    machine.audit.path.unlink(missing_ok=True)
    machine.audit.path.mkdir()
    await machine.ticks(20, [make_alert("gpu-node-3")])
    assert machine.api.writes() == []
    assert "no audit, no action" in machine.sentence("gpu-node-3")
    waiting = len(machine.engine.entries)
    assert waiting > 0
    machine.audit.path.rmdir()
    await machine.ticks(40, [make_alert("gpu-node-3")])
    assert machine.api.cordoned() == ["gpu-node-3"]
    assert verify(machine.audit.path)
    assert machine.engine.entries == []


class Killed(BaseException):
    """The process ends here."""


async def run_with_a_kill(machine: Any, alerts: list[Alert], at: int) -> int:
    """Some ticks; the process dies at the `at`-th boundary of a call and a new one goes on."""
    seen = 0

    def boundary(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def wrapped(*args: Any, **options: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == at:
                raise Killed
            answer = await call(*args, **options)
            seen += 1
            if seen == at:
                raise Killed
            return answer

        return wrapped

    def fit() -> None:
        machine.kube.nodes = boundary(machine.kube.nodes)
        machine.kube._patch = boundary(machine.kube._patch)
        machine.executor._write_ahead = boundary(machine.executor._write_ahead)
        machine.executor.note = boundary(machine.executor.note)
        machine.executor.perform = boundary(machine.executor.perform)

    fit()
    for _ in range(12):
        try:
            await machine.tick(alerts, seconds=4)
        except Killed:
            machine.crash()
            fit()
        if "done" in machine.states().values():
            break
    return seen


@pytest.mark.acceptance
async def test_a_kill_at_any_boundary_changes_nothing(
    machine: Any, make_alert: MakeAlert, tmp_path: Any
) -> None:
    """Promise: killed before or after any call, the final state is the same and nothing is done twice."""
    alerts = [make_alert("gpu-node-3"), make_alert("gpu-node-4")]
    boundaries = await run_with_a_kill(machine, alerts, at=-1)
    assert boundaries > 20
    for at in range(1, boundaries + 1):
        machine.leave()
        folder = tmp_path / f"kill-{at}"
        folder.mkdir()
        machine.api.rebuild(4)
        machine.now = alerts[0].starts_at
        machine.folder = folder
        machine.boot()
        await run_with_a_kill(machine, alerts, at)
        assert machine.api.cordoned() == ["gpu-node-3"], f"killed at boundary {at}"
        assert len(machine.api.writes()) == 1, f"killed at boundary {at}"
        assert machine.states() == {"gpu-node-3": "done", "gpu-node-4": "refused"}, f"killed at boundary {at}"
        assert verify(machine.audit.path), f"killed at boundary {at}"


async def test_after_a_long_stop_an_old_intent_is_not_carried_out(
    machine: Any, make_alert: MakeAlert
) -> None:
    """Killed just before the write, back an hour later: the alert is old, so it is only looked up."""
    machine.executor._write_ahead = _die
    with pytest.raises(Killed):
        await machine.ticks(20, [make_alert("gpu-node-3")])
    machine.now += 3_600_000
    machine.crash()
    await machine.ticks(5, [make_alert("gpu-node-3")])
    assert machine.api.writes() == []
    assert "refused" in machine.sentence("gpu-node-3")


async def _die(*_: Any) -> None:
    raise Killed
