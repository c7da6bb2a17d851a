"""What `fleetowl rules test` says: of each file whether all came out as expected, or how it differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model.labels import format_labels
from model.moment import format_duration
from model.settings import ConfigurationError, Problem
from rules.unittest.files import files_with_tests, load_tests
from rules.unittest.running import Alerting, Failure, Valued, run_test
from wire.render import format_value

_INDENT = " " * 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: how many tests ran, what failed, and what kept it from running."""

    path: Path
    tests: int = 0
    failures: Sequence[Failure] = ()
    problems: Sequence[Problem] = ()

    @property
    def passed(self) -> bool:
        """Whether all came out as expected."""
        return not self.failures and not self.problems


def run_paths(paths: Iterable[Path]) -> Iterator[Outcome]:
    """Run the files one after the other. Raises ConfigurationError, before the first, for wrong paths."""
    for path in files_with_tests(paths):
        yield run_file(path)


def run_file(path: Path) -> Outcome:
    """Run all tests of a file."""
    try:
        loaded = load_tests(path)
    except ConfigurationError as error:
        return Outcome(path, problems=error.problems)
    failures = [failure for number in range(len(loaded.tests)) for failure in run_test(loaded, number)]
    return Outcome(path, len(loaded.tests), failures)


def as_text(outcome: Outcome) -> str:
    """The outcome as promtool writes it, with the differences marked."""
    lines = [f"Unit Testing:  {outcome.path}"]
    if outcome.passed:
        return "\n".join([*lines, "  SUCCESS", ""])
    lines.append("  FAILED:")
    lines += [f"    {problem}" for problem in outcome.problems]
    for failure in outcome.failures:
        lines += _failure_text(failure)
    return "\n".join([*lines, ""])


def _failure_text(failure: Failure) -> Iterator[str]:
    yield f"    name: {failure.test}, {failure.subject}, time: {format_duration(failure.time)},"
    if failure.error:
        yield f"{_INDENT}err: {failure.error}"
        return
    for word, rows, others, mark in (
        ("exp", failure.expected, failure.got, "-"),
        ("got", failure.got, failure.expected, "+"),
    ):
        yield f"{_INDENT}{word}:" + ("" if rows else " nothing")
        left = Counter(map(_spelled, others))
        for spelled in map(_spelled, rows):
            left[spelled] -= 1
            marked = " " if left[spelled] >= 0 else mark
            for number, line in enumerate(spelled):
                yield f"{_INDENT}  {marked if not number else ' '} {line}"


def _spelled(row: Alerting | Valued) -> tuple[str, ...]:
    """The lines of an alert or a sample."""
    if isinstance(row, Valued):
        return (f"{row.labels} {format_value(row.value)}",)
    annotations = [f"  {name}: {text}" for name, text in sorted(row.annotations.items())]
    return (format_labels(dict(sorted(row.labels.items()))), *annotations)


def as_data(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The same for machines."""
    return {
        "passed": sum(outcome.passed for outcome in outcomes),
        "failed": sum(not outcome.passed for outcome in outcomes),
        "files": [
            {
                "file": str(outcome.path),
                "passed": outcome.passed,
                "tests": outcome.tests,
                "problems": [asdict(problem) for problem in outcome.problems],
                "failures": [_failure_data(failure) for failure in outcome.failures],
            }
            for outcome in outcomes
        ],
    }


def _failure_data(failure: Failure) -> dict[str, Any]:
    return {
        "test": failure.test,
        "subject": failure.subject,
        "time": format_duration(failure.time),
        "error": failure.error,
        "expected": [_row_data(row) for row in failure.expected],
        "got": [_row_data(row) for row in failure.got],
    }


def _row_data(row: Alerting | Valued) -> dict[str, Any]:
    """Values as text, as in Prometheus' API: JSON has no NaN."""
    if isinstance(row, Valued):
        return {"labels": dict(row.labels), "value": format_value(row.value)}
    return {"labels": dict(row.labels), "annotations": dict(row.annotations)}
