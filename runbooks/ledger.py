"""The runs of the engine: in memory, on disk, and on their way to the audit log.

A run may be acted upon only when its latest change is on disk (`settled`): write-ahead, so that a new
process knows what the old one was about to do.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from model.alert import Alert
from model.labels import format_fingerprint
from model.metric import Metric, Sample
from runbooks.records import load_runs, save_runs
from runbooks.run import Run, State

log = logging.getLogger("fleetowl.runbooks")

METRICS: tuple[Metric, ...] = (
    Metric(
        "fleetowl_runbook_transitions_total",
        "counter",
        "Changes of a run's state or of its sentence, by runbook and new state.",
        ("runbook", "state"),
    ),
    Metric("fleetowl_runbook_open_runs", "gauge", "Runs whose alert still fires, by state.", ("state",)),
    Metric("fleetowl_runbook_paused", "gauge", "1 while remediation is paused."),
    Metric(
        "fleetowl_runbook_audit_waiting",
        "gauge",
        "Audit lines that are decided but not yet on the audit log.",
    ),
)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One decision on its way to the audit log."""

    at: int
    run: str
    runbook: str
    node: str
    uid: str
    mode: str
    state: str
    sentence: str
    incident: str = ""


class Ledger:
    """All runs by id; every change of state goes through `move`."""

    def __init__(self, keep: int) -> None:
        self.runs: dict[str, Run] = {}
        self.entries: list[AuditEntry] = []
        self.keep = keep
        """How long (ms) ended runs are remembered."""
        self._changed: dict[str, int] = {}
        self._dropped: set[str] = set()
        self._writing: tuple[dict[str, int], set[str]] = ({}, set())
        self._moves: Counter[tuple[str, str]] = Counter()

    def add(self, run: Run) -> None:
        """Take up a new run."""
        self.runs[run.id] = run
        self.touch(run)

    def touch(self, run: Run) -> None:
        """Note that a run must be written."""
        self._changed[run.id] = self._changed.get(run.id, 0) + 1

    def move(self, run: Run, state: State, sentence: str, now: int) -> None:
        """Change state or sentence of a run; nothing happens when both are as they were."""
        if (run.state, run.sentence) == (state, sentence):
            return
        run.state, run.sentence, run.changed_at = state, sentence, now
        self.touch(run)
        self._moves[run.runbook, state.value] += 1
        self.note(run, now, sentence)

    def note(self, run: Run, now: int, sentence: str) -> None:
        """An audit line about a run."""
        log.info("%s (%s) %s: %s", run.runbook, run.id, run.state.value, sentence)
        self.entries.append(
            AuditEntry(
                now, run.id, run.runbook, run.node, run.uid, run.mode, run.state.value, sentence, run.incident
            )
        )

    def settled(self, run: Run) -> bool:
        """Whether all that is known of a run is on disk."""
        return run.id not in self._changed

    def opened(self, runbook: str, uid: str) -> Run | None:
        """The open run of a runbook on a target."""
        return next(
            (run for run in self.runs.values() if run.open and run.runbook == runbook and run.uid == uid),
            None,
        )

    def about(self, runbook: str, alert: Alert) -> Run | None:
        """The open run that this alert belongs to."""
        fingerprint = format_fingerprint(alert.fingerprint)
        return next(
            (
                run
                for run in self.runs.values()
                if run.open and run.runbook == runbook and fingerprint in run.alerts
            ),
            None,
        )

    def close(self, kept: Iterable[str], now: int) -> None:
        """End the episodes of all runs but the kept, and forget runs that ended long ago."""
        kept = set(kept)
        for run in list(self.runs.values()):
            if run.open and run.id not in kept:
                run.open = False
                self.touch(run)
            ended = not run.open and run.state not in (State.ACTING, State.VERIFYING)
            if ended and now - run.changed_at > self.keep:
                self._forget(run)

    def _forget(self, run: Run) -> None:
        del self.runs[run.id]
        self._changed.pop(run.id, None)
        self._dropped.add(run.id)

    @property
    def dirty(self) -> bool:
        """Whether anything changed since the last committed save."""
        return bool(self._changed or self._dropped)

    def load(self, tx: Connection, now: int) -> None:
        """Take over the stored runs."""
        self.runs = {run.id: run for run in load_runs(tx)}

    def save(self, tx: Connection) -> None:
        """Write what changed."""
        save_runs(tx, [self.runs[run] for run in self._changed], self._dropped)
        self._writing = (dict(self._changed), set(self._dropped))

    def saved(self) -> None:
        """Forget what the commit has made safe; what changed during the commit stays to be written."""
        changed, dropped = self._writing
        for run, count in changed.items():
            if self._changed.get(run) == count:
                del self._changed[run]
        self._dropped -= dropped

    def samples(self) -> Iterable[Sample]:
        """Its metrics."""
        for (runbook, state), count in self._moves.items():
            yield Sample("fleetowl_runbook_transitions_total", {"runbook": runbook, "state": state}, count)
        states = Counter(run.state.value for run in self.runs.values() if run.open)
        for each in State:
            yield Sample("fleetowl_runbook_open_runs", {"state": each.value}, states[each.value])
        yield Sample("fleetowl_runbook_audit_waiting", {}, len(self.entries))
