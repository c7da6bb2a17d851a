"""CPU per evaluation of rules, beside the real Prometheus: the same samples, the same rule files, one run.

    python -m bench.promql [--series 50000] [--evaluations 5] [--quick]

Both get 12 samples of each series with the same times: 500 targets that are scraped every 15 s, each at a
moment of its own. Prometheus takes them through remote write into its head and scrapes nothing. A rule
group of one rule is loaded; after a first evaluation, which makes series and alerts, the CPU clock of the
process is read at the end of each evaluation, less what the idle process used in the same time with the
same polling. So its garbage collection counts, as ours does. Fleetowl's side is `RuleEngine.step` with the
same file, in this process. The figure of both is the median, of the hundred mixed rules Prometheus' second
evaluation.

NumPy is the bare arithmetic on arrays that lie ready, without labels, gathering and the keeping of results:
what no evaluator on NumPy goes below. First is our first evaluation, which works on labels.

Kind to Prometheus: the head holds these 12 samples and no others (an hour of scrapes would have to be
decoded up to the range), nobody scrapes meanwhile, and no Alertmanager is told. Neither side persists
alerts here; both write the series that they record, Prometheus to its log on disk too.

Results are compared in the same run, each row of each rule, to 1e-9 relative. Upstream has changed since
the Debian version; none of the changes can touch these data, so nothing is excluded:
  left-open windows      no sample lies on an edge: all are inside the range by more than a minute
  look-back at its edge  likewise
  extrapolation at zero  the limit at zero is applied later since 3.x: these counters start high
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.prometheus import Prometheus
from bench.rule_fleet import CASES, EVERY, RANGE, SAMPLES, SCRAPE, TARGETS, Fleet, mixed_rules, rule_file
from model.labels import NAME, Labels
from model.matcher import Matcher, Op
from model.moment import MINUTE
from rules.engine import RuleEngine
from rules.files import load_rule_files
from rules.settings import RuleSettings
from telemetry.window import Window

TOLERANCE = 1e-9


@dataclass(slots=True)
class Figures:
    """What one rule group cost a side: CPU seconds of each evaluation, and the first one of ours."""

    cpu: list[float]
    first: float = 0.0

    @property
    def median(self) -> float:
        """Seconds."""
        return median(self.cpu)


class TheirSide:
    """Prometheus, filled and idle."""

    def __init__(self, prometheus: Prometheus, idle_seconds: float) -> None:
        self.prometheus = prometheus
        begun, wall = prometheus.cpu(), time.monotonic()
        while time.monotonic() < wall + idle_seconds:
            self._evaluated()
            time.sleep(0.25)
        self.idle = (prometheus.cpu() - begun) / (time.monotonic() - wall)
        """CPU seconds a second of doing nothing, and of being polled."""

    def _evaluated(self) -> float:
        """When the group was evaluated last; it changes at the end of an evaluation."""
        found = self.prometheus.metrics().items()
        name = "prometheus_rule_group_last_evaluation_timestamp_seconds"
        return max((value for key, value in found if key.startswith(name)), default=0.0)

    def _after_next(self, known: float) -> float:
        while (now := self._evaluated()) in (known, 0.0):
            time.sleep(0.25)
        return now

    def measure(self, text: str, evaluations: int) -> Figures:
        """CPU seconds of each of some evaluations, without the first."""
        self.prometheus.rules(text)
        self.prometheus.reload()
        known = self._after_next(0.0)
        figures = Figures([])
        for _ in range(evaluations):
            cpu, wall = self.prometheus.cpu(), time.monotonic()
            known = self._after_next(known)
            elapsed = time.monotonic() - wall
            figures.cpu.append(self.prometheus.cpu() - cpu - elapsed * self.idle)
        return figures

    def recorded(self, names: list[str]) -> tuple[int, dict[Labels, float]]:
        """The series of these rules as the last whole evaluation left them, and its time (ms).

        While the group is evaluated anew some rules are ahead. Without rules the time is that of this host.
        """
        if not names:
            return int(time.time() * 1000), {}
        selector = f'{{__name__=~"{"|".join(names)}"}}[20m]'
        found = self.prometheus.query(selector, int(time.time() * 1000))["result"]
        newest: dict[str, float] = {}
        for row in found:
            name, at = row["metric"][NAME], row["values"][-1][0]
            newest[name] = max(at, newest.get(name, 0.0))
        whole = min(newest.values())
        return round(whole * 1000), {
            Labels(row["metric"]): float(value) for row in found for at, value in row["values"] if at == whole
        }

    def alerts(self) -> dict[tuple[Labels, str], float]:
        """Labels and summary of what fires, with its value."""
        found = self.prometheus.ask("/api/v1/alerts")["alerts"]
        return {
            (Labels(row["labels"]), row["annotations"].get("summary", "")): float(row["value"])
            for row in found
        }

    def stop_rules(self) -> None:
        """Evaluate nothing any more."""
        self.prometheus.rules("groups: []")
        self.prometheus.reload()


class OurSide:
    """A window, and an engine for each rule file."""

    def __init__(self, window: Window, folder: Path) -> None:
        self.window = window
        self._file = folder / "ours.yml"
        self._settings = RuleSettings.model_validate({"lookback": "30m"})
        self.engine: RuleEngine

    def measure(self, text: str, at: int, evaluations: int) -> Figures:
        """CPU seconds of evaluations from `at` (ms) on, without the first."""
        self._file.write_text(text)
        groups = load_rule_files([self._file])
        self.engine = RuleEngine(self.window, groups, 0, self._settings)
        first = timed(lambda: self.engine.step(at))
        steps = range(at + EVERY, at + (evaluations + 1) * EVERY, EVERY)
        return Figures([timed(partial(self.engine.step, now)) for now in steps], first)

    def recorded(self, names: list[str], at: int) -> dict[Labels, float]:
        """The recorded series as they were at `at` (ms)."""
        found: dict[Labels, float] = {}
        for selection in self.window.select([Matcher(NAME, Op.MATCHES, "|".join(names))]):
            values, times, present = selection.instant(at, EVERY)
            rows = np.flatnonzero(present & (times == at)).tolist()
            found.update({selection.labels[row]: float(values[row]) for row in rows})
        return found

    def alerts(self) -> dict[tuple[Labels, str], float]:
        """Labels and summary of what fires, with its value."""
        return {
            (active.labels, active.annotations.get("summary", "")): active.value
            for active in self.engine.active()
        }


def timed(work: Callable[[], object]) -> float:
    """CPU seconds of `work`."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


@dataclass(slots=True)
class Comparison:
    """Rows that both sides had, the largest relative difference, and what disagrees."""

    rows: int = 0
    largest: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def add(self, what: str, theirs: Mapping[Any, float], ours: Mapping[Any, float]) -> None:
        """Compare each row."""
        self.wrong += [f"{what}: only Prometheus has {key}" for key in theirs.keys() - ours.keys()]
        self.wrong += [f"{what}: only Fleetowl has {key}" for key in ours.keys() - theirs.keys()]
        for key in theirs.keys() & ours.keys():
            one, other = theirs[key], ours[key]
            apart = 0.0 if one == other else abs(one - other) / max(abs(one), abs(other))
            self.rows += 1
            self.largest = max(self.largest, apart)
            if not apart <= TOLERANCE:
                self.wrong.append(f"{what}: {key}: Prometheus {one!r}, Fleetowl {other!r}")


class Bench:
    """Both sides and the table."""

    def __init__(self, theirs: TheirSide, ours: OurSide, fleet: Fleet, evaluations: int) -> None:
        self._theirs, self._ours, self._fleet = theirs, ours, fleet
        self._evaluations = evaluations
        self.comparison = Comparison()

    def run(self, name: str, rules: str, bound: float, theirs_evaluations: int = 0) -> None:
        """Measure and compare one group, and print its line."""
        text = rule_file("bench", rules)
        theirs = self._theirs.measure(text, theirs_evaluations or self._evaluations)
        names = re.findall(r"record: (\S+)", text)
        at, recorded = self._theirs.recorded(names)
        alerts = self._theirs.alerts()
        self._theirs.stop_rules()
        ours = self._ours.measure(text, at, max(5, self._evaluations))
        before = self.comparison.rows
        self.comparison.add(name, recorded, self._ours.recorded(names, at))
        self.comparison.add(name, alerts, self._ours.alerts())
        print(
            f"{name:<24}{theirs.median * 1e3:12.1f}{ours.median * 1e3:12.2f}"
            f"{theirs.median / ours.median:9.0f} x{bound * 1e3:10.3f}{ours.median / bound:9.1f} x"
            f"{ours.first * 1e3:10.0f}{self.comparison.rows - before:9}",
            flush=True,
        )

    def bound(self, work: Callable[[Fleet], object]) -> float:
        """CPU seconds of the bare arithmetic."""
        work(self._fleet)
        return timed(lambda: [work(self._fleet) for _ in range(20)]) / 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--series", type=int, default=50_000)
    parser.add_argument("--evaluations", type=int, default=5)
    parser.add_argument(
        "--quick", action="store_true", help="5,000 series, two evaluations: only to see it run"
    )
    asked = parser.parse_args()
    series = 5_000 if asked.quick else asked.series // TARGETS * TARGETS
    evaluations = 2 if asked.quick else asked.evaluations
    fleet = Fleet(series, int(time.time() * 1000))
    with tempfile.TemporaryDirectory() as name, Prometheus(Path(name), "30m") as prometheus:
        prometheus.write(fleet.all())
        theirs = TheirSide(prometheus, 3 if asked.quick else 10)
        bench = Bench(theirs, OurSide(fleet.window(), Path(name)), fleet, evaluations)
        heading(prometheus.version, fleet, theirs.idle)
        for case in CASES:
            bench.run(case.name, case.rule, bench.bound(case.bound))
        bounds = {case.name: bench.bound(case.bound) for case in CASES}
        bench.run("100 mixed rules", mixed_rules(), 100 / 6 * sum(bounds.values()), 1)
    if time.time() * 1000 > fleet.end - SAMPLES * SCRAPE + RANGE - MINUTE:
        raise SystemExit("the run took so long that samples have left the ranges: nothing it printed counts")
    found = bench.comparison
    print(f"{found.rows} rows compared, none excluded: largest relative difference {found.largest:.1e}")
    if found.wrong:
        raise SystemExit("\n".join([f"{len(found.wrong)} rows differ:", *found.wrong[:20]]))


def heading(version: str, fleet: Fleet, idle: float) -> None:
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    print(f"{machine}, Python {platform.python_version()}, NumPy {np.__version__}, Prometheus {version}")
    print(f"{fleet.series} series a metric of {TARGETS} targets, {SAMPLES} samples each")
    print(f"Prometheus idle and polled: {idle * 1e3:.1f} ms CPU a second, subtracted")
    columns = (
        f"{'Prometheus':>12}{'Fleetowl':>12}{'ratio':>11}{'NumPy':>10}{'off':>11}{'first':>10}{'rows':>9}"
    )
    print(f"{'CPU ms per evaluation':<24}{columns}")


if __name__ == "__main__":
    main()
