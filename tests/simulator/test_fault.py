from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from model.settings import ConfigurationError
from simulator.cluster import Cluster
from simulator.fault import Fault, load_fault, load_faults
from simulator.ranges import format_durations
from simulator.settings import DelaySettings
from simulator.variables import VARIABLES

GOOD = """
id: G99
name: A test
tier: P2
story: Something happens.
target: {kind: gpu}
effects:
  - {variable: gpu.cooling, to: [2, 3], after: [5s, 15s], over: 30s, shape: exponential, says: gets hot}
recovery: {after: 1m, says: is cool}
truth: {root: gpu, affects: [replica], alerts: [Hot], action: ticket}
"""


def write(folder: Path, **changes: object) -> Path:
    data = {**yaml.safe_load(GOOD), **changes}
    path = folder / "fault.yml"
    path.write_text(yaml.safe_dump({key: value for key, value in data.items() if value is not None}))
    return path


def problems(path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_fault(path)
    return [str(problem) for problem in caught.value.problems]


def test_the_shipped_faults_load() -> None:
    faults = load_faults()
    assert {"G01", "G08", "S02", "S13"} <= set(faults)
    assert all(isinstance(fault, Fault) and fault.story for fault in faults.values())


def test_the_shipped_faults_agree_with_the_catalogue(shared_data: Path) -> None:
    catalogue = {
        entry["id"]: entry for entry in yaml.safe_load((shared_data / "faults.yaml").read_text())["faults"]
    }
    for fault in load_faults().values():
        entry = catalogue[fault.id]
        assert fault.tier == entry["severity"]
        assert fault.truth.root == entry["root_kind"]


def test_real_times_of_what_is_compressed_are_the_defaults_of_the_cluster() -> None:
    """A demo that says "instead of 30s to 1m30s" must name what the uncompressed model would do."""
    delays = DelaySettings()
    for fault in load_faults().values():
        for entry in fault.compressed:
            assert entry.real == getattr(delays, entry.delay)


def test_a_file_says_everything_that_it_may_say(tmp_path: Path) -> None:
    fault = load_fault(write(tmp_path))
    [effect] = fault.effects
    assert (effect.to, effect.after, effect.over) == ((2.0, 3.0), (5_000, 15_000), (30_000, 30_000))
    assert fault.recovery.after == (60_000, 60_000)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"effects": [{"variable": "gpu.coolin", "to": 1, "says": "x"}]}, "did you mean gpu.cooling"),
        (
            {"effects": [{"variable": "gpu.cooling", "to": True, "says": "x"}]},
            "write a number or [low, high]",
        ),
        ({"effects": [{"variable": "gpu.present", "to": 3, "says": "x"}]}, "write true or false"),
        (
            {"effects": [{"variable": "node.exporter", "to": "naps", "says": "x"}]},
            "write one of answers, refuses",
        ),
        ({"effects": [{"variable": "gpu.cooling", "to": [3, 2], "says": "x"}]}, "[3, 2] is not a range"),
        (
            {"effects": [{"variable": "gpu.cooling", "to": 3, "over": "5 s", "says": "x"}]},
            "is not a duration",
        ),
        (
            {"effects": [{"variable": "gpu.present", "to": False, "over": "5s", "says": "x"}]},
            "changes at once",
        ),
        ({"recovery": {}}, "give either `after` or `when`"),
        ({"recovery": {"after": "1m", "when": "node_cordoned"}}, "give either `after` or `when`"),
        ({"recovery": {"when": "node_cordoned", "takes": "ages"}}, "'ages' is no delay"),
        ({"compressed": [{"delay": "nap", "from": "1m", "to": "1s", "why": "x"}]}, "'nap' is no delay"),
        ({"trueth": {}}, "trueth: unknown key (did you mean truth?)"),
        ({"truth": None}, "truth: is required"),
        ({"tier": "P9"}, "tier"),
    ],
)
def test_what_is_wrong_is_said_with_a_way_out(
    tmp_path: Path, changes: dict[str, object], expected: str
) -> None:
    found = problems(write(tmp_path, **changes))
    assert any(expected in problem for problem in found), found
    assert all(problem.startswith(str(tmp_path)) for problem in found)


def test_all_problems_of_all_files_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("- a list")
    (tmp_path / "b.yml").write_text("id: [")
    (tmp_path / "c.yml").write_text(GOOD)
    (tmp_path / "d.yml").write_text(GOOD)
    with pytest.raises(ConfigurationError) as caught:
        load_faults([*sorted(tmp_path.glob("*.yml")), tmp_path / "gone.yml"])
    messages = [str(problem) for problem in caught.value.problems]
    assert len(messages) == 4
    assert "a.yml: is not a mapping" in messages[0]
    assert "b.yml: line 1: is not YAML" in messages[1]
    assert "G99 is defined twice" in messages[2]
    assert "gone.yml: cannot be read" in messages[3]


def test_every_variable_is_an_attribute_of_its_entity() -> None:
    cluster = Cluster()
    target = {
        "gpu": cluster.gpus[0],
        "replica": cluster.replicas[0],
        "node": cluster.nodes[0],
        "rack": cluster.racks[0],
        "service": cluster.service,
    }
    for variable in VARIABLES.values():
        assert hasattr(target[variable.entity], variable.attribute), variable.name


def test_a_change_over_time_goes_there_and_back(tmp_path: Path) -> None:
    cluster = Cluster()
    fault = load_fault(
        write(tmp_path, effects=[{"variable": "gpu.cooling", "to": 3, "over": "20s", "says": "gets hot"}])
    )
    episode = cluster.inject(fault)
    [gpu] = cluster.related(episode.target, "gpu")
    cluster.step(10_000)
    assert gpu.cooling == pytest.approx(2.0, abs=0.03)
    cluster.step(15_000)
    assert gpu.cooling == 3.0
    cluster.step(45_000)
    assert gpu.cooling == pytest.approx(2.0, abs=0.05)
    assert not episode.over
    cluster.step(20_000)
    assert (gpu.cooling, episode.over) == (1.0, True)
    assert json.loads(json.dumps(episode.truth()))["fault"] == "G99"


def test_two_episodes_at_once_do_not_disturb_one_another() -> None:
    cluster = Cluster()
    gpu, zombie = cluster.replicas[0].gpus[1], cluster.replicas[1]
    one, other = cluster.inject("G01", target=gpu.uuid), cluster.inject("S13", target=zombie.name)
    cluster.step(30_000)
    cluster.restart(zombie.name)
    cluster.step(60_000)
    assert other.over
    assert not one.over


def test_durations_are_written_as_people_write_them() -> None:
    assert format_durations((5_000, 15_000)) == "5s to 15s"
    assert format_durations((90_000, 90_000)) == "1m30s"
