"""Finding and reading files of unit tests, and the rule files that they name."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from model.document import read_documents
from model.settings import ConfigurationError, Problem, load_section
from rules.documents import holds_tests
from rules.files import load_rule_file, yaml_files
from rules.group import AlertRule, Rule, RuleGroup
from rules.sidefile import Extras, is_side_file
from rules.unittest.model import UnitTest, UnitTestFile


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file of tests that is ready to run; `groups` in the order of their evaluation."""

    path: Path
    groups: list[RuleGroup]
    tests: tuple[UnitTest, ...]
    step: int
    """How often (ms) the groups are evaluated."""


def files_with_tests(paths: Iterable[Path]) -> list[Path]:
    """The files among `paths`, and those below folders that hold unit tests, by their content.

    Raises ConfigurationError for a path that is not there and for a folder without tests.
    """
    found: list[Path] = []
    problems: list[Problem] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = [file for file in yaml_files(path) if _may_hold_tests(file)]
            if not inside:
                hint = "a file of unit tests has `tests:` at its top"
                problems.append(Problem(str(path), "", "holds no file of unit tests", hint))
            found.extend(inside)
        elif path.exists():
            found.append(path)
        else:
            problems.append(Problem(str(path), "", "does not exist"))
    if problems:
        raise ConfigurationError(problems)
    return list(dict.fromkeys(found))


def _may_hold_tests(path: Path) -> bool:
    """Whether its content says so; a file that cannot be read may, and must not be passed over in silence."""
    try:
        return not is_side_file(path) and holds_tests(next(read_documents(path), None))
    except ConfigurationError:
        return True


def load_tests(path: Path) -> Loaded:
    """The tests of a file with the rules that they need. Raises ConfigurationError with all problems."""
    document = next(read_documents(path), None)
    if not isinstance(document, dict | None):
        raise ConfigurationError([Problem(str(path), "", "is no file of unit tests", "it has `tests:`")])
    if document and "groups" in document and "tests" not in document:
        hint = "check it with `fleetowl rules check`"
        raise ConfigurationError([Problem(str(path), "", "is a rule file, no file of unit tests", hint)])
    file = load_section(UnitTestFile, document or {}, str(path))
    groups = _load_groups(path, file.rule_files)
    order = {name: place for place, name in enumerate(file.group_eval_order)}
    groups.sort(
        key=lambda group: order.get(group.name, 0)
    )  # as promtool: a group not named counts as the first
    return Loaded(path, [_as_tested(group, file.step) for group in groups], file.tests, file.step)


def _load_groups(path: Path, patterns: Iterable[str]) -> list[RuleGroup]:
    groups: list[RuleGroup] = []
    problems: list[Problem] = []
    files: list[Path] = []
    for number, pattern in enumerate(patterns):
        matched = _matching(path.parent, pattern)
        files.extend(matched)
        if not matched:
            message = f"{path.parent / pattern} does not exist"
            hint = "rule files are looked for from the folder of the test file"
            problems.append(Problem(str(path), f"rule_files.{number}", message, hint))
    for file in dict.fromkeys(files):
        try:
            groups.extend(load_rule_file(file))
        except ConfigurationError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigurationError(problems)
    return groups


def _matching(folder: Path, pattern: str) -> list[Path]:
    if (folder / pattern).is_file():
        return [folder / pattern]
    found = sorted(glob.glob(pattern, root_dir=folder, include_hidden=True))
    return [folder / name for name in found]


def _as_tested(group: RuleGroup, step: int) -> RuleGroup:
    """The group as promtool runs it: at each step, whatever its interval, and without the side file.

    What a test says of a rule then holds in Fleetowl and in any Prometheus.
    """
    return replace(group, interval=step, rules=tuple(map(_plain, group.rules)))


def _plain(rule: Rule) -> Rule:
    return replace(rule, extras=Extras()) if isinstance(rule, AlertRule) else rule
