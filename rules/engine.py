"""The engine: steps rule groups at their interval and says which alerts fire.

A group is due when the clock enters the next multiple of its interval; how often it is asked does not
matter. Rules run in order, so that a rule sees what the one before it has recorded, ALERTS included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection

from model.alert import Alert
from model.metric import Sample
from model.moment import SECOND
from rules.active import FIRING, ActiveAlert
from rules.coverage import Coverage
from rules.document import document_of
from rules.evaluation import Evaluator
from rules.group import AlertRule, RuleGroup
from rules.recorder import Recorder
from rules.running import IDLE, GroupState, RuleState, samples_of
from rules.running import METRICS as METRICS
from rules.schedule import Schedule
from rules.settings import RuleSettings
from rules.states import AlertStates, Step
from rules.tables import Unsaved, restored_alerts, restored_flapping
from rules.urgency import tiers_of
from rules.wording import Wording
from telemetry.window import IdRemap, Window


class RuleEngine:
    """Evaluates groups of rules over a window; implements Durable.

    `started_at` (ms) is when this process began to fill the window. `timer` measures how long a rule
    takes, in seconds; without one durations are 0 and nothing is ever put off. `tick` (ms) is the time
    between two steps, of which the rules may take the share `settings.budget`.
    """

    def __init__(
        self,
        window: Window,
        groups: Sequence[RuleGroup],
        started_at: int,
        settings: RuleSettings | None = None,
        timer: Callable[[], float] = lambda: 0.0,
        external_url: str = "",
        tick: int = SECOND,
        external_labels: Mapping[str, str] | None = None,
    ) -> None:
        self._window = window
        self._settings = settings or RuleSettings()
        self._timer = timer
        self._external_url = external_url
        self._external_labels = external_labels
        self._tick = tick
        self._started_at = started_at
        self._unsaved = Unsaved()
        self._orphans: list[tuple[str, ActiveAlert]] = []
        self._retired: list[Recorder] = []
        self._schedule = Schedule(timer, 0.0)
        self._configure(groups)

    def _configure(self, groups: Sequence[RuleGroup]) -> None:
        settings = self._settings
        coverage = Coverage(
            self._window, self._started_at, settings.lookback, settings.default_scrape_interval
        )
        self._evaluator = Evaluator(self._window, settings, coverage, self._unsaved)
        self._wording = Wording(self._external_url, self._external_labels, self._evaluator.ask)
        self._schedule.budget = settings.budget * self._tick / SECOND
        files = {group.file for group in groups}
        self._alike = {
            name for name, count in Counter(Path(file).name for file in files).items() if count > 1
        }
        self.groups = [self._group_state(group) for group in groups]
        for state, tier in zip(self.groups, tiers_of(groups), strict=True):
            state.tier = tier

    def _group_state(self, group: RuleGroup) -> GroupState:
        interval = group.interval or self._settings.evaluation_interval
        target = f"rules/{group.key}"
        # The name of the file is enough, so that alerts outlive a move; unless two files share it.
        name = Path(group.file).name
        place = f"{group.file if name in self._alike else name};{group.name}"
        seen: dict[str, int] = {}
        rules = []
        for rule in group.rules:
            number = seen[rule.name] = seen.get(rule.name, 0) + 1
            key = f"{place};{rule.name};{number}"
            state = RuleState(rule, key, Recorder(self._window, target, interval))
            if isinstance(rule, AlertRule):
                state.states = AlertStates(
                    rule, key, self._settings.default_scrape_interval, self._wording, interval
                )
            rules.append(state)
        return GroupState(group, interval, rules)

    def step(self, now: int) -> list[Alert]:
        """Evaluate the groups that are due at `now` (ms), the most urgent first.

        Answers with all firing alerts, and once with each that has just resolved, its `ends_at` set.
        """
        resolved = [active.alert(ends_at=now) for active in self._drop_orphans()]
        for group in self._schedule.begin(self.groups, now):
            resolved.extend(self._evaluate(group, now))
        self._schedule.end(now)
        self._end_retired(now)
        return [active.alert() for active in self.active() if active.state == FIRING] + resolved

    def _evaluate(self, group: GroupState, now: int) -> list[Alert]:
        """Begin the group, or go on with it where it stopped, as far as the time of this tick goes."""
        resolved: list[Alert] = []
        while True:
            if not self._schedule.may_run(group):
                self._schedule.put_off(group, now)
                return resolved
            if group.place == IDLE:
                self._schedule.enter(group, now)
            if group.place < len(group.rules):
                resolved.extend(self._evaluate_rule(group, group.rules[group.place]))
                group.place += 1
            if group.place >= len(group.rules):
                group.place, group.evaluated_at = IDLE, now
                return resolved

    def _evaluate_rule(self, group: GroupState, rule: RuleState) -> list[Alert]:
        begun = self._timer()
        resolved = self._evaluator.evaluate(group, rule, group.at)
        rule.duration = self._timer() - begun
        group.duration += rule.duration
        return resolved

    def active(self) -> Iterator[ActiveAlert]:
        """All pending and firing alerts."""
        for group in self.groups:
            for rule in group.rules:
                if rule.states is not None:
                    yield from rule.states.active.values()

    def document(self) -> dict[str, Any]:
        """The `data` of `/api/v1/rules`, as Prometheus answers, with Fleetowl's own under `fleetowl`."""
        return document_of(self.groups, self._settings.default_scrape_interval)

    def remap(self, remap: IdRemap) -> None:
        """The window has renumbered its series."""
        for recorder in [*self._recorders(), *self._retired]:
            recorder.remap(remap)

    def _recorders(self) -> Iterator[Recorder]:
        for group in self.groups:
            yield from (rule.recorder for rule in group.rules)

    def _end_retired(self, now: int) -> None:
        """Mark stale what only the rules before a reload recorded, once all groups have run since."""
        if self._retired and all(group.evaluated_at for group in self.groups):
            ids = [recorder.ids for recorder in self._recorders()]
            written = np.concatenate(ids) if ids else np.empty(0, dtype=np.int64)
            for recorder in self._retired:
                recorder.end(now, written)
            self._retired = []

    def reload(
        self,
        groups: Sequence[RuleGroup],
        settings: RuleSettings | None = None,
        external_url: str | None = None,
        external_labels: Mapping[str, str] | None = None,
    ) -> None:
        """Run other groups, with other settings where they are given.

        A rule that is still there keeps its alerts, those of the others resolve.
        """
        self._settings = settings or self._settings
        self._external_url = self._external_url if external_url is None else external_url
        self._external_labels = self._external_labels if external_labels is None else external_labels
        before = {states.key: states for states in self._alert_states(self.groups)}
        self._retired += self._recorders()
        self._configure(groups)
        for states in self._alert_states(self.groups):
            if states.key in before:
                self._unsaved.take(states.key, states.succeed(before.pop(states.key)))
        for states in before.values():
            self._orphans.extend((states.key, active) for active in states.active.values())
            self._unsaved.take(states.key, states.forget_flapping())

    @staticmethod
    def _alert_states(groups: Iterable[GroupState]) -> list[AlertStates]:
        return [rule.states for group in groups for rule in group.rules if rule.states is not None]

    def _drop_orphans(self) -> list[ActiveAlert]:
        orphans, self._orphans = self._orphans, []
        for key, active in orphans:
            self._unsaved.take(key, Step(dropped=[active]))
        return [active for _, active in orphans if active.state == FIRING]

    @property
    def dirty(self) -> bool:
        """Whether an alert changed state since the last committed save."""
        return bool(self._unsaved)

    def load(self, tx: Connection, now: int) -> None:
        """Take over the alerts that were pending or firing; they are held until the window covers them."""
        states = {found.key: found for found in self._alert_states(self.groups)}
        for key, active in restored_alerts(tx):
            if key in states:
                states[key].adopt(active)
            else:
                self._orphans.append((key, active))
        for key, labels, record in restored_flapping(tx):
            if key not in states or not states[key].take_flapping(labels, record):
                self._unsaved.take(key, Step(flapping={labels: None}))

    def save(self, tx: Connection) -> None:
        """Write the alerts that changed state since the last committed save."""
        self._unsaved.write(tx)

    def saved(self) -> None:
        """What `save` wrote is on the disk."""
        self._unsaved.clear()

    def samples(self) -> Iterator[Sample]:
        """What METRICS declares."""
        yield from samples_of(self.groups, list(self.active()), self._schedule.shed)
