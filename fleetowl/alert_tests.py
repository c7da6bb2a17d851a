"""What `alerts test` says: of each file whether all came out as expected, or how it differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analyzer.alert_tests.document import load_test_file
from analyzer.alert_tests.running import Failure, run_tests
from fleetowl import tables
from fleetowl.alerting_file import load_alerting
from fleetowl.simulate import hush
from fleetowl.visible import visible
from model.settings import ConfigurationError, Problem

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file."""

    path: Path
    tests: int = 0
    failures: tuple[Failure, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether all came out as expected."""
        return not self.failures and not self.problems


def run_alert_tests(paths: Sequence[Path], output: str, say: Say) -> int:
    """Exit status of `alerts test`: 2 if a file cannot be taken, 1 if a test fails.

    Raises ConfigurationError for missing files, and for folders without any.
    """
    files = [file for path in paths for file in _files(path)]
    hush()
    outcomes = [_outcome(path) for path in files]
    if output == "table":
        for outcome in outcomes:
            say(visible("\n".join(_lines(outcome)), keep="\n"))
    else:
        say(tables.FORMS[output](_data(outcomes)))
    if any(outcome.problems for outcome in outcomes):
        return 2
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def _files(path: Path) -> list[Path]:
    """The file, or all tests in a folder and those below it."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ConfigurationError([Problem(str(path), "", "is no file and no folder")])
    found = sorted(one for one in path.rglob("*.test.y*ml") if one.is_file())
    if not found:
        hint = "their names end in .test.yml or .test.yaml"
        raise ConfigurationError([Problem(str(path), "", "has no tests in it", hint)])
    return found


def _outcome(path: Path) -> Outcome:
    try:
        file = load_test_file(path)
        settings, explains = load_alerting(file.config_file)
    except ConfigurationError as error:
        return Outcome(path, problems=error.problems)
    try:
        failures = tuple(run_tests(file, settings, explains))
    except ValueError as error:
        return Outcome(path, problems=(Problem(str(path), "", str(error)),))
    return Outcome(path, len(file.routes) + len(file.tests), failures)


def _lines(outcome: Outcome) -> Iterator[str]:
    yield f"Alert testing:  {outcome.path}"
    if outcome.passed:
        yield f"  SUCCESS ({outcome.tests} tests)"
    else:
        yield "  FAILED:"
        yield from (f"    {problem}" for problem in outcome.problems)
        for failure in outcome.failures:
            yield f"    {failure.test}, {failure.subject}:"
            yield from (f"      - {line}" for line in failure.expected)
            yield from (f"      + {line}" for line in failure.got)
    yield ""


def _data(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    return [
        {
            "file": str(outcome.path),
            "passed": outcome.passed,
            "tests": outcome.tests,
            "failures": [asdict(failure) for failure in outcome.failures],
            "problems": [asdict(problem) for problem in outcome.problems],
        }
        for outcome in outcomes
    ]
