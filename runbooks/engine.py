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

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Connection

from model.alert import Alert
from model.decision import Decision, allow, refuse
from model.labels import format_fingerprint
from model.metric import Sample
from model.moment import SECOND, format_duration
from model.topology import Topology
from runbooks.cluster import ClusterView, NodeView
from runbooks.deciding import Case, decide
from runbooks.evidence import Query, holds, observe
from runbooks.ledger import AuditEntry, Ledger
from runbooks.model import Budget, Runbook
from runbooks.run import HOLDING, Intent, Outcome, Result, Run, State, run_id
from runbooks.settings import RunbookSettings
from runbooks.target import Resolution, claims, resolve, variables

MAX_ATTEMPTS = 3
RETRY = 10 * SECOND
REFUSED_RETRY = 30 * SECOND


class RunbookEngine:
    """Decides what runbooks do. Durable: all state is in the ledger."""

    def __init__(self, runbooks: Sequence[Runbook], settings: RunbookSettings, topology: Topology) -> None:
        self.runbooks = {runbook.name: runbook for runbook in runbooks}
        self._settings = settings
        self._topology = topology
        self._ledger = Ledger(settings.keep_runs, "by the configuration" if settings.paused else "")
        self._in_flight: set[str] = set()

    def step(self, now: int, alerts: Iterable[Alert], query: Query, view: ClusterView | None) -> list[Intent]:
        """Decide on every firing alert, verify what was done; returns what is due and on disk."""
        if not self._settings.enabled:
            return []
        view = self._fresh(view, now)
        cases = self._cases(alerts, query, view, now)
        for case in cases:
            self._decide(case, now)
        self._ledger.close({case.run.id for case in cases}, now)
        for run in list(self._ledger.runs.values()):
            self._follow(run, query, view, now)
        return self.due(now)

    def due(self, now: int) -> list[Intent]:
        """The intents that are on disk and not yet handed out in this process."""
        if self._ledger.paused:
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
        outcome = result.outcome
        if outcome in (Outcome.APPLIED, Outcome.ALREADY, Outcome.UNKNOWN) and run.action == "node.cordon":
            run.acted_at = run.acted_at or now
        if outcome is Outcome.UNKNOWN:
            self._try_again(run, result.why, now)
            return
        if outcome is Outcome.REFUSED:
            run.retry_at = now + REFUSED_RETRY
        self._ledger.move(run, self._state_after(run, outcome, now), result.why, now)

    def needs_view(self, alerts: Iterable[Alert], now: int) -> bool:
        """Whether the next step has a use for the list of nodes; without one the API server is left alone."""
        if not self._settings.enabled:
            return False
        busy = any(run.state in HOLDING for run in self._ledger.runs.values())
        return busy or any(True for _ in self._events(alerts, now))

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
        self._take_back(found, f"{by} asked to undo it", now)
        return allow(
            f"run {run} will be undone: the cordon of {found.node} is taken back if it is still ours"
        )

    def pause(self, by: str, now: int) -> Decision:
        """Decide and say, but write nothing, until `resume`; outlives a restart."""
        self._ledger.paused = f"by {by}"
        return allow(f"remediation is paused by {by}: nothing is written to the cluster")

    def resume(self, by: str, now: int) -> Decision:
        """End the pause."""
        if not self._ledger.paused:
            return refuse("remediation is not paused")
        was, self._ledger.paused = self._ledger.paused, ""
        return allow(f"remediation, paused {was}, goes on ({by})")

    def mode_of(self, runbook: Runbook) -> str:
        """dry-run or auto: its own mode, unless the settings override it."""
        return self._settings.mode or runbook.mode

    @property
    def paused(self) -> str:
        """Who paused remediation, empty while it runs."""
        return self._ledger.paused

    def runs(self) -> list[Run]:
        """Every known run, the latest change first."""
        return sorted(self._ledger.runs.values(), key=lambda run: (-run.changed_at, run.id))

    # What one alert leads to.

    def _events(self, alerts: Iterable[Alert], now: int) -> Iterator[tuple[Runbook, Alert]]:
        firing = [alert for alert in alerts if not alert.resolved_at(now)]
        for alert in sorted(firing, key=lambda alert: (alert.tier, alert.starts_at, alert.labels)):
            for runbook in self.runbooks.values():
                if runbook.match.accepts(alert):
                    yield runbook, alert

    def _cases(self, alerts: Iterable[Alert], query: Query, view: ClusterView | None, now: int) -> list[Case]:
        """What is to be decided: one case a run, its evidence up to date, its newest alert leading."""
        cases: dict[str, Case] = {}
        for runbook, alert in self._events(alerts, now):
            resolution = self._resolve(runbook, alert, view)
            run = self._run_of(runbook, alert, resolution)
            self._join(run, alert)
            self._observe(run, runbook, alert, resolution.node, query, now)
            other = cases.get(run.id)
            if other is None or other.alert.starts_at < alert.starts_at:
                cases[run.id] = Case(run, runbook, alert, resolution, view)
        return list(cases.values())

    def _observe(
        self, run: Run, runbook: Runbook, alert: Alert, node: NodeView | None, query: Query, now: int
    ) -> None:
        if node is None or run.state is not State.REFUSED:
            return
        values = variables(alert, runbook.target, node)
        signs = run.observed.setdefault(values["uuid"] or values["node"], {})
        if observe(runbook.evidence, query, values, node, signs, now):
            self._ledger.touch(run)

    def _decide(self, case: Case, now: int) -> None:
        run = case.run
        if run.state is not State.REFUSED or run.retry_at > now:
            return
        decision = decide(case, self._ledger, self._settings, now)
        if not decision:
            self._ledger.move(run, State.REFUSED, f"refused: {decision}", now)
            return
        run.action = case.runbook.steps[0].action
        would = "would cordon" if run.dry else "cordon"
        self._ledger.move(run, State.PROPOSED, f"{would} {run.node}: {decision}", now)

    # Which run an alert belongs to.

    def _fresh(self, view: ClusterView | None, now: int) -> ClusterView | None:
        return view if view is not None and now - view.at <= self._settings.max_view_age else None

    def _resolve(self, runbook: Runbook, alert: Alert, view: ClusterView | None) -> Resolution:
        if view is None:
            age = format_duration(self._settings.max_view_age)
            claimed = ", ".join(claims(alert, runbook.target, self._topology))
            return Resolution(
                None, refuse(f"there is no node list of the last {age} to decide upon"), claimed
            )
        return resolve(alert, runbook.target, self._topology, view)

    def _run_of(self, runbook: Runbook, alert: Alert, resolution: Resolution) -> Run:
        node = resolution.node
        found = (
            self._ledger.opened(runbook.name, node.uid)
            if node is not None
            else self._ledger.about(runbook.name, alert)
        )
        if found is not None:
            return found
        target = node.uid if node is not None else f"alert {format_fingerprint(alert.fingerprint)}"
        known = self._ledger.runs.get(run_id(runbook.name, runbook.metadata.version, target, alert.starts_at))
        if known is not None:  # the episode seemed over, as after a restart, and is not
            known.open = True
            self._ledger.touch(known)
            return known
        return self._open(runbook, alert, resolution, target)

    def _open(self, runbook: Runbook, alert: Alert, resolution: Resolution, target: str) -> Run:
        version = runbook.metadata.version
        run = Run(
            id=run_id(runbook.name, version, target, alert.starts_at),
            runbook=runbook.name,
            version=version,
            node=resolution.node.name if resolution.node else resolution.claimed,
            uid=resolution.node.uid if resolution.node else "",
            episode=alert.starts_at,
            mode=self.mode_of(runbook),
        )
        self._ledger.add(run)
        return run

    def _join(self, run: Run, alert: Alert) -> None:
        fingerprint = format_fingerprint(alert.fingerprint)
        if fingerprint not in run.alerts or (alert.incident and not run.incident):
            run.alerts = sorted({*run.alerts, fingerprint})
            run.incident = run.incident or alert.incident
            self._ledger.touch(run)

    # What follows an action.

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

    def _state_after(self, run: Run, outcome: Outcome, now: int) -> State:
        if outcome is Outcome.WOULD:
            return State.DRY_RUN
        undoing = run.action == "node.uncordon"
        if outcome is Outcome.FAILED or (undoing and outcome is Outcome.REFUSED):
            return State.FAILED
        if undoing:
            return State.UNDONE
        if outcome is Outcome.REFUSED:
            return State.REFUSED
        runbook = self.runbooks.get(run.runbook)
        run.verify_until = now + (runbook.verify.within if runbook else 0)
        return State.VERIFYING

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

    def _follow(self, run: Run, query: Query, view: ClusterView | None, now: int) -> None:
        if run.dry or view is None or view.at <= run.changed_at:
            return  # a list of nodes from before the change says nothing about it
        node = view.by_uid.get(run.uid)
        stray = run.state in (State.REFUSED, State.FAILED) and run.action == "node.cordon"
        if stray and node is not None and node.ours(run.id):
            run.acted_at = run.acted_at or now
            run.verify_until = now
            self._ledger.move(run, State.VERIFYING, f"the cordon of {run.node} was applied after all", now)
        elif run.state is State.VERIFYING:
            self._verify(run, node, query, now)

    def _verify(self, run: Run, node: NodeView | None, query: Query, now: int) -> None:
        runbook = self.runbooks.get(run.runbook)
        if node is None:
            self._ledger.move(run, State.FAILED, f"{run.node} (uid {run.uid}) left the cluster", now)
        elif not node.ours(run.id):
            who = node.cordoned_by if node.unschedulable else "someone else"
            sentence = f"{who} changed the cordon of {run.node} meanwhile: left as it is, and the run is over"
            self._ledger.move(run, State.UNDONE, sentence, now)
        elif runbook is None:
            self._ledger.move(
                run, State.DONE, f"{run.node} is cordoned; its runbook is no longer loaded", now
            )
        else:
            self._verify_all(run, runbook, node, query, now)

    def _verify_all(self, run: Run, runbook: Runbook, node: NodeView, query: Query, now: int) -> None:
        values = {"node": run.node, "uuid": next(iter(run.observed), ""), "gpu": ""}
        checks = {one.text: holds(one, query, values, node) for one in runbook.verify.all}
        failing = [f"{text}: {decision}" for text, decision in checks.items() if not decision]
        if not failing:
            self._ledger.move(run, State.DONE, f"cordoned {run.node} and verified: {', '.join(checks)}", now)
        elif run.verify_until is not None and now > run.verify_until:
            within = format_duration(runbook.verify.within)
            self._take_back(run, f"not verified within {within} ({'; '.join(failing)})", now)

    def _take_back(self, run: Run, why: str, now: int) -> None:
        run.action, run.attempts, run.retry_at = "node.uncordon", 0, 0
        self._ledger.move(run, State.ACTING, f"undo the cordon of {run.node}: {why}", now)

    def _may_still_act(self, run: Run, now: int) -> bool:
        """Not when the alert is over or old: after a long stop only what was already done is looked up."""
        runbook = self.runbooks.get(run.runbook)
        return run.open and runbook is not None and now - run.episode <= runbook.match.max_event_age

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
        return self._ledger.samples()
