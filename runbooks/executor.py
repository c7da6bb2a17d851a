"""Carries out intents: looks at the cluster as it is now, writes the audit line, acts, says what came of it.

It decides nothing but to stop: the guards are checked once more on a fresh list of nodes, and what is
already so is not done again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import asdict

from model.moment import format_moment
from runbooks.audit import AuditLog, AuditUnavailable
from runbooks.cluster import ClusterView, NodeView
from runbooks.errors import Conflict, KubeError, Unanswered, WritesPaused
from runbooks.guards import check_budget
from runbooks.kubernetes import KubeWriter
from runbooks.ledger import AuditEntry
from runbooks.run import Intent, Outcome, Result

log = logging.getLogger("fleetowl.runbooks")

_TRIES_ON_CONFLICT = 2


class Executor:
    """The effects of the engine. One intent at a time: two could each see a budget with room for one."""

    def __init__(self, kube: KubeWriter, audit: AuditLog | None) -> None:
        self._kube = kube
        self._audit = audit
        self._one = asyncio.Lock()
        self.trouble = ""

    async def view(self, now: int) -> ClusterView | None:
        """The cluster at `now` (ms); None if it cannot be read, and `trouble` says why."""
        try:
            nodes = await self._kube.nodes()
        except KubeError as error:
            if str(error) != self.trouble:
                log.warning("the cluster cannot be read: %s", error)
            self.trouble = str(error)
            return None
        self.trouble = ""
        return ClusterView(nodes, now)

    async def perform(self, intent: Intent) -> Result:
        """Carry out an intent. Never raises for the cluster's or the disk's sake: the result says it."""
        async with self._one:
            try:
                outcome, why = await self._perform(intent)
            except WritesPaused as error:
                outcome, why = Outcome.REFUSED, f"refused: {error}"
            except (Unanswered, Conflict) as error:
                outcome, why = Outcome.UNKNOWN, str(error)
            except KubeError as error:
                outcome, why = Outcome.FAILED, f"failed: {error}"
            except AuditUnavailable as error:
                outcome, why = Outcome.REFUSED, f"refused: no audit, no action: {error}"
        return Result(intent.run, intent.action, outcome, why)

    async def note(self, entries: Sequence[AuditEntry]) -> int:
        """Write audit lines; returns how many are on disk. A full disk is logged, the rest waits."""
        if self._audit is None:
            return len(entries)
        audit, done = self._audit, 0
        for entry in list(entries):
            line = {**asdict(entry), "at": format_moment(entry.at)}
            try:
                await asyncio.to_thread(audit.append, line)
            except AuditUnavailable as error:
                log.error("%s; %d lines wait", error, len(entries) - done)
                break
            done += 1
        return done

    async def close(self) -> None:
        """Let go of the API server and of the audit log."""
        await self._kube.close()
        if self._audit is not None:
            self._audit.close()

    async def _perform(self, intent: Intent) -> tuple[Outcome, str]:
        act = self._cordon if intent.action == "node.cordon" else self._uncordon
        for _ in range(_TRIES_ON_CONFLICT - 1):
            try:
                return await act(intent)
            except Conflict:
                log.info("%s changed between reading and writing: looking again", intent.node)
        return await act(intent)

    async def _cordon(self, intent: Intent) -> tuple[Outcome, str]:
        view, node = await self._look(intent)
        if node is None:
            return Outcome.FAILED, f"failed: {intent.node} (uid {intent.uid}) is no longer in the cluster"
        if node.ours(intent.run):
            return Outcome.ALREADY, f"{node.name} already carries the cordon of this run"
        if intent.look_only:
            return (
                Outcome.REFUSED,
                f"refused: {node.name} was not cordoned in time and the alert is over or old",
            )
        if node.unschedulable:
            return Outcome.REFUSED, f"refused: {node.name} was cordoned by {node.cordoned_by} meanwhile"
        budget = check_budget(intent.budget, node, view)
        if not budget:
            return Outcome.REFUSED, f"refused: {budget}"
        if not intent.dry_run:
            await self._write_ahead(intent, node)
        await self._kube.cordon(node, intent.run, dry_run=intent.dry_run)
        if intent.dry_run:
            return Outcome.WOULD, f"dry run: {intent.why}; the API server accepts it, nothing was written"
        return (
            Outcome.APPLIED,
            f"cordoned {node.name} at resourceVersion {node.resource_version}: {intent.why}",
        )

    async def _uncordon(self, intent: Intent) -> tuple[Outcome, str]:
        _, node = await self._look(intent)
        if node is None:
            return (
                Outcome.LEFT,
                f"{intent.node} (uid {intent.uid}) is no longer in the cluster: nothing to undo",
            )
        if not node.ours(intent.run):
            now = f"is cordoned by {node.cordoned_by}" if node.unschedulable else "is not cordoned"
            return Outcome.LEFT, f"{node.name} {now}: that is not this run's doing and is left as it is"
        await self._write_ahead(intent, node)
        await self._kube.uncordon(node)
        return Outcome.APPLIED, f"took back the cordon of {node.name}: {intent.why}"

    async def _look(self, intent: Intent) -> tuple[ClusterView, NodeView | None]:
        view = ClusterView(await self._kube.nodes(), intent.at)
        return view, view.by_uid.get(intent.uid)

    async def _write_ahead(self, intent: Intent, node: NodeView) -> None:
        """The line that stands in the audit log before the cluster is touched."""
        if self._audit is None:
            raise AuditUnavailable("runbooks.audit_file is not set")
        line = {
            "at": format_moment(intent.at),
            "run": intent.run,
            "runbook": intent.runbook,
            "node": node.name,
            "uid": node.uid,
            "state": "writing",
            "attempt": intent.attempt,
            "resource_version": node.resource_version,
            "sentence": f"{intent.action} {node.name}: {intent.why}",
        }
        await asyncio.to_thread(self._audit.append, line)
