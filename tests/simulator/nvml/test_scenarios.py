"""Scenarios: what is shipped plays, what is wrong is said all at once, and both sources hear of an XID."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from model.settings import ConfigurationError
from simulator.nvml.kernel_log import KernelLog, xid_line
from simulator.nvml.player import Player
from simulator.nvml.scenario import Scenario, find_scenario, load_scenario, scenario_names
from simulator.nvml.stub import Stub
from simulator.nvml.table import Gpu

pytestmark = pytest.mark.acceptance

MakeStub = Callable[..., Stub]
Play = Callable[[Scenario], tuple[Player, Stub]]


@pytest.fixture
def play(nvml_stub: MakeStub, tmp_path: Path, nvml_cache: Path) -> Iterator[Play]:
    """A scenario ready to be advanced in virtual time; what the kernel says goes to `kern.log`."""
    nvml_stub(gpus=0)  # there is a compiler
    stubs: list[Stub] = []

    def start(scenario: Scenario) -> tuple[Player, Stub]:
        stubs.append(scenario.stub(tmp_path / "stub", cache=nvml_cache, stepped=True))
        return Player(scenario, stubs[-1], KernelLog(tmp_path / "kern.log")), stubs[-1]

    yield start
    for stub in stubs:
        stub.close()


def _scenario(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "story.yml"
    path.write_text(textwrap.dedent(text))
    return path


def _record(stub: Stub, gpu: int) -> Gpu:
    return stub.table.record.gpus[gpu]  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", scenario_names())
def test_what_is_shipped_plays_to_its_end(play: Play, name: str) -> None:
    scenario = load_scenario(find_scenario(name))
    player, _ = play(scenario)
    story = scenario.timeline()
    happened = player.advance(story[-1][0] if story else 1.0)
    assert happened == [event for _, event in story]
    assert len(happened) == sum(event.repeat.times if event.repeat else 1 for event in scenario.events)
    assert scenario.description


def test_everything_that_is_wrong_is_said_at_once_with_its_place(tmp_path: Path) -> None:
    path = _scenario(
        tmp_path,
        """
        description: wrong
        gpus: {count: 2, profile: h100}
        noise: {powr: 3}
        driver: {without: [nvmlDeviceGetNam]}
        events:
          - {at: 1, gpu: 5, xid: 79}
          - {at: 2, gpu: 0, set: {temprature: 90, memory_used: much}}
          - {at: 3, set: {temperature: 90}}
          - {at: 4, gpu: 0, hang: {call: nvmlDeviceGetTemperatur}}
          - {at: 5, gpu: 0, xdi: 79}
          - {at: 6, gpu: 0, mig: [1g.5gb]}
          - {at: 7}
          - {at: 8, gpu: 0, link: {link: 18, set: {crc: 1}}}
          - {at: -1, gpu: 0, state: dead}
          - {at: 9, gpu: 0, bogus: {utilisation: 4294967295}}
          - {at: 10, gpu: 0, set: {reasons: [hot]}}
        """,
    )
    with pytest.raises(ConfigurationError) as caught:
        load_scenario(path)
    said = str(caught.value).replace(str(path), "story.yml").splitlines()
    for start in (
        "story.yml: events.4.xdi: unknown key (did you mean xid?)",
        "story.yml: events.8.at: must be greater than or equal to 0, got -1",
        "story.yml: events.8.state: must be 'up', 'lost', 'reset_required' or 'gone', got 'dead'",
        "story.yml: driver.without: no such call: 'nvmlDeviceGetNam' (did you mean nvmlDeviceGetName?)",
        "story.yml: noise.powr: a GPU has no value 'powr' (did you mean power?)",
        "story.yml: events.0.gpu: there is no GPU 5: they are 0 to 1",
        "story.yml: events.1.set.temprature: a GPU has no value 'temprature' (did you mean temperature?)",
        "story.yml: events.1.set.memory_used: memory_used: 'much' cannot be: 'much' is not a size",
        "story.yml: events.2.set: happens to a GPU: add `gpu`",
        "story.yml: events.3.hang.call: no such call: 'nvmlDeviceGetTemperatur' (did you mean",
        "story.yml: events.5.mig: no such MIG profile: '1g.5gb'",
        "story.yml: events.6: nothing happens: write one of",
        "story.yml: events.7.link.link: there is no link 18: this GPU has 18",
        "story.yml: events.7.link.set.crc: an NVLink has no value 'crc'",
        "story.yml: events.9.bogus.utilisation: a GPU has no value 'utilisation' (did you mean utilization?)",
        "story.yml: events.10.set.reasons: reasons: ['hot'] cannot be: no such reason: 'hot'",
    ):
        assert [line for line in said if line.startswith(start)], start
    assert len(said) == 16


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "is not a mapping"),
        ("description: x\nevents: 3", "events: must be a list"),
        (
            "description: x\ngpus: {profile: h1000}\nevents: []",
            r"no such profile: 'h1000' \(did you mean h100",
        ),
        ("description: x\nevents: []\nevents: []", "stands twice"),
        ("events: []", "description: is required"),
    ],
)
def test_a_file_that_is_no_scenario(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "story.yml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        load_scenario(path)


def test_a_part_that_is_not_there_at_that_time(tmp_path: Path) -> None:
    path = _scenario(
        tmp_path,
        """
        description: parts
        events:
          - {at: 9, gpu: 0, instance: {index: 1, set: {memory_used: 1GiB}}}
          - {at: 5, gpu: 0, mig: [1g.10gb]}
          - {at: 6, gpu: 0, processes: [{pid: 1, memory: 1GiB, mig: 0}, {pid: 2, memory: 1GiB, mig: 3}]}
        """,
    )
    with pytest.raises(ConfigurationError) as caught:
        load_scenario(path)
    assert [(problem.key, problem.message) for problem in caught.value.problems] == [
        ("events.2.processes.1.mig", "GPU 0 has 1 MIG devices at that time, no 3"),
        ("events.0.instance.index", "GPU 0 has 1 MIG devices at that time, no 1"),
    ]


def test_a_name_that_is_no_scenario() -> None:
    with pytest.raises(ConfigurationError, match="did you mean lost-gpu"):
        find_scenario("lost-gpus")


def test_a_gpu_is_lost_on_time_and_both_sources_hear_of_it(play: Play, tmp_path: Path) -> None:
    player, stub = play(load_scenario(find_scenario("lost-gpu")))
    log = tmp_path / "kern.log"
    player.advance(9.9)
    assert (log.read_text(), stub.gpus[5].state, stub.table.record.event_count) == ("", 0, 0)
    player.advance(10)
    event = stub.table.record.events[0]
    assert (event.gpu, event.type, event.data) == (5, 8, 79)
    assert log.read_text() == (
        "[   10.000000] NVRM: Xid (PCI:0000:b3:00): 79, pid=4242, name=VLLM::Worker,"
        " GPU has fallen off the bus.\n"
    )
    player.advance(10.3)
    assert stub.gpus[5].state == 15
    assert _record(stub, 0).utilization > 90
    player.advance(14)
    assert (_record(stub, 0).utilization, stub.gpus[0].first_process) == (0, None)
    player.advance(100)
    assert _record(stub, 5).listed == 0


def test_an_xid_may_be_in_one_source_only(play: Play, tmp_path: Path) -> None:
    path = _scenario(
        tmp_path,
        """
        description: one source each
        gpus: {count: 1}
        events:
          - {at: 1, gpu: 0, xid: {code: 31, only: nvml}}
          - {at: 2, gpu: 0, xid: {code: 149, only: kmsg, text: NETIR_LINK_EVT Fatal XC0 i0 Link 08}}
        """,
    )
    player, stub = play(load_scenario(path))
    player.advance(3)
    assert stub.table.record.event_count == 1
    log = (tmp_path / "kern.log").read_text()
    assert log.endswith("149, pid='<unknown>', name=<unknown>, NETIR_LINK_EVT Fatal XC0 i0 Link 08\n")
    assert len(log.splitlines()) == 1


def test_the_kernel_spells_the_bus_its_way() -> None:
    assert xid_line("00000009:B3:00.0", 5, "", 1, "a").startswith("NVRM: Xid (PCI:0009:b3:00): 5, pid=1")


def test_a_straggler_works_less_and_looks_busy(play: Play) -> None:
    player, stub = play(load_scenario(find_scenario("straggler")))
    player.advance(30)
    healthy, straggler = _record(stub, 0), _record(stub, 6)
    assert abs(straggler.utilization - healthy.utilization) <= 4
    assert straggler.power / healthy.power == pytest.approx(0.6, abs=0.05)
    assert straggler.activity[4].rate / healthy.activity[4].rate == pytest.approx(0.6, abs=0.08)


def test_noise_is_the_same_again_and_near_what_was_set(play: Play) -> None:
    scenario = load_scenario(find_scenario("healthy"))
    seen: list[list[int]] = []
    for _ in range(2):
        player, stub = play(scenario)
        powers = []
        for second in range(30):
            player.advance(float(second))
            powers.append(_record(stub, 3).power)
        seen.append(powers)
    assert seen[0] == seen[1]
    assert len(set(seen[0])) > 20
    assert all(abs(power - 560_000) <= 22_000 for power in seen[0])


def test_a_story_is_played_in_real_time_until_told_to_stop(
    nvml_stub: MakeStub, tmp_path: Path, nvml_cache: Path
) -> None:
    nvml_stub(gpus=0)
    path = _scenario(
        tmp_path,
        """
        description: short
        gpus: {count: 1}
        events:
          - {at: 0.03, gpu: 0, set: {temperature: 88}}
          - {at: 60, gpu: 0, set: {temperature: 40}}
        """,
    )
    scenario = load_scenario(path)
    stop, happened = threading.Event(), threading.Event()
    with scenario.stub(tmp_path / "stub", cache=nvml_cache) as stub:
        player = Player(scenario, stub, tell=lambda at, event: happened.set())
        thread = threading.Thread(target=player.play, args=(stop,))
        thread.start()
        assert happened.wait(5)
        assert _record(stub, 0).temperature == 88
        stop.set()
        thread.join(5)
        assert not thread.is_alive()


COUNT = "import pynvml as n; n.nvmlInit(); print(n.nvmlDeviceGetCount()); raise SystemExit(7)"


@pytest.fixture
def built(nvml_stub: MakeStub, nvml_cache: Path) -> str:
    """The folder that has the compiled library already."""
    nvml_stub(gpus=0)
    return str(nvml_cache)


def _command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "simulator.nvml", *arguments]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_command_sees_the_gpus_and_its_status_is_ours(built: str, tmp_path: Path) -> None:
    path = _scenario(
        tmp_path,
        """
        description: at once
        gpus: {count: 3}
        events: [{at: 0, gpu: 1, xid: 48}]
        """,
    )
    log = tmp_path / "kern.log"
    run = _command(str(path), "--cache", built, "--kmsg", str(log), "--", sys.executable, "-c", COUNT)
    assert (run.stdout, run.returncode) == ("3\n", 7)
    assert "gpu 1, xid 48" in run.stderr
    assert "Xid (PCI:0000:3d:00): 48" in log.read_text()


def test_a_command_ended_by_a_signal_is_told_as_a_shell_tells_it(built: str) -> None:
    end = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    assert (
        _command("-q", "--cache", built, "healthy", "--", sys.executable, "-c", end).returncode
        == 128 + signal.SIGTERM
    )
    assert _command("-q", "--cache", built, "healthy", "--", "/no/such/command").returncode == 127


def test_a_wrong_scenario_ends_with_status_2_and_its_problems(tmp_path: Path) -> None:
    run = _command("helthy", "--", "true")
    assert run.returncode == 2
    assert run.stderr == "helthy: no such scenario and no such file (did you mean healthy?)\n"
    run = _command("healthy", "--", "true", PATH=str(tmp_path), CC="")
    assert run.returncode == 2
    assert "install gcc" in run.stderr


def test_the_help_lists_the_scenarios() -> None:
    run = _command("--help")
    assert all(name in run.stdout for name in scenario_names())


def test_stories_are_told_as_data() -> None:
    """Nothing in a shipped file is longer than a line of code, and each ends with a newline."""
    for name in scenario_names():
        text = find_scenario(name).read_text()
        assert text.endswith("\n")
        assert max(map(len, text.splitlines())) <= 120, name


def test_a_process_that_listens_hears_the_story(built: str, tmp_path: Path) -> None:
    """The whole way: a command of its own, events, a lost GPU, other GPUs that go on."""
    path = _scenario(
        tmp_path,
        """
        description: soon
        gpus: {count: 2}
        events:
          - {at: 0.4, gpu: 1, xid: 79, state: lost}
        """,
    )
    source = """
    import json, pynvml as n
    n.nvmlInit()
    events = n.nvmlEventSetCreate()
    handles = [n.nvmlDeviceGetHandleByIndex(i) for i in range(2)]
    for handle in handles:
        n.nvmlDeviceRegisterEvents(handle, 8, events)
    xid = n.nvmlEventSetWait(events, 20000).eventData
    codes = []
    for handle in handles:
        try:
            n.nvmlDeviceGetPowerUsage(handle)
            codes.append(0)
        except n.NVMLError as error:
            codes.append(error.value)
    print(json.dumps([xid, codes]))
    """
    run = _command("-q", "--cache", built, str(path), "--", sys.executable, "-c", textwrap.dedent(source))
    answer: Any = json.loads(run.stdout)
    assert answer == [79, [0, 15]]
