"""Runs recorded alerts through the alerting rooms in virtual time."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from alertmanager.notification import Outcome
from alertmanager.settings import AlertmanagerSettings
from alertmanager.silences.silence import Draft, RefusedSilence
from analyzer.alerting import Alerting, Explains, compose
from analyzer.central import CentralSettings
from analyzer.simulation.ablation import without
from analyzer.simulation.history import History, Line
from analyzer.simulation.refreshes import Refreshes
from analyzer.simulation.result import Result
from analyzer.simulation.verdict import Sent, Verdicts
from analyzer.simulation.world import known_before
from incidents.settings import IncidentSettings
from model.moment import DAY, MINUTE

TAKEN = Outcome(ok=True, retry=False, answer="simulated")

_FOR_EVER = 100 * 365 * DAY


class Simulation:
    """Alerting over a history, as these settings would have it; every receiver takes everything at once.

    Time jumps from one moment at which something is due to the next, at the multiples of the tick. With
    `fill` an alert that the history shows to go on is repeated meanwhile (refreshes.py). `off` leaves
    stages out, by the names in ablation.py.
    """

    def __init__(
        self,
        settings: CentralSettings | AlertmanagerSettings,
        explains: Explains | None = None,
        *,
        incidents: IncidentSettings | None = None,
        off: Collection[str] = (),
        silences: Sequence[Draft] = (),
        fill: bool = True,
    ) -> None:
        self.settings = without(_central(settings, incidents), off)
        self._explains: Explains = explains or {}
        self._off = tuple(off)
        self._silences = tuple(silences)
        self._fill = fill

    def run(self, history: History, until: int | None = None) -> Result:
        """What would have been sent until then (ms); unless given, until the last line has been told of."""
        lines = history.lines
        if not lines:
            return Result((), (), 0, 0, 0, 0, history.warnings, self._off)
        begin = self._ticked(lines[0].at)
        run = self._begin(lines, begin)
        end = self._ticked(lines[-1].at + self._settling()) if until is None else until
        place, now = 0, begin
        while now <= end:
            first = place
            while place < len(lines) and lines[place].at <= now:
                place += 1
            run.step(now, first, lines[first:place])
            coming = run.next_at(lines[place].at if place < len(lines) else None)
            if coming is None:
                break
            now = max(self._ticked(coming), now + self.settings.analyzer.tick)
        run.verdicts.close(end)
        return Result(
            sent=tuple(run.sent),
            verdicts=tuple(run.verdicts),
            lines=len(lines),
            began_at=begin,
            ended_at=end,
            incidents=sum(run.alerting.incidents.opened.values()),
            warnings=(*history.warnings, *run.warnings),
            off=self._off,
        )

    def _begin(self, lines: Sequence[Line], begin: int) -> _Run:
        timeout = self.settings.alertmanager.global_.resolve_timeout
        heard_for = min(timeout, self.settings.incidents.resolve_timeout)
        interval = max(self.settings.analyzer.tick, heard_for // 2)
        feed = known_before((line.alert.labels for line in lines), _FOR_EVER, begin)
        verdicts = Verdicts(timeout)
        alerting = compose(
            self.settings, feed.topology, self._explains, feed=feed, ledger=verdicts, off=self._off
        )
        run = _Run(alerting, verdicts, Refreshes(lines if self._fill else (), interval))
        for draft in self._silences:
            run.silence(draft, begin)
        return run

    def _settling(self) -> int:
        """How long (ms) after its last line a history may still be told of."""
        waits = []
        todo = [self.settings.alertmanager.route]
        while todo:
            route = todo.pop()
            waits.append((route.group_wait or 0) + (route.group_interval or 0))
            todo += route.routes
        return max(waits) + 2 * MINUTE

    def _ticked(self, at: int) -> int:
        """The first tick at which `at` (ms) has come."""
        tick = self.settings.analyzer.tick
        return -(-at // tick) * tick


class _Run:
    """One history on its way through the rooms."""

    def __init__(self, alerting: Alerting, verdicts: Verdicts, refreshes: Refreshes) -> None:
        self.alerting = alerting
        self.verdicts = verdicts
        self.sent: list[Sent] = []
        self.warnings: list[str] = []
        self._refreshes = refreshes

    def silence(self, draft: Draft, begin: int) -> None:
        """Take a silence; one that ended before the history began says nothing here."""
        if draft.ends_at <= begin:
            return
        try:
            self.alerting.silences.set(draft, begin)
        except RefusedSilence as error:
            self.warnings.append(f"a silence was left out: {error}")

    def step(self, now: int, first: int, lines: Sequence[Line]) -> None:
        """One tick; `lines` came in since the one before, the first of them at place `first`."""
        alerts = self._refreshes.due(now)
        for alert in alerts:
            self.verdicts.refreshed(alert, now)
        for place, line in enumerate(lines, first):
            self.verdicts.take(line)
            self._refreshes.took(place, line)
            alerts.append(line.alert)
        placed = self.alerting.correlate(now, alerts)
        for alert in placed:
            self.verdicts.placed(alert)
        for notification in self.alerting.notify(now, placed):
            self.sent.append(self.verdicts.sent(notification, now))
            self.alerting.answered(notification, TAKEN, now)
        for room in self.alerting.rooms:
            room.saved()  # there is no disk: what closed leaves the memory all the same

    def next_at(self, line: int | None) -> int | None:
        """When (ms) something is due: the next line, a repetition, or what the rooms wait for."""
        moments = (line, self._refreshes.next_at(), self.alerting.next_at())
        return min((moment for moment in moments if moment is not None), default=None)


def simulate(
    history: History,
    settings: CentralSettings | AlertmanagerSettings,
    explains: Explains | None = None,
    *,
    incidents: IncidentSettings | None = None,
    off: Collection[str] = (),
    silences: Sequence[Draft] = (),
    until: int | None = None,
) -> Result:
    """What these settings would have sent for this history."""
    simulation = Simulation(settings, explains, incidents=incidents, off=off, silences=silences)
    return simulation.run(history, until)


def _central(
    settings: CentralSettings | AlertmanagerSettings, incidents: IncidentSettings | None
) -> CentralSettings:
    if isinstance(settings, AlertmanagerSettings):
        settings = CentralSettings(alertmanager=settings)
    return settings if incidents is None else settings.model_copy(update={"incidents": incidents})
