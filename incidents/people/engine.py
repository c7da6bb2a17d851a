"""Notifies people of incidents, the next ones while nobody answers.

    people.told(notification, now)           # the route has told a receiver of an incident
    pages = people.step(now, incidents)
    people.settle(pages, dispatcher.page(pages, now), incidents, now)
    persist(database, [..., people, dispatcher])

An incident that no route has told anybody of (silenced, held back, routed nowhere) notifies nobody here.
One whose tier's policy has no steps has no course, until it becomes more urgent or the policy is another.
Each step of each pass is one page to each receiver, under a key of its own; how far an incident has come
is kept in the transaction that keeps the page, so a restart neither leaves out nor repeats one.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from alertmanager.matching import LabelMatch, parse_matchers
from alertmanager.notification import Notification, Page
from incidents.correlation import Incidents
from incidents.incident import Incident
from incidents.people.agenda import Agenda
from incidents.people.course import Course, kept_courses
from incidents.people.digest import Digest
from incidents.people.growth import SETTLE, Growth, Reason, level_of, urgency_of
from incidents.people.messages import alerts_of, bundle, end_page, headline, status_page
from incidents.people.policy import Policies, Reached, channels_for, deadline_for, degraded
from incidents.people.schedule import Times
from incidents.people.settings import OnCallSettings
from incidents.people.told import Told, notified, write
from model.alert import Tier, kind_of
from model.decision import Decision
from model.metric import Metric, Sample
from model.moment import DAY, SECOND, format_duration, whole_seconds

log = logging.getLogger("fleetowl.incidents")

METRICS = (
    Metric(
        "fleetowl_incidents_unacknowledged",
        "gauge",
        "Open incidents that people were notified of and nobody has acknowledged.",
        ("tier",),
    ),
    Metric(
        "fleetowl_escalations_total",
        "counter",
        "Steps of policies that notified people, by what caused them.",
        ("tier", "reason"),
    ),
)
LOOK_AGAIN = 5 * SECOND
"""How often an incident is looked at that a silence covers: nothing says when the silence is over."""

_FIRST = Reason("first", "the incident is open")
_AFTER_QUIET = Reason("quiet", "the quiet hours are over")
_GIVEN_BACK = Reason("unacknowledged", "the acknowledgement was taken back")


class People:
    """Who is notified of which incident; implements Durable."""

    def __init__(self, settings: OnCallSettings) -> None:
        self.escalations: Counter[tuple[str, str]] = Counter()
        self._courses = kept_courses()
        self._fresh: dict[str, Course] = {}
        self._idle: dict[str, Course] = {}  # told, but nobody is to be notified of them
        self._agenda = Agenda()
        self._look_at_all = True
        self._entries: list[Told] = []
        self._gaps: list[str] = []
        self._gaps_at = 0
        self._now = 0
        self.digest = Digest()
        self._configure(settings)

    def reconfigure(self, settings: OnCallSettings) -> None:
        """Take other people and policies; incidents go on where they are."""
        before = self.policies
        self._configure(settings)
        self._gaps_at = 0
        self._look_at_all = True
        for course in self._courses.values():
            ended = course.next_at is None and not course.acknowledged
            if ended and before.of(course.level) != self.policies.of(course.level):
                _new_pass(course)
                course.repeats = 0
            elif not course.quiet:
                continue
            course.next_at = 0
            self._courses.touch(course.incident)

    def told(self, notification: Notification, now: int) -> None:
        """A notification was decided: its receiver will hear of these incidents."""
        if not self.policies.enabled or not notification.firing or notification.is_page:
            return
        for alert in notification.alerts:
            if alert.incident and not alert.resolved_at(now):
                course = self._courses.get(alert.incident) or self._fresh.setdefault(
                    alert.incident, Course(alert.incident, now, alert.tier, alert.tier, {})
                )
                self._hear(course, notification.receiver, kind_of(alert.labels, alert.kind))

    def step(
        self, now: int, incidents: Incidents, silenced: Callable[[int], bool] = lambda fingerprint: False
    ) -> list[Page]:
        """Whom to notify now, in the order of urgency.

        An incident waits while all its alerts that fire are `silenced`, which is asked by fingerprint.
        """
        touched = incidents.touched()
        if not self.policies.enabled:
            self._idle.clear()
            self._look_at_all = True
            return []
        if now < self._now:
            self._clock_went_back(self._now - now)
        self._now = now
        self._warn_of_gaps(now)
        self._hear_of(incidents)
        if self._look_at_all:
            self._look_at_all = False
            touched.update(self._courses, (incident.id for incident in incidents.ordered()))
        self._agenda.changed(touched)
        pages: list[Page] = []
        for course, incident in self._due(incidents, now, pages):
            if incident.firing and all(silenced(one.labels.fingerprint) for one in incident.firing):
                self._agenda.put(incident.id, now + LOOK_AGAIN)
                continue
            pages += self._advance(course, incident, incidents, now)
            pages += self._status(course, incident, incidents, now)
            self._agenda.put(incident.id, self._wake(course, now))
        changed = (one for one in map(incidents.get, sorted(touched)) if one is not None)
        pages += self.digest.step(now, changed, incidents, self.policies, silenced)
        return sorted(_bundled(pages), key=lambda page: page.tier)

    def settle(
        self, pages: Sequence[Page], decisions: Sequence[Decision], incidents: Incidents, now: int
    ) -> None:
        """What became of the pages of this step is known: the timelines say who was notified, and who not."""
        answers = zip(pages, decisions, strict=True)
        refused = {
            page.receiver: decision.why for page, decision in answers if not (decision or page.resolved)
        }
        entries, self._entries = self._entries, []
        write(entries, refused, incidents, now)

    def next_at(self) -> int | None:
        """When (ms) `step` has something to do by the clock alone; None if never."""
        return self._agenda.next_at()

    def duties(self, now: int) -> list[dict[str, str]]:
        """Who is on duty and who is next, by schedule, as JSON."""
        return self.policies.duties(now)

    def samples(self, incidents: Incidents) -> Iterator[Sample]:
        """Own metrics."""
        found = (incidents.get(incident) for incident in self._courses)
        waiting = Counter(one.tier for one in found if one and one.open and one.acknowledged_at is None)
        for tier in Tier:
            yield Sample("fleetowl_incidents_unacknowledged", {"tier": tier.name}, waiting[tier])
        for (name, reason), count in self.escalations.items():
            yield Sample("fleetowl_escalations_total", {"tier": name, "reason": reason}, count)

    @property
    def dirty(self) -> bool:
        """Whether something is not on disk yet."""
        return self._courses.dirty or self.digest.dirty

    def load(self, tx: Connection, now: int) -> None:
        """Go on where the earlier process was."""
        self._courses.load(tx)
        for course in self._courses.values():
            if course.latest > now:  # the clock was set back while nobody looked
                course.set_back(course.latest - now)
                self._courses.touch(course.incident)
        self._fresh.clear()
        self._idle.clear()
        self._agenda, self._look_at_all = Agenda(), True
        self.digest.load(tx)

    def save(self, tx: Connection) -> None:
        """Write what changed."""
        self._courses.save(tx)
        self.digest.save(tx)

    def saved(self) -> None:
        """The commit succeeded."""
        self._courses.saved()
        self.digest.saved()

    def _configure(self, settings: OnCallSettings) -> None:
        self._settings = settings
        self.policies = Policies(settings)
        quiet = settings.quiet_hours
        self._quiet = Times(quiet.times, ZoneInfo(quiet.time_zone))
        core = [LabelMatch(parse_matchers(line)) for line in settings.core_services]
        self._growth = Growth(core, settings.grown_by, settings.p2_limit)
        self.digest.settings = settings.digest

    def _warn_of_gaps(self, now: int) -> None:
        """Said when it changes; looked for once a day, since a schedule may end."""
        if abs(now - self._gaps_at) < DAY:
            return
        self._gaps_at = now
        gaps = self.policies.gaps(now)
        for gap in gaps:
            if gap not in self._gaps:
                log.warning("%s", gap)
        self._gaps = gaps

    def _due(self, incidents: Incidents, now: int, pages: list[Page]) -> Iterator[tuple[Course, Incident]]:
        """The courses that go on, in the order of their incidents; the others end first, with `pages`."""
        open_: list[tuple[str, Incident]] = []
        for name in sorted(self._agenda.take(now)):
            incident = incidents.get(name)
            if incident is not None and incident.open:
                open_.append((name, incident))
            else:
                pages += self._end(name, incident, incidents, now)
        for name, incident in open_:
            course = self._courses.get(name) or self._begun(incident, now)
            if course is not None:
                yield course, incident

    def _end(self, name: str, incident: Incident | None, incidents: Incidents, now: int) -> list[Page]:
        """It is over, or has become part of another, which goes on where it was: nobody is told twice."""
        self._agenda.put(name, None)
        course = self._courses.pop(name, None)
        absorbed = course or self._idle.pop(name, None)
        self._idle.pop(name, None)
        kept = incidents.get(incidents.final(name)) if incident is not None else None
        if absorbed is None or kept is None:
            return []
        if not kept.open:
            return self._ends(absorbed, kept, now)
        known = self._courses.get(kept.id) or self._idle.get(kept.id)
        if course is not None and kept.id not in self._courses:
            idle = self._idle.pop(kept.id, None)
            course.incident, course.root, known = kept.id, "", course
            self._courses[kept.id] = course
            absorbed = idle or course
        if known is not None and known is not absorbed:
            known.absorb(absorbed)
            self._keep(known)
        self._agenda.changed([kept.id])
        return []

    def _ends(self, course: Course, incident: Incident, now: int) -> list[Page]:
        """Whoever was paged hears that it is over, under the incident that the pages named."""
        return [
            end_page(incident, name, receiver, now)
            for name, receivers in course.paged.items()
            for receiver in receivers
        ]

    def _wake(self, course: Course, now: int) -> int | None:
        """When (ms) the clock alone brings something for an incident."""
        started, interval = course.started_at, self._settings.status_interval
        moments = [course.next_at] if course.next_at is not None else []
        moments += [started + SETTLE] if now < started + SETTLE else []
        moments += (
            [started + self._settings.p2_limit] if course.tier is Tier.P2 and not course.overdue else []
        )
        moments += [course.grave_at + (course.statuses + 1) * interval] if course.tier is Tier.P0 else []
        return min(moments, default=None)

    def _clock_went_back(self, by: int) -> None:
        """Nothing may wait for a moment that was near before the clock was set back."""
        self._agenda, self._look_at_all = Agenda(), True
        for course in self._courses.values():
            course.set_back(by)
            self._courses.touch(course.incident)

    def _hear(self, course: Course, receiver: str, kind: str) -> None:
        for known, word in ((course.heard, receiver), (course.kinds, kind)):
            if word and word not in known:
                known.append(word)
                self._keep(course)

    def _keep(self, course: Course) -> None:
        """It has changed; what is idle is not worth a row."""
        if course.incident in self._courses:
            self._courses.touch(course.incident)

    def _hear_of(self, incidents: Incidents) -> None:
        """A route has told somebody of these for the first time."""
        for course in self._fresh.values():
            incident = incidents.get(incidents.final(course.incident))
            if incident is None or not incident.open:
                continue
            known = self._courses.get(incident.id) or self._idle.get(incident.id)
            course.incident = incident.id
            if known is not None:
                known.absorb(course)
                self._keep(known)
            else:
                self._growth.taken(course, incident, course.started_at)
                self._idle[incident.id] = course
            self._agenda.changed([incident.id])
        self._fresh.clear()

    def _begun(self, incident: Incident, now: int) -> Course | None:
        """The course of an incident that somebody was told of, once its policy has steps."""
        course = self._idle.get(incident.id)
        if course is None:
            if incident.told is None:
                return None
            course = Course(incident.id, now, incident.tier, incident.tier, {})
            self._growth.taken(course, incident, now)
            self._idle[incident.id] = course
        grown = replace(course)
        self._growth.taken(grown, incident, now)
        if not self.policies.of(level_of(grown)).steps:
            return None
        course.level = level_of(course)
        course.next_at, course.status_at = course.started_at, course.started_at
        course.grave_at = course.started_at if course.tier is Tier.P0 else 0
        self._courses[incident.id] = self._idle.pop(incident.id)
        return course

    def _advance(self, course: Course, incident: Incident, incidents: Incidents, now: int) -> list[Page]:
        """Bring one incident's course to `now`."""
        given_back = self._follow_answer(course, incident, now)
        reasons = list(self._growth.reasons(course, incident, now))
        if reasons:
            self._take(course, incident, incidents, reasons, now)
            return self._fire(course, incident, incidents, _joined(reasons), now)
        if self._growth.expected(course, incident, now):
            self._growth.taken(course, incident, now)
            self._courses.touch(course.incident)
        if course.next_at is None or course.next_at > now:
            return []
        if course.quiet:
            return self._fire(course, incident, incidents, _AFTER_QUIET, now)
        reason = _GIVEN_BACK if given_back else _why_next(course, now)
        return self._fire(course, incident, incidents, reason, now)

    def _follow_answer(self, course: Course, incident: Incident, now: int) -> bool:
        """Stop for an acknowledgement, begin again when it was taken back, which is True."""
        acknowledged = incident.acknowledged_at is not None
        if acknowledged == course.acknowledged:
            return False
        course.acknowledged = acknowledged
        late = course.quiet and course.overdue  # P1's people hear of it even when somebody has it
        course.quiet = late and acknowledged
        if acknowledged:
            course.next_at = course.next_at if late else None
            self._growth.taken(course, incident, now)
        else:
            _new_pass(course)
            course.next_at = now
        self._courses.touch(course.incident)
        return not acknowledged

    def _take(
        self, course: Course, incident: Incident, incidents: Incidents, reasons: list[Reason], now: int
    ) -> None:
        """The incident is another matter now: whoever has it must look anew, and a graver policy begins."""
        answered = course.acknowledged and any(reason.news for reason in reasons)
        self._growth.taken(course, incident, now)
        level = level_of(course)
        if level < course.level or answered or course.next_at is None:
            _new_pass(course)
            course.repeats = 0
        course.level = level
        if answered:
            course.acknowledged = False
            incidents.unacknowledge(incident.id, "Fleetowl", now, _joined(reasons).sentence)

    def _fire(
        self, course: Course, incident: Incident, incidents: Incidents, reason: Reason, now: int
    ) -> list[Page]:
        """Notify the next step's people."""
        self._courses.touch(course.incident)
        if urgency_of(course) >= Tier.P2 and now in self._quiet:
            course.quiet, course.next_at = True, self._quiet.end_of(now)
            return []
        policy = self.policies.of(course.level)
        if not policy.steps:
            course.next_at = None
            return []
        step = policy.steps[min(course.step, len(policy.steps) - 1)]
        deadline = deadline_for(course.level, course.kinds, degraded(incident))
        reached = self.policies.reached(step, channels_for(course.level, course.kinds), now)
        name = f"escalation:{incident.id}:{course.pass_}:{course.step}"
        title = headline(incident, reason, course.level, deadline)
        first = course.notified_at == 0
        chosen = [one for one in reached if not (first and one.receiver in course.heard)]
        self._say(course, reason, reached, chosen)
        course.notified_at = now
        for one in chosen:
            self._hear(course, one.receiver, "")
            course.reached(one.receiver)
        _next_step(course, len(policy.steps), policy.repeat, now + (step.wait or deadline))
        if course.acknowledged:
            course.next_at = None
        return [self._page(incident, course, f"{name}:{one.receiver}", title, one, reason) for one in chosen]

    def _page(
        self, incident: Incident, course: Course, key: str, title: str, reached: Reached, reason: Reason
    ) -> Page:
        why = f"{incident.id}: {reason.sentence}; {notified(reached)}"
        return Page(key, reached.receiver, title, why, alerts_of(incident), course.level)

    def _say(self, course: Course, reason: Reason, reached: list[Reached], chosen: list[Reached]) -> None:
        """Count it, and write it into the timeline once it is known which pages were taken."""
        self.escalations[(course.level.name, reason.name)] += 1
        course.notified = ", ".join(dict.fromkeys(one.whom or one.receiver for one in reached))
        known = tuple(one.receiver for one in reached if one not in chosen)
        place = f"step {course.step + 1} of {course.level.name}"
        kind = "escalated" if course.notified_at else "paged"
        self._entries.append(Told(course.incident, kind, reason.sentence, tuple(chosen), known, place))

    def _status(self, course: Course, incident: Incident, incidents: Incidents, now: int) -> list[Page]:
        """The state of an open P0, at multiples of the interval; what a restart has missed is not made up."""
        if incident.tier is not Tier.P0:
            return []
        if not course.grave_at:
            course.grave_at = course.started_at if course.statuses else now
        count = (now - course.grave_at) // self._settings.status_interval
        if count <= course.statuses:
            return []
        since, course.statuses, course.status_at = course.status_at, count, now
        self._courses.touch(course.incident)
        timeline = [entry for entry in incidents.timeline(incident.id) if since <= entry.at < now]
        receivers = self._settings.status_receivers or tuple(course.heard)
        for receiver in receivers:
            course.reached(receiver)
        told = tuple(Reached(receiver, "") for receiver in receivers)
        self._entries.append(Told(incident.id, "status", "the state of it", told))
        return [status_page(incident, course, timeline, receiver, since, now) for receiver in receivers]


def _why_next(course: Course, now: int) -> Reason:
    if course.notified_at == 0:
        return _FIRST
    waited = format_duration(whole_seconds(max(0, now - course.notified_at)))
    return Reason("unacknowledged", f"nobody has acknowledged it for {waited}")


def _new_pass(course: Course) -> None:
    course.pass_ += 1
    course.step = 0


def _next_step(course: Course, steps: int, repeat: int | None, at: int) -> None:
    course.quiet = False
    course.step += 1
    course.next_at = at
    if course.step < steps:
        return
    if repeat is not None and course.repeats >= repeat:
        course.next_at = None
        return
    course.repeats += 1
    _new_pass(course)


def _joined(reasons: list[Reason]) -> Reason:
    return reasons[0]._replace(sentence="; ".join(reason.sentence for reason in reasons))


def _bundled(pages: list[Page]) -> Iterator[Page]:
    """What is less urgent than P1 and goes to one receiver at one moment is one message."""
    together: dict[str, list[Page]] = defaultdict(list)
    for page in pages:
        if page.tier >= Tier.P2 and page.key.startswith("escalation:"):
            together[page.receiver].append(page)
        else:
            yield page
    for receiver, found in together.items():
        if len(found) == 1:
            yield found[0]
        else:
            digest = hashlib.sha256("\n".join(page.key for page in found).encode()).hexdigest()[:24]
            yield bundle(f"escalations:{digest}", receiver, found)
