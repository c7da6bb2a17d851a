"""Who is lost, back or replaced: over sweeps, over restarts of probe and agent, and never by mistake."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.gpu.presence import Change, Device, LastSeen, Presence
from agent.gpu.protocol import DeviceState, DriverState, Sweep, Unmet
from agent.gpu.status import Refused
from tests.agent.gpu.doubles import identity, instance, out, report, sweep, well

DAY = 86_400_000
STATES: list[DeviceState] = ["up", "waiting", "hung", "lost", "failing"]
DRIVER_STATES: list[DriverState] = ["ready", "absent", "waiting", "hung", "failing"]


class Timed(Presence):
    """One whose timer is its clock, as long as nobody sets that."""

    def __init__(self, forget_after: int, remembered: Iterable[Device] = ()) -> None:
        self.seconds = 0.0
        super().__init__(forget_after, remembered, lambda: self.seconds)

    def update(self, sweep: Sweep, at: int) -> list[Change]:
        self.seconds = at / 1000
        return super().update(sweep, at)


def kinds(changes: list[Change]) -> list[tuple[str, str]]:
    return [(change.kind, change.device.identity["uuid"]) for change in changes]


def remembered(count: int, seen: int = 0) -> list[Device]:
    return [Device(identity(index), seen) for index in range(count)]


def test_a_gpu_from_before_that_the_driver_does_not_list_is_lost_once() -> None:
    presence = Timed(7 * DAY, remembered(3))
    assert presence.update(well(2), 1000) == [], "a driver that has just been loaded may find it yet"
    assert kinds(presence.update(well(2), 2000)) == [("lost", "GPU-2")]
    assert presence.update(well(2), 3000) == []
    assert presence.devices["GPU-2"].reason == "seen before and no longer listed by the driver"
    assert kinds(presence.update(well(3), 4000)) == [("back", "GPU-2")]


def test_a_gpu_that_gives_a_new_process_no_handle_is_lost() -> None:
    presence = Timed(7 * DAY, remembered(2))
    why = "GPU 1 does not say who it is: GPU is lost (NVML 15)"
    unmet: list[Unmet] = [{"index": 1, "state": "lost", "reason": why}]
    answer = sweep(report("GPU-0"), count=2, state="failing", reason=why, unmet=unmet)
    assert presence.update(answer, 1000) == []
    assert kinds(presence.update(answer, 2000)) == [("lost", "GPU-1")]
    assert why in presence.devices["GPU-1"].reason


def test_a_gpu_that_is_not_permitted_to_a_new_process_is_not_lost() -> None:
    presence = Timed(7 * DAY, remembered(4))
    unmet: list[Unmet] = [
        {"index": 1, "state": "failing", "reason": "not permitted (NVML 4)"},
        {"index": 3, "state": "lost", "reason": "GPU is lost (NVML 15)"},
    ]
    reports = (report("GPU-0"), report("GPU-2"))
    answer = sweep(*reports, count=4, state="failing", reason="GPU 3 does not say who it is", unmet=unmet)
    changes = [change for at in range(0, 5000, 1000) for change in presence.update(answer, at)]
    assert kinds(changes) == [("lost", "GPU-3")]
    assert presence.devices["GPU-1"].state == "failing"
    assert presence.devices["GPU-1"].reason == "seen before; not permitted (NVML 4)"
    assert kinds(presence.update(well(4), 5000)) == [("back", "GPU-3")]


def test_a_driver_that_finds_its_gpus_one_after_another_has_lost_none() -> None:
    presence = Timed(7 * DAY, remembered(8))
    for at in (0, 200, 400, 600):
        assert presence.update(well(1), at) == [], "looks may follow each other fast"
    assert presence.update(well(8), 800) == []
    assert presence.update(well(1), 2000) == [], "it is counted from the start again"
    presence.update(out("failing"), 2500)
    assert presence.update(well(1), 3000) == [], "and after the driver was away"
    assert len(presence.update(well(1), 4000)) == 7


def test_a_gpu_that_has_not_said_who_it_is_yet_is_not_lost() -> None:
    presence = Timed(7 * DAY, remembered(2))
    answer = sweep(report("GPU-0"), count=2, state="hung", call="nvmlDeviceGetUUID")
    for at in range(5):
        assert presence.update(answer, at) == []


@pytest.mark.parametrize("state", DRIVER_STATES[1:])
def test_a_driver_that_is_not_well_loses_nothing(state: DriverState) -> None:
    presence = Timed(7 * DAY, remembered(3))
    assert presence.update(well(2), 0) == []
    gone = sweep(report("GPU-0", state="lost", reason="driver not loaded"), state=state, count=0)
    for at in range(5):
        assert presence.update(gone, at) == []
        assert presence.heard == {}
    assert presence.devices.keys() == {"GPU-0", "GPU-1", "GPU-2"}


def test_one_gpu_that_hangs_before_it_said_who_it_is_does_not_hide_that_another_is_lost() -> None:
    presence = Timed(7 * DAY)
    presence.update(well(2), 0)
    answer = sweep(report("GPU-0"), report("GPU-1", state="lost"), count=3, state="hung")
    assert kinds(presence.update(answer, 1000)) == [("lost", "GPU-1")]


def test_a_new_card_in_the_slot_of_an_old_one_replaces_it() -> None:
    old = Device(identity(0, uuid="GPU-old"), 0)
    presence = Timed(7 * DAY, [old])
    for at in (1000, 2000, 3000):
        assert presence.update(well(1), at) == []
    assert presence.devices.keys() == {"GPU-0"}


def test_what_is_lost_is_forgotten_after_a_while_and_may_come_again() -> None:
    presence = Timed(7 * DAY)
    presence.update(well(2), 0)
    lost = sweep(report("GPU-0"), report("GPU-1", state="lost"), identities=[])
    presence.update(lost, 7 * DAY)
    assert "GPU-1" in presence.devices
    presence.update(lost, 7 * DAY + 1)
    assert "GPU-1" not in presence.devices
    assert presence.update(lost, 7 * DAY + 2) == []
    presence.update({**well(2), "identities": []}, 7 * DAY + 3)
    assert presence.devices["GPU-1"].state == "up"


@pytest.mark.parametrize("known", [remembered(2), []])
def test_a_clock_that_is_set_forgets_no_gpu(known: list[Device]) -> None:
    now = 0.0
    presence = Presence(7 * DAY, known, lambda: now)
    lost = sweep(report("GPU-0"), report("GPU-1", state="lost"), identities=[])
    if not known:
        presence.update(well(2), 0)
    changes = presence.update(lost, 1000)
    now = 2.0
    changes += presence.update(lost, 1000 * DAY)
    assert kinds(changes) == [("lost", "GPU-1")]
    assert presence.devices["GPU-1"].state == "lost"
    now = 3601.0 if known else 7 * DAY / 1000 + 1
    presence.update(lost, 1000 * DAY)
    assert "GPU-1" not in presence.devices


def test_instances_that_come_and_go_leave_nothing_behind() -> None:
    presence, refused = Timed(7 * DAY), Refused()
    for number in range(50):
        made = instance(0, number)
        answer = sweep(
            report("GPU-0"), report(made["uuid"], refused={"x": 1}), identities=[identity(0), made]
        )
        presence.update(answer, number * 1000)
        for each in answer["devices"]:
            refused.hear(each)
        refused.keep(each["uuid"] for each in answer["devices"])
    assert presence.devices.keys() == {"GPU-0", made["uuid"]}
    assert presence._identities.keys() == presence.devices.keys()
    assert len(refused._last) == 1
    assert [sample.value for sample in refused.samples()] == [50.0]


def test_a_restart_of_the_probe_loses_nothing_anew() -> None:
    presence = Timed(7 * DAY)
    presence.update(well(2), 0)
    lost = sweep(report("GPU-0"), report("GPU-1", state="lost", reason="GPU is lost"), identities=[])
    assert kinds(presence.update(lost, 1000)) == [("lost", "GPU-1")]
    for at in range(2000, 9000, 1000):  # the new one has never met it
        assert presence.update(well(1), at) == []
    assert presence.devices["GPU-1"].reason == "GPU is lost"


@st.composite
def sweeps(draw: st.DrawFn) -> list[Sweep]:
    """Any sequence of answers of a driver with up to three GPUs."""
    answers = []
    for _ in range(draw(st.integers(1, 12))):
        states = draw(st.lists(st.sampled_from(STATES), max_size=3))
        reports = [report(f"GPU-{index}", state=state) for index, state in enumerate(states)]
        answers.append(sweep(*reports, state=draw(st.sampled_from(DRIVER_STATES))))
    return answers


@given(sweeps(), st.integers(0, 3))
def test_lost_and_back_take_turns(answers: list[Sweep], before: int) -> None:
    presence = Timed(7 * DAY, remembered(before))
    lost: set[str] = set()
    for at, answer in enumerate(answers):
        for change in presence.update(answer, at):
            uuid = change.device.identity["uuid"]
            if change.kind == "lost":
                assert uuid not in lost
                lost.add(uuid)
                assert answer["state"] != "absent"
            elif change.kind == "back":
                lost.remove(uuid)
        for uuid, each in presence.heard.items():
            assert each["state"] == presence.devices[uuid].state


def test_what_was_there_is_remembered(tmp_path: Path) -> None:
    store = LastSeen(tmp_path / "state" / "gpus.json", "gpu-7")
    assert store.load() == []
    presence = Timed(7 * DAY)
    presence.update(well(2), 1000)
    data = store.due(presence.devices)
    assert data is not None
    store.write(data)
    assert store.due(presence.devices) is None, "it is not written each second"
    again = LastSeen(tmp_path / "state" / "gpus.json", "gpu-7").load()
    assert [(each.identity, each.seen) for each in again] == [(identity(0), 1000), (identity(1), 1000)]
    presence.update(well(2), 3_700_000)
    assert store.due(presence.devices) is not None, "but when they were last seen is now and then"
    presence.update(well(3), 3_700_001)
    assert store.due(presence.devices) is not None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"node": "gpu-7"}',
        '{"node": "gpu-7", "gpus": [{}]}',
        '{"node": "gpu-7", "gpus": [{"seen": 1, "identity": {"uuid": "GPU-0"}}]}',
        '{"node": "gpu-7", "gpus": [{"seen": "x", "identity": {}}]}',
        '{"node": "another", "gpus": []}',
        '{"node": "gpu-7", "gpus": 3}',
        '{"node": "gpu-7", "gpus": [{"seen": 1e999, "identity": {}}]}',
        pytest.param('{"node": "gpu-7", "gpus": ' + 100_000 * "[", id="deep"),
        "\udcff",
    ],
)
def test_a_file_that_cannot_be_used_is_said_and_costs_only_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    path = tmp_path / "gpus.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    assert LastSeen(path, "gpu-7").load() == []
    (record,) = caplog.records
    assert str(path) in record.message


def test_a_folder_that_cannot_be_written_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").write_text("a file")
    store = LastSeen(tmp_path / "state" / "gpus.json", "gpu-7")
    for _ in range(3):
        store.write(b"{}")
    assert len(caplog.records) == 1


def test_silence_is_no_change() -> None:
    presence = Timed(7 * DAY)
    presence.update(well(2), 0)
    for state in DRIVER_STATES[1:]:
        assert presence.update(out(state), 1000) == []
