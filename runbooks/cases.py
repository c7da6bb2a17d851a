"""From firing alerts to cases: which runbook, which node, which run, and what is known as evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from model.alert import Alert
from model.decision import refuse
from model.labels import format_fingerprint
from model.moment import format_duration
from model.topology import Topology
from runbooks.cluster import ClusterView, NodeView
from runbooks.deciding import Case
from runbooks.evidence import Query, observe
from runbooks.ledger import Ledger
from runbooks.model import Runbook
from runbooks.run import Run, State, run_id
from runbooks.settings import RunbookSettings
from runbooks.target import Resolution, claims, resolve, variables


class Cases:
    """Joins alerts to runs: one run for each runbook, target and episode, however many alerts there are."""

    def __init__(
        self,
        runbooks: Mapping[str, Runbook],
        settings: RunbookSettings,
        topology: Topology,
        ledger: Ledger,
    ) -> None:
        self._runbooks = runbooks
        self._settings = settings
        self._topology = topology
        self._ledger = ledger

    def events(self, alerts: Iterable[Alert], now: int) -> Iterator[tuple[Runbook, Alert]]:
        """Which runbooks the firing alerts call, the most urgent and oldest alert first."""
        firing = [alert for alert in alerts if not alert.resolved_at(now)]
        for alert in sorted(firing, key=lambda alert: (alert.tier, alert.starts_at, alert.labels)):
            for runbook in self._runbooks.values():
                if runbook.match.accepts(alert):
                    yield runbook, alert

    def cases(self, alerts: Iterable[Alert], query: Query, view: ClusterView | None, now: int) -> list[Case]:
        """What is to be decided: one case a run, its evidence up to date, its newest alert leading."""
        cases: dict[str, Case] = {}
        for runbook, alert in self.events(alerts, now):
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
            mode=self._settings.mode or runbook.mode,
        )
        self._ledger.add(run)
        return run

    def _join(self, run: Run, alert: Alert) -> None:
        fingerprint = format_fingerprint(alert.fingerprint)
        if fingerprint not in run.alerts or (alert.incident and not run.incident):
            run.alerts = sorted({*run.alerts, fingerprint})
            run.incident = run.incident or alert.incident
            self._ledger.touch(run)
