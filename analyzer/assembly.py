"""From settings to a pipeline that is ready to run: files are loaded, state is restored."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from alertmanager.backlog import SCHEMA as INTAKE
from alertmanager.receivers.check import problems_of_receivers
from alertmanager.record_tables import SCHEMA as RECORDS
from alertmanager.settings import AlertmanagerSettings
from alertmanager.settings.support import problems_of_kinds
from alertmanager.silences.tables import SCHEMA as SILENCES
from alertmanager.tables import SCHEMA as ALERTMANAGER
from analyzer.ack_key import ack_key
from analyzer.central import CentralSettings
from analyzer.deadman.peers import SCHEMA as DEADMAN
from analyzer.deadman.settings import problems_of_dead_man
from analyzer.inventory import SCHEMA as ANALYZER
from analyzer.pipeline import Pipeline
from analyzer.snapshots import SCORES, SNAPSHOT
from analyzer.waiting import Told
from detectors.compiled import keep_compiled
from detectors.engine import Scoring
from detectors.feedback.tables import SCHEMA as FEEDBACK
from incidents.people.check import problems_of_on_call
from incidents.people.course import SCHEMA as PEOPLE
from incidents.people.link import AckLinks
from incidents.tables import SCHEMA as INCIDENTS
from model.moment import SECOND, format_duration
from model.settings import ConfigurationError, Problem
from rules.files import load_rule_files
from rules.group import RuleGroup
from rules.packs import shipped
from rules.tables import SCHEMA as RULES
from runbooks.library import shipped as shipped_runbooks
from runbooks.model import Runbook, load_runbooks
from runbooks.records import SCHEMA as RUNBOOKS
from store.database import Database
from store.durable import restore
from store.errors import SchemaTooNew, StoreUnavailable
from store.opening import open_database
from telemetry import snapshot
from telemetry.window import Window

log = logging.getLogger("fleetowl.analyzer")

AUDIT = "audit.jsonl"
COMPILED = "compiled"
SCHEMAS = (
    ANALYZER,
    FEEDBACK,
    RULES,
    ALERTMANAGER,
    SILENCES,
    INTAKE,
    RECORDS,
    INCIDENTS,
    PEOPLE,
    DEADMAN,
    RUNBOOKS,
)


@dataclass(frozen=True)
class Plan:
    """What the settings name in files, loaded and checked."""

    settings: CentralSettings
    groups: list[RuleGroup]
    runbooks: list[Runbook]


def prepare(settings: CentralSettings) -> Plan:
    """Load the rule files and runbooks. Raises ConfigurationError with everything that is wrong in them."""
    problems: list[Problem] = []
    groups: list[RuleGroup] = []
    runbooks: list[Runbook] = []
    rules = settings.rules
    try:
        paths = [*(shipped(rules.profile) if rules.shipped else ()), *rules.files]
        groups = load_rule_files(paths, settings.telemetry.retention)
    except ConfigurationError as error:
        problems += error.problems
    _say_flaws(groups)
    own = settings.runbooks
    try:
        runbooks = load_runbooks([*([shipped_runbooks()] if own.shipped else ()), *own.files])
    except ConfigurationError as error:
        problems += error.problems
    problems += problems_between(settings)
    if problems:
        raise ConfigurationError(problems)
    return Plan(with_audit_file(settings), groups, runbooks)


def problems_between(settings: CentralSettings) -> list[Problem]:
    """What is wrong with settings that are each right in itself: with what they name, and with each other."""
    names = [receiver.name for receiver in settings.alertmanager.receivers]
    return [
        *problems_of_alertmanager(settings.alertmanager, settings.file),
        *problems_of_rest(settings, names),
    ]


def problems_of_rest(settings: CentralSettings, receivers: Collection[str] | None) -> Iterator[Problem]:
    """The same of all sections but alertmanager, whose receivers' names are given; None: not known."""
    yield from _problems_of_files(settings, settings.file)
    yield from problems_of_dead_man(settings.analyzer.dead_man, settings.file)
    if receivers is not None:
        mute = [one.name for one in settings.alertmanager.receivers if not any(one.integrations())]
        yield from problems_of_on_call(settings.incidents.on_call, receivers, settings.file, mute=mute)


def problems_of_own_files(settings: CentralSettings) -> Iterator[Problem]:
    """What is wrong in the rule files and runbooks that the settings name."""
    for load in (
        lambda: load_rule_files(settings.rules.files, settings.telemetry.retention),
        lambda: load_runbooks(settings.runbooks.files),
    ):
        try:
            load()
        except ConfigurationError as error:
            yield from error.problems


def problems_of_alertmanager(settings: AlertmanagerSettings, file: str = "configuration") -> list[Problem]:
    """What is wrong with receivers beyond their settings, each with the file that it stands in."""
    own = settings.config_file is None
    place = (file, "alertmanager") if own else (str(settings.config_file), "")
    found = [*problems_of_kinds(settings, *place), *problems_of_receivers(settings, *place)]
    # Alertmanager reads the file of a secret when it notifies: such a file may come later.
    later = [] if own else [problem for problem in found if problem.key.endswith("_file")]
    for problem in later:
        log.warning("%s; the receiver cannot be notified until it can", problem)
    return [problem for problem in found if problem not in later]


def _say_flaws(groups: list[RuleGroup]) -> None:
    """Rules that cannot work here do not keep the others from running, so the log must name them."""
    for group in groups:
        for rule in group.rules:
            if rule.flaw:
                place = f"{group.file}: group {group.name}, {rule.name}"
                log.warning("%s fails, the other rules run: %s", place, rule.flaw)


def with_audit_file(settings: CentralSettings) -> CentralSettings:
    """Settings whose audit log is in the state directory unless another place is given."""
    if settings.runbooks.audit_file is not None:
        return settings
    path = settings.analyzer.state_directory / AUDIT
    return settings.model_copy(update={"runbooks": settings.runbooks.model_copy(update={"audit_file": path})})


def _problems_of_files(settings: CentralSettings, file: str) -> list[Problem]:
    """What can be known to be missing before anything is started."""
    found = []
    own, runbooks = settings.analyzer, settings.runbooks
    if own.token_file is not None and not own.token_file.is_file():
        hint = "write the token into it"
        found.append(Problem(file, "analyzer.token_file", f"{own.token_file} is not a file", hint))
    if runbooks.enabled and runbooks.kubeconfig is not None and not runbooks.kubeconfig.is_file():
        message = f"{runbooks.kubeconfig} is not a file"
        hint = "without runbooks.kubeconfig the pod's own service account is used"
        found.append(Problem(file, "runbooks.kubeconfig", message, hint))
    if own.database is not None:
        try:
            make_url(own.database).get_dialect().import_dbapi()
        except (ArgumentError, NoSuchModuleError) as error:
            hint = "write for example postgresql+psycopg://user@host/fleetowl"
            found.append(Problem(file, "analyzer.database", str(error), hint))
        except ImportError as error:
            hint = "install the driver into Fleetowl's environment"
            found.append(Problem(file, "analyzer.database", f"its driver is missing: {error}", hint))
    return found


def assemble(plan: Plan, now: int, timer: Callable[[], float] = lambda: 0.0) -> Pipeline:
    """A pipeline with the state that an earlier process left. Raises ConfigurationError for a newer state.

    `timer` (seconds) is for a pipeline in real time; see Pipeline.
    """
    settings = plan.settings
    window, scoring, window_end = _restore_window(settings, now)
    database, lasting = _open(settings, now)
    pipeline = Pipeline(settings, plan.groups, plan.runbooks, window, scoring, database, now, timer)
    pipeline.lasting, pipeline.window_end = lasting, window_end
    pipeline.links = AckLinks(ack_key(settings.analyzer.state_directory))
    restore(database, pipeline.rooms, now)
    return pipeline


def make_ready(settings: CentralSettings, told: Told = lambda done, of: None) -> None:
    """Compile the detectors of this configuration, or load what an earlier start has compiled.

    `told` hears how many of how many parts are ready.
    """
    log.info("the detectors are made ready; the first start on a machine compiles them: a minute or two")
    scoring = Scoring(Window(), settings.detectors)
    warm_up(scoring, settings.analyzer.state_directory, time.perf_counter, told)


def warm_up(
    scoring: Scoring,
    state_directory: Path,
    timer: Callable[[], float],
    told: Told = lambda done, of: None,
) -> None:
    """Compile the detectors before the first tick, or load them; `timer` in seconds."""
    began = timer()
    keep_compiled(state_directory / COMPILED)
    scoring.warm(told)
    if timer() - began > 1:
        log.info("the detectors were compiled or loaded in %.1f s", timer() - began)


def _restore_window(settings: CentralSettings, now: int) -> tuple[Window, Scoring, int]:
    """Window and detectors as the last snapshot has them and its time (ms), or empty ones and 0."""
    path = settings.analyzer.state_directory / SNAPSHOT
    own = settings.telemetry
    if path.exists():
        try:
            frozen = snapshot.read(path)
            window = snapshot.thaw(frozen, own.retention, own.window)
        except snapshot.SnapshotError as error:
            log.warning("the window starts empty: %s cannot be used: %s", path, error)
        else:
            scoring = Scoring(window, settings.detectors)
            age = format_duration(max(0, now - frozen.taken_at) // SECOND * SECOND)
            log.info("the window of %s ago is back; %s", age, scoring.restore(frozen.of(SCORES)))
            return window, scoring, frozen.taken_at
    window = Window(own.retention, own.window)
    return window, Scoring(window, settings.detectors), 0


def _open(settings: CentralSettings, now: int) -> tuple[Database, bool]:
    """The state database, and whether what it holds outlives the process."""
    url = settings.analyzer.database_url()
    try:
        database, decision = open_database(url, now)
        log.info("%s", decision)
        for schema in SCHEMAS:
            database.create(schema)
    except SchemaTooNew as error:
        name = make_url(url).render_as_string(hide_password=True)
        raise ConfigurationError([Problem(name, "", str(error))]) from error
    except (StoreUnavailable, OSError) as error:
        log.error("there is no state database: %s; going on in memory, a restart will forget", error)
        database = Database("sqlite://")
        for schema in SCHEMAS:
            database.create(schema)
        return database, False
    return database, True
