"""The engine: alerts, the window and the cluster go in, intents come out. It reads no clock and does nothing.

    intents = engine.step(now, alerts, query, view)   # decided earlier and on disk: do these
    persist(database, [..., engine])                   # write-ahead
    intents += engine.due(now)                         # decided in this very step, now on disk too
    result = await executor.perform(intent)            # outside the tick
    engine.record(result, now)

A crash anywhere leaves a run that is proposed or acting; the new process hands out its intent again, and
the executor finds in the cluster whether it had been carried out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from model.alert import Alert
from model.decision import Decision, allow, refuse
from model.metric import Sample
from model.moment import SECOND, format_duration
from model.topology import Topology
from runbooks.cases import Cases
from runbooks.cluster import ClusterView
from runbooks.deciding import Case, decide
from runbooks.evidence import Query
from runbooks.following import begin_to_verify, follow, take_back
from runbooks.ledger import AuditEntry, Ledger
from runbooks.model import Budget, Runbook
from runbooks.run import HOLDING, Intent, Outcome, Result, Run, State
from runbooks.settings import RunbookSettings

MAX_ATTEMPTS = 3
RETRY = 10 * SECOND
REFUSED_RETRY = 30 * SECOND


class RunbookEngine:
    """Decides what runbooks do. Durable: all state is in the ledger."""

    def __init__(self, runbooks: Sequence[Runbook], settings: RunbookSettings, topology: Topology) -> None:
        self.runbooks = {runbook.name: runbook for runbook in runbooks}
        self._settings = settings
        self._topology = topology
        self._ledger = Ledger(settings.run_retention)
        self._cases = Cases(self.runbooks, settings, topology, self._ledger)
        self._in_flight: set[str] = set()

    def reconfigure(self, runbooks: Sequence[Runbook], settings: RunbookSettings) -> None:
        """Take other runbooks and settings; runs, waiting audit lines and intents under way stay.

        The result of each intent under way must still come to `record`; where it was broken off, as UNKNOWN.
        """
        self.runbooks = {runbook.name: runbook for runbook in runbooks}
        self._settings = settings
        self._ledger.keep = settings.run_retention
        self._cases = Cases(self.runbooks, settings, self._topology, self._ledger)

    def step(self, now: int, alerts: Iterable[Alert], query: Query, view: ClusterView | None) -> list[Intent]:
        """Decide on every firing alert, verify what was done; returns what is due and on disk."""
        if not self._settings.enabled:
            return []
        if view is not None and now - view.at > self._settings.max_view_age:
            view = None
        cases = self._cases.cases(alerts, query, view, now)
        for case in cases:
            self._decide(case, now)
        self._ledger.close({case.run.id for case in cases}, now)
        for run in list(self._ledger.runs.values()):
            follow(run, self.runbooks.get(run.runbook), query, view, self._ledger, now)
        return self.due(now)

    def due(self, now: int) -> list[Intent]:
        """The intents that are on disk and not yet handed out in this process."""
        if self._settings.paused:
            return []
        return [
            self._hand_out(run, now)
            for run in self._ledger.runs.values()
            if run.state in (State.PROPOSED, State.ACTING)
            and run.id not in self._in_flight
            and self._ledger.settled(run)
            and run.retry_at <= now
        ]

    def record(self, result: Result, now: int) -> None:
        """Note what became of an intent."""
        self._in_flight.discard(result.run)
        run = self._ledger.runs.get(result.run)
        if run is None or run.state is not State.ACTING or run.action != result.action:
            return  # undone or forgotten meanwhile
        outcome, undoing = result.outcome, run.action == "node.uncordon"
        if outcome in (Outcome.APPLIED, Outcome.ALREADY, Outcome.UNKNOWN) and not undoing:
            run.acted_at = run.acted_at or now
        if outcome is Outcome.UNKNOWN:
            self._try_again(run, result.why, now)
        elif outcome in (Outcome.APPLIED, Outcome.ALREADY) and not undoing:
            begin_to_verify(run, self.runbooks.get(run.runbook), result.why, self._ledger, now)
        else:
            run.retry_at = now + REFUSED_RETRY
            self._ledger.move(run, _end(outcome, undoing), result.why, now)

    def needs_view(self, alerts: Iterable[Alert], now: int) -> bool:
        """Whether the next step has a use for the list of nodes; without one the API server is left alone."""
        if not self._settings.enabled:
            return False
        busy = any(run.state in HOLDING for run in self._ledger.runs.values())
        return busy or any(True for _ in self._cases.events(alerts, now))

    def undo(self, run: str, by: str, now: int) -> Decision:
        """Ask for the own changes of a run to be taken back; `by` is who asks."""
        found = self._ledger.runs.get(run)
        if found is None:
            return refuse(f"there is no run {run}")
        if found.dry or found.acted_at is None:
            return refuse(f"run {run} changed nothing: it is {found.state.value} ({found.sentence})")
        if found.action == "node.uncordon" and found.state in (State.ACTING, State.UNDONE):
            return refuse(f"run {run} is {found.state.value}: {found.sentence}")
        if found.id in self._in_flight:
            return refuse(f"run {run} is acting at this moment: ask again when it has its result")
        take_back(found, f"{by} asked to undo it", self._ledger, now)
        return allow(
            f"run {run} will be undone: the cordon of {found.node} is taken back if it is still ours"
        )

    def mode_of(self, runbook: Runbook) -> str:
        """dry-run or auto: its own mode, unless the settings override it."""
        return self._settings.mode or runbook.mode

    @property
    def paused(self) -> str:
        """Who paused remediation, empty while it runs; a pause holds while the configuration says so."""
        return "by the configuration" if self._settings.paused else ""

    def runs(self) -> list[Run]:
        """Every known run, the latest change first."""
        return sorted(self._ledger.runs.values(), key=lambda run: (-run.changed_at, run.id))

    def _decide(self, case: Case, now: int) -> None:
        run = case.run
        if run.state is not State.REFUSED or run.retry_at > now:
            return
        self._follow_mode(case)
        decision = decide(case, self._ledger, self._settings, now)
        if not decision:
            self._ledger.move(run, State.REFUSED, f"refused: {decision}", now)
            return
        run.action = case.runbook.steps[0].action
        would = "would cordon" if run.dry else "cordon"
        self._ledger.move(run, State.PROPOSED, f"{would} {run.node}: {decision}", now)

    def _follow_mode(self, case: Case) -> None:
        """The mode is that of the configuration until something was tried."""
        run, mode = case.run, self.mode_of(case.runbook)
        if run.mode != mode and run.acted_at is None and not run.attempts:
            run.mode = mode
            self._ledger.touch(run)

    def _hand_out(self, run: Run, now: int) -> Intent:
        self._in_flight.add(run.id)
        runbook = self.runbooks.get(run.runbook)
        why = run.sentence
        self._ledger.move(run, State.ACTING, why, now)
        return Intent(
            run=run.id,
            runbook=run.runbook,
            action=run.action,
            node=run.node,
            uid=run.uid,
            dry_run=run.dry,
            budget=runbook.guards.budget if runbook else Budget(),
            look_only=run.action == "node.cordon" and not self._may_still_act(run, now),
            at=now,
            attempt=run.attempts + 1,
            why=why,
        )

    def _try_again(self, run: Run, why: str, now: int) -> None:
        run.attempts += 1
        if run.attempts >= MAX_ATTEMPTS:
            self._ledger.move(run, State.FAILED, f"gave up after {run.attempts} attempts: {why}", now)
            return
        wait = RETRY * 2 ** (run.attempts - 1)
        run.retry_at = now + wait
        sentence = (
            f"attempt {run.attempts} has no certain result ({why}); looking again in {format_duration(wait)}"
        )
        self._ledger.move(run, State.ACTING, sentence, now)

    def _may_still_act(self, run: Run, now: int) -> bool:
        """Not when the alert is over or old, nor when the configuration no longer allows it.

        After a long stop, or a reload, only what was already done is looked up.
        """
        runbook = self.runbooks.get(run.runbook)
        if not self._settings.enabled or not run.open or runbook is None:
            return False
        allowed = run.dry or self.mode_of(runbook) == "auto"
        return allowed and now - run.episode <= runbook.match.max_event_age

    # Durable, audit, metrics.

    @property
    def entries(self) -> Sequence[AuditEntry]:
        """Audit lines that wait to be written, the oldest first."""
        return self._ledger.entries

    def written(self, count: int) -> None:
        """The first `count` of `entries` are in the audit log."""
        del self._ledger.entries[:count]

    @property
    def dirty(self) -> bool:
        """Whether anything changed since the last committed save."""
        return self._ledger.dirty

    def load(self, tx: Connection, now: int) -> None:
        """Take over what was saved; called once, before the first step."""
        self._ledger.load(tx, now)

    def save(self, tx: Connection) -> None:
        """Write what changed."""
        self._ledger.save(tx)

    def saved(self) -> None:
        """The commit succeeded: what it wrote may now be acted upon."""
        self._ledger.saved()

    def samples(self) -> Iterable[Sample]:
        """Its metrics (`runbooks.ledger.METRICS`)."""
        yield from self._ledger.samples()
        yield Sample("fleetowl_runbook_paused", {}, float(self._settings.paused))


def _end(outcome: Outcome, undoing: bool) -> State:
    """Where a run stands when nothing is to be verified."""
    if outcome is Outcome.WOULD:
        return State.DRY_RUN
    if outcome is Outcome.FAILED or (undoing and outcome is Outcome.REFUSED):
        return State.FAILED
    return State.UNDONE if undoing else State.REFUSED
