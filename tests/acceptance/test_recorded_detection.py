"""Detectors that have learned a real vLLM under light load: what they say of that load, and of a hung engine.

The recording of light load is 25 s long, too short to warm a detector. So its increments are lived through in
another order, for twenty minutes, by two engines; then the recordings follow. Learned state comes to
each pipeline the way it comes to a restarted analyzer: as its snapshot.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from analyzer.assembly import assemble, prepare
from analyzer.pipeline import Pipeline
from analyzer.snapshots import SCORES, SNAPSHOT
from detectors.contract import SCORE
from detectors.engine import Scoring
from model.labels import NAME, Labels
from model.matcher import Matcher, Op
from model.moment import HOUR, SECOND
from rules.promql.answer import Vector
from rules.promql.expression import parse
from telemetry.ingest import TargetIngest
from telemetry.snapshot import freeze, write
from telemetry.window import Window
from tests.acceptance.recorded import Engine, Recording
from tests.analyzer.conftest import settings_of

pytestmark = pytest.mark.acceptance

BEGIN = 1_795_180_000_000
SCRAPES = 600  # twenty minutes
LIGHT, HUNG, OVERLOAD, CRASH = (
    "series-light-load",
    "series-hung-worker",
    "series-overload",
    "series-engine-crash",
)
STOPPED, MOVES_AGAIN = 1_795_177_112_960, 1_795_177_124_158
RULES = """
groups:
  - name: engines
    interval: 1s
    rules:
      - alert: EngineAnomalous
        expr: count by (instance) (fleetowl_anomaly_score{metric=~"vllm:.+", detector="level"} > 1) >= 2
        labels: {tier: P2}
"""


class Folder:
    """The recordings by name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, Recording] = {}

    def __call__(self, name: str) -> Recording:
        if name not in self._found:
            self._found[name] = Recording(self._path / "vllm" / name)
        return self._found[name]


@dataclass
class Trained:
    """The engines after their history, when it ended, and the file with what was learned."""

    engines: dict[str, Engine]
    now: int
    file: Path


def ingest_of(window: Window, instance: str) -> TargetIngest:
    labels = Labels({"job": "vllm", "instance": instance})
    return TargetIngest(window, f"vllm/{instance}", 2 * SECOND, labels)


def merged(plans: Mapping[str, Iterable[tuple[int, bytes]]]) -> Iterator[tuple[int, str, bytes]]:
    """(time, instance, body) of several engines in the order of time."""
    return iter(sorted((at, instance, body) for instance, plan in plans.items() for at, body in plan))


def from_steps(begin: int, plan: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    now = begin
    for passed, body in plan:
        now += passed
        yield now, body


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Folder:
    return Folder(shared_data)


@pytest.fixture(scope="module")
def trained(folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    window = Window()
    scoring = Scoring(window)
    engines = {name: Engine(name, folder(LIGHT)) for name in ("a:8000", "b:8000")}
    ingests = {name: ingest_of(window, name) for name in engines}
    plans = {
        name: from_steps(BEGIN, engine.history(SCRAPES, seed))
        for seed, (name, engine) in enumerate(engines.items())
    }
    now = BEGIN
    for place, (now, instance, body) in enumerate(merged(plans)):
        ingests[instance].ingest(body, now)
        if place % 20 == 0:
            scoring.step(now)
    scoring.step(now)
    file = tmp_path_factory.mktemp("trained") / SNAPSHOT
    frozen = freeze(window, now)
    frozen.add(SCORES, scoring.snapshot())
    write(frozen, file)
    return Trained(engines, now, file)


@dataclass
class Night:
    """What the pipeline said, second by second: by instance the metrics above 1, and when alerts fired."""

    scored: set[str]
    anomalous: dict[str, dict[int, set[str]]]
    alerts: dict[str, list[int]]


@pytest.fixture
def live(trained: Trained, tmp_path: Path) -> Callable[..., Night]:
    """Let the trained engines live through recordings, by instance."""

    def run(recordings: dict[str, Recording], extra: int = 0) -> Night:
        state = tmp_path / "state"
        state.mkdir()
        shutil.copy(trained.file, state)
        rules = tmp_path / "engines.rules.yml"
        rules.write_text(RULES)
        settings = settings_of(state, rules={"shipped": False, "files": [str(rules)]})
        begin = trained.now + 2 * SECOND
        pipeline = assemble(prepare(settings), begin)
        plans = {
            instance: [(begin + at, body) for at, body in trained.engines[instance].replay(recording)]
            for instance, recording in recordings.items()
        }
        return watch(pipeline, begin, plans, extra)

    return run


def watch(pipeline: Pipeline, begin: int, plans: dict[str, list[tuple[int, bytes]]], extra: int) -> Night:
    ingests = {instance: ingest_of(pipeline.window, instance) for instance in plans}
    night = Night(set(), defaultdict(lambda: defaultdict(set)), defaultdict(list))
    arrivals = list(merged(plans))
    ends = {instance: plan[-1][0] for instance, plan in plans.items()}
    for now in range(begin, max(ends.values()) + 2 * SECOND + extra, SECOND):
        while arrivals and arrivals[0][0] <= now:
            at, instance, body = arrivals.pop(0)
            pipeline.window.advance(now)
            ingests[instance].ingest(body, at)
        for instance, end in ends.items():
            if extra and now > end + SECOND:
                ingests[instance].fail(now, "connection refused")
        pipeline.step(now)
        note(pipeline, now, begin, night)
    return night


def note(pipeline: Pipeline, now: int, begin: int, night: Night) -> None:
    for labels, value in scores(pipeline, now):
        night.scored.add(labels.value("metric"))
        if value > 1:
            night.anomalous[labels.value("instance")][now - begin].add(labels.value("metric"))
    for alert in pipeline.alerts:
        if alert.ends_at is None:
            night.alerts[alert.labels["instance"]].append(now - begin)


def scores(pipeline: Pipeline, now: int) -> Iterator[tuple[Labels, float]]:
    answer = pipeline.evaluate(parse('fleetowl_anomaly_score{metric=~"vllm:.+"}'), now)
    assert isinstance(answer, Vector)
    for labels, value in zip(answer.labels, answer.values, strict=True):
        yield labels, float(value)


def test_light_load_is_no_anomaly(live: Callable[..., Night], folder: Folder) -> None:
    night = live({"a:8000": folder(LIGHT), "b:8000": folder(LIGHT)})
    assert not night.anomalous
    assert not night.alerts
    assert night.scored > {"vllm:generation_tokens_total", "vllm:num_requests_running"}


def test_light_load_for_long_is_no_anomaly(folder: Folder) -> None:
    """Forty minutes of the same increments, in an order that no detector has seen: no score of any series."""
    window = Window(retention=HOUR)
    scoring = Scoring(window)
    ingest, engine = ingest_of(window, "c:8000"), Engine("c:8000", folder(LIGHT))
    for place, (now, body) in enumerate(from_steps(BEGIN, engine.history(1_000, seed=99))):
        ingest.ingest(body, now)
        if place == 0:
            for metric in window.metric_names():
                scoring.demand(metric, SCORE)
        if place % 50 == 0:
            scoring.step(now)
    found = window.select([Matcher(NAME, Op.EQUAL, SCORE)])
    judged = [each.range(BEGIN, now) for each in found]
    assert sum(int(present.sum()) for _, _, present in judged) > 10_000
    assert not any((values[present] > 1).any() for _, values, present in judged)


@pytest.mark.parametrize("name", [OVERLOAD, CRASH])
def test_other_recordings_name_no_other_engine(live: Callable[..., Night], folder: Folder, name: str) -> None:
    """Overload is anomalous to whoever knows light load only; a crash ends what is known."""
    night = live({"a:8000": folder(name), "b:8000": folder(LIGHT)}, extra=10 * SECOND)
    assert not set(night.alerts) - {"a:8000"}
    assert "b:8000" not in night.anomalous
    if name is CRASH:
        last = max(night.anomalous["a:8000"], default=0)
        assert last <= int(folder(name).times[-1] - folder(name).times[0]) + 2 * SECOND


@pytest.mark.parametrize("hung", ["a:8000", "b:8000"])
def test_the_hung_one_of_two_engines_is_named(live: Callable[..., Night], folder: Folder, hung: str) -> None:
    well = ({"a:8000", "b:8000"} - {hung}).pop()
    night = live({hung: folder(HUNG), well: folder(LIGHT)})
    assert well not in night.anomalous
    assert set(night.alerts) == {hung}
    began = int(folder(HUNG).times[0])
    assert STOPPED < began + night.alerts[hung][0] < MOVES_AGAIN
    said = set().union(*night.anomalous[hung].values())
    assert "vllm:generation_tokens_total" in said
