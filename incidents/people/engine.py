"""Notifies people of incidents, the next ones while nobody answers.

    people.told(notification, now)           # the route has told a receiver of an incident
    pages = people.step(now, incidents)      # dispatcher.page(pages, now) must follow
    persist(database, [..., people, dispatcher])

An incident that no route has told anybody of (silenced, held back, routed nowhere) notifies nobody here.
Each step of each pass is one page to each receiver, under a key of its own; how far an incident has come
is kept in the transaction that keeps the page, so a restart neither leaves out nor repeats one.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from alertmanager.matching import LabelMatch, parse_matchers
from alertmanager.notification import Notification, Page
from incidents.correlation import Incidents
from incidents.incident import Incident
from incidents.people.course import Course, kept_courses
from incidents.people.digest import Digest
from incidents.people.growth import SETTLE, Growth, Reason, level_of
from incidents.people.messages import alerts_of, bundle, headline, status_page
from incidents.people.policy import Policies, Reached, channels_for, deadline_for, degraded
from incidents.people.schedule import Times
from incidents.people.settings import OnCallSettings
from model.alert import Tier, kind_of
from model.metric import Metric, Sample
from model.moment import DAY, format_duration, whole_seconds

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
_NEVER = 1 << 62
_FIRST = Reason("first", "the incident is open")
_AFTER_QUIET = Reason("quiet", "the quiet hours are over")
_GIVEN_BACK = Reason("unacknowledged", "the acknowledgement was taken back")


class People:
    """Who is notified of which incident; implements Durable."""

    def __init__(self, settings: OnCallSettings) -> None:
        self.escalations: Counter[tuple[str, str]] = Counter()
        self._courses = kept_courses()
        self._fresh: dict[str, Course] = {}
        self._seen: dict[str, tuple[object, int]] = {}
        self._gaps: list[str] = []
        self._gaps_at = 0
        self._now = 0
        self.digest = Digest()
        self._configure(settings)

    def reconfigure(self, settings: OnCallSettings) -> None:
        """Take other people and policies; incidents go on where they are."""
        self._configure(settings)
        self._gaps_at = 0
        self._seen.clear()
        for course in self._courses.values():
            if course.quiet:
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
        if not self.policies.enabled:
            return []
        if now < self._now:
            self._clock_went_back(self._now - now)
        self._now = now
        self._warn_of_gaps(now)
        self._begin(incidents)
        pages: list[Page] = []
        for course, incident in self._open(incidents):
            if self._calm(course, incident, now):
                continue
            if incident.firing and all(silenced(one.labels.fingerprint) for one in incident.firing):
                continue
            pages += self._advance(course, incident, incidents, now)
            pages += self._status(course, incident, incidents, now)
            self._seen[incident.id] = (_mark(incident), self._wake(course, now))
        pages += self.digest.step(now, incidents, self.policies)
        return sorted(_bundled(pages), key=lambda page: page.tier)

    def next_at(self) -> int | None:
        """When (ms) `step` has something to do by the clock alone; None if never."""
        moments = (self._wake(course, self._now) for course in self._courses.values())
        return min((moment for moment in moments if moment < _NEVER), default=None)

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
        self._fresh.clear()
        self._seen.clear()
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

    def _open(self, incidents: Incidents) -> Iterator[tuple[Course, Incident]]:
        """The courses that go on, in the order of their incidents; the others end first."""
        for course in list(self._courses.values()):
            incident = incidents.get(course.incident)
            if incident is None or not incident.open:
                self._end(course, incident, incidents)
        for name in sorted(self._courses):
            found = incidents.get(name)
            if found is not None:
                yield self._courses[name], found

    def _end(self, course: Course, incident: Incident | None, incidents: Incidents) -> None:
        """It is over, or has become part of another, which goes on where it was: nobody is told twice."""
        del self._courses[course.incident]
        self._seen.pop(course.incident, None)
        kept = incidents.get(incidents.final(course.incident)) if incident is not None else None
        if kept is None or not kept.open:
            return
        known = self._courses.get(kept.id)
        if known is None:
            course.incident, course.root = kept.id, ""
            self._courses[kept.id] = course
            return
        known.root = ""
        known.heard += [receiver for receiver in course.heard if receiver not in known.heard]
        known.kinds += [kind for kind in course.kinds if kind not in known.kinds]
        self._courses.touch(kept.id)

    def _calm(self, course: Course, incident: Incident, now: int) -> bool:
        """Whether nothing has changed, and nothing is due: thousands of incidents are looked at each tick."""
        mark, wake = self._seen.get(incident.id, (None, 0))
        return now < wake and mark == _mark(incident)

    def _wake(self, course: Course, now: int) -> int:
        """When (ms) the clock alone brings something for an incident."""
        started, interval = course.started_at, self._settings.status_interval
        moments = [course.next_at] if course.next_at is not None else []
        moments += [started + SETTLE] if now < started + SETTLE else []
        moments += (
            [started + self._settings.p2_limit] if course.tier is Tier.P2 and not course.overdue else []
        )
        moments += [started + (course.statuses + 1) * interval] if course.tier is Tier.P0 else []
        return min(moments, default=_NEVER)

    def _clock_went_back(self, by: int) -> None:
        """Nothing may wait for a moment that was near before the clock was set back."""
        self._seen.clear()
        for course in self._courses.values():
            course.started_at -= by
            course.notified_at = course.notified_at and course.notified_at - by
            course.next_at = course.next_at and course.next_at - by
            self._courses.touch(course.incident)

    def _hear(self, course: Course, receiver: str, kind: str) -> None:
        for known, word in ((course.heard, receiver), (course.kinds, kind)):
            if word and word not in known:
                known.append(word)
                if course.incident in self._courses:
                    self._courses.touch(course.incident)

    def _begin(self, incidents: Incidents) -> None:
        for course in self._fresh.values():
            incident = incidents.get(incidents.final(course.incident))
            if incident is not None and incident.open and incident.id not in self._courses:
                course.incident = incident.id
                self._growth.taken(course, incident, course.started_at)
                course.level = level_of(course)
                course.next_at, course.status_at = course.started_at, course.started_at - 1
                self._courses[course.incident] = course
        self._fresh.clear()

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
        course.quiet = False
        if acknowledged:
            course.next_at = None
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
        if course.level >= Tier.P2 and now in self._quiet:
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
        self._say(incident, incidents, course, reason, reached, chosen, now)
        course.notified_at = now
        for one in chosen:
            self._hear(course, one.receiver, "")
        _next_step(course, len(policy.steps), policy.repeat, now + (step.wait or deadline))
        if course.acknowledged:
            course.next_at = None
        return [self._page(incident, course, f"{name}:{one.receiver}", title, one, reason) for one in chosen]

    def _page(
        self, incident: Incident, course: Course, key: str, title: str, reached: Reached, reason: Reason
    ) -> Page:
        why = f"{incident.id}: {reason.sentence}; {_to(reached)}"
        return Page(key, reached.receiver, title, why, alerts_of(incident), course.level)

    def _say(
        self,
        incident: Incident,
        incidents: Incidents,
        course: Course,
        reason: Reason,
        reached: list[Reached],
        chosen: list[Reached],
        now: int,
    ) -> None:
        """Count it and write it into the timeline."""
        self.escalations[(course.level.name, reason.name)] += 1
        course.notified = ", ".join(one.whom or one.receiver for one in reached)
        known = [one.receiver for one in reached if one not in chosen]
        told = "; ".join(_to(one) for one in chosen)
        has = f"{', '.join(known)} has heard of it through a route" if known else ""
        place = f"step {course.step + 1} of {course.level.name}"
        sentence = f"{reason.sentence}: {'; '.join(filter(None, (told, has)))} ({place})"
        incidents.note(incident.id, now, "escalated" if course.notified_at else "paged", sentence)

    def _status(self, course: Course, incident: Incident, incidents: Incidents, now: int) -> list[Page]:
        """The state of an open P0, at multiples of the interval; what a restart has missed is not made up."""
        interval = self._settings.status_interval
        count = (now - course.started_at) // interval
        if incident.tier is not Tier.P0 or count <= course.statuses:
            return []
        since, course.statuses, course.status_at = course.status_at, count, now
        self._courses.touch(course.incident)
        timeline = [entry for entry in incidents.timeline(incident.id) if since < entry.at <= now]
        receivers = self._settings.status_receivers or course.heard
        incidents.note(incident.id, now, "status", f"told the state to {', '.join(receivers)}")
        return [status_page(incident, course, timeline, receiver, since, now) for receiver in receivers]


def _mark(incident: Incident) -> tuple[object, ...]:
    """What is different when an incident has changed in a way that concerns people."""
    return incident.changed_at, incident.tier, incident.acknowledged_at


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


def _to(reached: Reached) -> str:
    return (
        f"notified {reached.whom} by {reached.receiver}" if reached.whom else f"notified {reached.receiver}"
    )


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
