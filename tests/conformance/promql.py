"""Runs Prometheus' own PromQL test files against Fleetowl's evaluator.

    python -m tests.conformance.promql DIR [--json]

Every `eval` counts once: passed, failed (a wrong answer, or a line that cannot be read) or unsupported
(an error at load that names what is missing, or a question for native histograms). Annotations that are
missing, or there against the expectation, are counted apart; messages are not compared.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from model.labels import NAME, Labels
from model.moment import DAY, parse_duration
from rules.promql.answer import Matrix, Scalar
from rules.promql.context import Notes
from rules.promql.errors import EvaluationError, PromQLError, Unsupported
from rules.promql.expression import Expression, parse
from rules.unittest.notation import NotationError, parse_series, parse_values
from telemetry.window import Window, WindowLimits
from wire.gotext import go_unquote

_TOLERANCE = 1e-6  # as promqltest
_EVAL = re.compile(r"eval(_\w+)?\s+(instant|range)\s+(.*)", re.DOTALL)
_INSTANT = re.compile(r"at\s+(\S+)\s+(.*)", re.DOTALL)
_RANGE = re.compile(r"from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)\s+(.*)", re.DOTALL)


class Unreadable(Exception):
    """A test file uses what this runner does not know."""


@dataclass
class Outcome:
    """How many evals passed, and what happened to the others."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    annotations_missed: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.unsupported += other.unsupported
        self.annotations_missed += other.annotations_missed


@dataclass
class Block:
    """A command with the indented lines below it."""

    line: int
    command: str
    body: list[str]


def blocks(text: str) -> Iterator[Block]:
    """The commands of a test file."""
    current: Block | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0] in " \t" and current is not None:
            current.body.append(line.strip())
            continue
        if current is not None:
            yield current
        current = Block(number, line.strip(), [])
    if current is not None:
        yield current


def run_file(path: Path) -> Outcome:
    """Run one test file."""
    outcome, window = Outcome(), _window()
    for block in blocks(path.read_text()):
        place = f"{path.name}:{block.line}: {block.command}"
        if block.command == "clear":
            window = _window()
        elif block.command.startswith("load"):
            try:
                _load(window, block)
            except ValueError as error:
                print(f"{place}: cannot be loaded: {error}", file=sys.stderr)
        elif block.command.startswith("eval"):
            _count(outcome, place, window, block)
    return outcome


def _count(outcome: Outcome, place: str, window: Window, block: Block) -> None:
    notes = Notes()
    try:
        found = _EVAL.fullmatch(block.command)
        if found is None:
            raise Unreadable(block.command)
        expected = _expectation(block, found[1] or "")
        wrong = _evaluate(window, expected, found[2], found[3], notes)
    except Unsupported as error:
        outcome.unsupported.append(f"{place}: {error}")
        return
    except (PromQLError, Unreadable, NotationError) as error:
        outcome.failed.append(f"{place}: unreadable: {error}")
        return
    except Exception as error:  # a defect fails its own line and not the run
        outcome.failed.append(f"{place}: {type(error).__name__}: {error}")
        return
    if wrong:
        outcome.failed.append(f"{place}: {wrong}")
        return
    outcome.passed += 1
    given = {"warn": bool(notes.warnings), "info": bool(notes.infos)}
    if any(given[kind] != wanted for kind, wanted in expected.notes.items()):
        outcome.annotations_missed.append(f"{place}: expected {expected.notes}, got {given}")


def _window() -> Window:
    return Window(retention=400 * DAY, limits=WindowLimits.model_validate({"max_ahead": "4000d"}))


def _load(window: Window, block: Block) -> None:
    step = _milliseconds(block.command.split()[1])
    target = window.target("load", 0)
    # A series that stands twice in a load counts once, as it stands last.
    series = dict(parse_series(line) for line in block.body if "{{" not in line)
    samples = [
        (k * step, window.series(target, labels), value)
        for labels, sequence in series.items()
        for k, value in enumerate(sequence)
        if value is not None
    ]
    times = np.array([time for time, _, _ in samples], dtype=np.int64)
    ids = np.array([sid for _, sid, _ in samples], dtype=np.int64)
    window.append_each(target, times, ids, np.array([value for *_, value in samples], dtype=np.float64))


def _milliseconds(text: str) -> int:
    if text.startswith("-"):
        return -_milliseconds(text[1:])
    try:
        return round(float(text) * 1000)
    except ValueError:
        return parse_duration(text)


@dataclass
class _Expected:
    fails: bool = False
    string: str | None = None
    scalar: list[float | None] | None = None
    rows: dict[Labels, list[float | None]] = field(default_factory=dict)
    notes: dict[str, bool] = field(default_factory=dict)
    ordered: bool = False
    moments: range | None = None
    """The times (ms) of the points of a range vector."""


_RANGE_VECTOR = re.compile(r"range vector from (\S+) to (\S+) step (\S+)")


def _expectation(block: Block, kind: str) -> _Expected:
    expected = _Expected(fails=kind == "_fail", ordered=kind == "_ordered")
    if kind in ("_warn", "_info"):
        expected.notes[kind[1:]] = True
    for line in block.body:
        if line.startswith("expect "):
            _expect(expected, line.removeprefix("expect ").strip())
        elif line.startswith("expected_fail"):
            expected.fails = True
        elif re.match(r"[{a-zA-Z_]", line) and not re.match(r"(?:[nN]a[nN]|[iI]nf)\b", line):
            if "{{" in line:
                raise Unsupported("native histograms are not supported: one is in the result")
            labels, values = parse_series(line)
            expected.rows[labels] = values
        elif line[0] in "\"'":
            expected.string = go_unquote(line)
        else:
            expected.scalar = parse_values(line)
    return expected


def _expect(expected: _Expected, what: str) -> None:
    word = re.split(r"[\s:]", what)[0]
    if word == "fail":
        expected.fails = True
    elif word in ("warn", "info", "no_warn", "no_info"):
        expected.notes[word.removeprefix("no_")] = not word.startswith("no_")
    elif word == "ordered":
        expected.ordered = True
    elif word == "string":
        expected.string = go_unquote(what.removeprefix("string").strip())
    elif found := _RANGE_VECTOR.fullmatch(what):
        start, end, step = map(_milliseconds, found.groups())
        expected.moments = range(start, end + 1, step)
    else:
        raise Unreadable(f"expect {what}")


def _evaluate(window: Window, expected: _Expected, kind: str, rest: str, notes: Notes) -> str:
    """What is wrong with the answer, empty if nothing."""
    moments, text = _moments(kind, rest)
    try:
        expression = parse(text)
        actual = _answers(window, expression, kind, moments, notes)
    except Unsupported:
        raise
    except PromQLError:
        if expected.fails:
            return ""
        raise
    except EvaluationError as error:
        return "" if expected.fails else f"raised {error}"
    if expected.fails:
        return "an error was expected"
    wrong = _difference(expected, actual, expected.moments or moments)
    if wrong and _wants_native_histogram(window, expression):
        raise Unsupported("native histograms are not supported: this load makes some from classic buckets")
    return wrong


def _wants_native_histogram(window: Window, expression: Expression) -> bool:
    """Whether it selects `x` where only `x_bucket` was loaded: upstream converts those while loading."""
    names = set(window.metric_names())
    wanted = {m.value for matchers in expression.selectors for m in matchers if m.name == NAME}
    return any(name not in names and f"{name}_bucket" in names for name in wanted)


def _moments(kind: str, rest: str) -> tuple[range, str]:
    if kind == "instant":
        instant = _INSTANT.fullmatch(rest)
        if instant is None:
            raise Unreadable(rest)
        at = _milliseconds(instant[1])
        return range(at, at + 1), instant[2]
    found = _RANGE.fullmatch(rest)
    if found is None:
        raise Unreadable(rest)
    start, end, step = (_milliseconds(found[k]) for k in (1, 2, 3))
    return range(start, end + 1, step), found[4]


_Points = dict[int, float]
_Rows = dict[Labels | None, _Points]


def _answers(window: Window, expression: Expression, kind: str, moments: range, notes: Notes) -> _Rows | str:
    """Of each label set its values by time, in the order of the answer; a number stands under None."""
    if kind == "range":
        matrix = expression.evaluate_range(window, moments.start, moments[-1], moments.step, notes=notes)
        rows = _points(matrix)
        return {None: rows[Labels()]} if expression.type == "scalar" else rows
    answer = expression.evaluate(window, moments.start, notes=notes)
    if isinstance(answer, str):
        return answer
    if isinstance(answer, Scalar):
        return {None: {moments.start: answer.value}}
    if isinstance(answer, Matrix):
        return _points(answer)
    pairs = zip(answer.labels, answer.values.tolist(), strict=True)
    return {labels: {moments.start: number} for labels, number in pairs}


def _points(matrix: Matrix) -> _Rows:
    return {
        labels: dict(zip(times.tolist(), values.tolist(), strict=True))
        for labels, times, values in matrix.series()
    }


def _difference(expected: _Expected, actual: _Rows | str, moments: range) -> str:
    if isinstance(actual, str) or expected.string is not None:
        return "" if actual == expected.string else f"got {actual!r}"
    wanted: _Rows = {labels: _at(values, moments) for labels, values in expected.rows.items()}
    if expected.scalar is not None:
        values = expected.scalar
        wanted = {None: _at(values * len(moments) if len(values) == 1 else values, moments)}
    if wanted.keys() != actual.keys():
        return f"rows differ: expected {sorted(map(str, wanted))}, got {sorted(map(str, actual))}"
    if expected.ordered and list(wanted) != list(actual):
        return f"order differs: expected {list(map(str, wanted))}, got {list(map(str, actual))}"
    for labels, points in wanted.items():
        given = actual[labels]
        if points.keys() != given.keys() or not all(_close(points[at], given[at]) for at in points):
            return f"{labels}: expected {points}, got {given}"
    return ""


def _at(values: list[float | None], moments: range) -> _Points:
    """The values by time; what is left out at the end is missing. Raises Unreadable for too many."""
    if len(values) > len(moments):
        raise Unreadable(f"{len(values)} values for {len(moments)} moments")
    return {at: value for at, value in zip(moments, values, strict=False) if value is not None}


def _close(one: float, other: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return one == other or math.isclose(one, other, rel_tol=_TOLERANCE)


def run(folder: Path) -> Outcome:
    """Run every `*.test` file of a folder."""
    outcome = Outcome()
    for path in sorted(folder.glob("*.test")):
        outcome.add(run_file(path))
    return outcome


def main(arguments: list[str]) -> int:
    """Print what failed and the counts; exit status 1 if anything failed, 2 if there is nothing to run."""
    folders = [Path(argument) for argument in arguments if not argument.startswith("-")]
    if len(folders) != 1 or not any(folders[0].glob("*.test")):
        print(f"usage: python -m tests.conformance.promql DIR [--json]; no *.test files in {arguments}")
        return 2
    outcome = run(folders[0])
    for line in outcome.failed:
        print(f"failed: {line}")
    for line in outcome.unsupported:
        print(f"unsupported: {line}")
    for line in outcome.annotations_missed:
        print(f"annotation: {line}")
    counts = {
        "passed": outcome.passed,
        "failed": len(outcome.failed),
        "unsupported": len(outcome.unsupported),
        "annotations_missed": len(outcome.annotations_missed),
    }
    print(json.dumps(counts) if "--json" in arguments else ", ".join(f"{n} {k}" for k, n in counts.items()))
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
