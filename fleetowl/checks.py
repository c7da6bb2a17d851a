"""What `check-config` says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alertmanager.settings import AlertmanagerSettings


def check_configuration(path: Path | None) -> Iterator[str]:
    """Load everything that a start would load; a plain alertmanager.yml is known by its keys.

    Raises ConfigurationError with what is wrong.
    """
    from alertmanager.configuration_file import is_alertmanagers, summary
    from analyzer.assembly import prepare
    from fleetowl.configuration import load
    from fleetowl.document import SECTIONS, read
    from incidents.people.policy import Policies

    data = read(path, {}) if path else {}
    if path and is_alertmanagers(data) and data.keys().isdisjoint(SECTIONS):
        yield from _check_alertmanagers(path)
        return
    plan = prepare(load(path))
    rules = sum(len(group.rules) for group in plan.groups)
    yield f"{path or 'the defaults'}: fine"
    yield f"rules: {rules} in {len(plan.groups)} groups; runbooks: {len(plan.runbooks)}"
    yield "; ".join(summary(plan.settings.alertmanager))
    for gap in Policies(plan.settings.incidents.on_call).gaps(time.time_ns() // 1_000_000):
        yield f"warning: {gap}"


def _check_alertmanagers(path: Path) -> Iterator[str]:
    from alertmanager.configuration_file import load_file, load_sound, summary
    from analyzer.assembly import problems_of_alertmanager
    from model.settings import ConfigurationError

    try:
        settings = load_file(path)
    except ConfigurationError as error:
        sound = load_sound(path)
        found = sound.beside(str(path), problems_of_alertmanager(sound.settings)) if sound else ()
        raise ConfigurationError([*error.problems, *found]) from error
    problems = problems_of_alertmanager(settings)
    if problems:
        raise ConfigurationError(problems)
    yield f"{path}: fine ({_model_of(settings)})"
    yield from summary(settings)


def _model_of(settings: AlertmanagerSettings) -> str:
    return "Alertmanager's own model" if settings.plain else "with a part of Fleetowl's"
