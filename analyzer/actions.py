"""Carries out what runbooks decided, beside the tick; keeps the list of nodes fresh while one is needed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from analyzer.pipeline import Pipeline
from model.moment import SECOND
from runbooks.audit import AuditLog
from runbooks.executor import Executor
from runbooks.kubernetes import KubeWriter
from runbooks.run import Intent, Outcome, Result
from runbooks.settings import RunbookSettings

log = logging.getLogger("fleetowl.analyzer")

VIEW_INTERVAL = 5 * SECOND


class Actions:
    """The effects of the runbooks.

    `now` reads the clock (ms), `acted` takes each result, `wake` asks for a tick at once.
    """

    def __init__(
        self,
        settings: RunbookSettings,
        pipeline: Pipeline,
        now: Callable[[], int],
        acted: Callable[[Result], None],
        wake: Callable[[], None],
    ) -> None:
        self._pipeline = pipeline
        self._now = now
        self._acted = acted
        self._wake = wake
        audit = AuditLog(settings.audit_file) if settings.audit_file is not None else None
        self._executor = Executor(KubeWriter(settings, lambda: pipeline.runbooks.paused), audit)
        self._looking: asyncio.Task[None] | None = None
        self._noting: asyncio.Task[None] | None = None
        self._tasks: dict[asyncio.Task[None], Intent] = {}

    @property
    def trouble(self) -> str:
        """Why the cluster cannot be read, empty while it can."""
        return self._executor.trouble

    def submit(self, intents: Sequence[Intent]) -> None:
        """Start carrying out intents, write the audit lines that wait, look at the cluster if need be."""
        for intent in intents:
            task = asyncio.create_task(self._perform(intent))
            self._tasks[task] = intent
            task.add_done_callback(lambda done: self._tasks.pop(done, None))
        if self._noting is None or self._noting.done():
            self._noting = asyncio.create_task(self._note())
        if self._looking is None or self._looking.done():
            self._look_if_needed()

    async def stop(self, seconds: float) -> None:
        """Wait for what is under way, then let go of the API server and the audit log.

        What is broken off has an unknown outcome: the engine looks at the cluster before it acts again.
        """
        pending = {task for task in (self._looking, self._noting, *self._tasks) if task and not task.done()}
        if pending:
            await asyncio.wait(pending, timeout=seconds)
        broken_off = [intent for task, intent in self._tasks.items() if not task.done()]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for intent in broken_off:
            why = f"{intent.action} {intent.node}: broken off before there was an answer"
            self._acted(Result(intent.run, intent.action, Outcome.UNKNOWN, why))
        await self._executor.close()

    def _look_if_needed(self) -> None:
        now, view = self._now(), self._pipeline.view
        stale = view is None or now - view.at >= VIEW_INTERVAL
        if stale and self._pipeline.runbooks.needs_view(self._pipeline.alerts, now):
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        view = await self._executor.view(self._now())
        if view is not None:
            self._pipeline.view = view
            self._wake()

    async def _perform(self, intent: Intent) -> None:
        result = await self._executor.perform(intent)
        log.info("%s", result.why)
        self._acted(result)

    async def _note(self) -> None:
        entries = self._pipeline.runbooks.entries
        if entries:
            self._pipeline.runbooks.written(await self._executor.note(entries))
