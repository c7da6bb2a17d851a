"""Answers of an alert, of a notification and of an incident. It reads, and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from alertmanager.grouping import Group
from alertmanager.record_rows import Noted
from alertmanager.records import AlertRecord
from alertmanager.route import Route, build_route, routing_labels
from alertmanager.stages import Held
from analyzer.explain.anomaly import anomaly_document
from analyzer.explain.known import Known, find
from analyzer.explain.origin import Origin, origin_of, source_document, states_of
from analyzer.explain.routing import way_of
from analyzer.explain.story import alert_story, incident_story, notification_story
from analyzer.explain.told import (
    delivery_sentence,
    hold_document,
    noted_document,
    waiting_documents,
)
from analyzer.explain.verdict import Facts, verdict_of
from analyzer.pipeline import Pipeline
from incidents.member import Member
from model.alert import Alert
from model.labels import Labels, format_fingerprint, format_labels
from model.moment import format_duration, format_moment

MOST_ALERTS = 10
"""So many alerts are explained at once where matchers find more; the rest is named."""

MOST_MEMBERS = 100
"""So many alerts of an incident or a notification are told one by one."""


class Explainer:
    """Composes what the rooms know."""

    def __init__(self, pipeline: Pipeline, now: int) -> None:
        self._pipeline = pipeline
        self._now = now
        settings = pipeline.settings.alertmanager
        self._root, self._plain = build_route(settings.route), settings.plain
        self._silent = [one.name for one in settings.receivers if not list(one.integrations())]

    def alert(self, asked: str) -> dict[str, Any] | None:
        """The alerts of a fingerprint or of matchers; None if there are none. Raises ValueError."""
        with self._pipeline.database.reading() as tx:
            known = find(self._pipeline, tx, asked, self._now)
            if not known:
                return None
            return {
                "alerts": [self._alert(tx, one) for one in known[:MOST_ALERTS]],
                "more": [
                    {"fingerprint": format_fingerprint(one.labels.fingerprint), "labels": dict(one.labels)}
                    for one in known[MOST_ALERTS:]
                ],
            }

    def notification(self, dedup_key: str) -> dict[str, Any] | None:
        """One notification by its dedup key; None if it is not remembered."""
        pipeline = self._pipeline
        with pipeline.database.reading() as tx:
            noted = pipeline.records.notification(tx, dedup_key)
            if noted is None:
                return None
            labels = self._labels_of(tx, noted.firing | noted.resolved)
        verdict = f"{noted.delivery} was notified at {format_moment(noted.at)} because {noted.why}; "
        verdict += f"{delivery_sentence(noted)}."
        ordered = [*sorted(noted.firing), *sorted(noted.resolved)]
        document = {
            "verdict": verdict,
            **noted_document(noted),
            "group_labels": dict(noted.group_labels),
            "pending": waiting_documents(pipeline.dispatcher.waiting, {dedup_key}),
            "alerts": [
                {
                    "fingerprint": format_fingerprint(one),
                    "status": "firing" if one in noted.firing else "resolved",
                    "labels": dict(labels.get(one, Labels())),
                }
                for one in ordered[:MOST_MEMBERS]
            ],
            "more": max(0, len(ordered) - MOST_MEMBERS),
        }
        return {**document, "story": notification_story(document)}

    def _labels_of(self, tx: Connection, fingerprints: frozenset[int]) -> dict[int, Labels]:
        remembered = [one.labels for one in self._pipeline.records.changes(tx, fingerprints)]
        remembered += [alert.labels for alert in self._pipeline.dispatcher.alerts]
        return {one.fingerprint: one for one in remembered if one.fingerprint in fingerprints}

    def incident(self, incident: str) -> dict[str, Any] | None:
        """One incident: what it is, who was told, and of each of its alerts whether it paged and why."""
        pipeline = self._pipeline
        described, found = pipeline.incidents.describe(incident), pipeline.incidents.get(incident)
        if described is None or found is None:
            return None
        listed = list(found.members.values())[:MOST_MEMBERS]
        with pipeline.database.reading() as tx:
            told = pipeline.records.of_incident(tx, incident)
            records = pipeline.records.of_alerts(tx, {one.labels.fingerprint for one in listed})
        members = [self._member(one, incident, records[one.labels.fingerprint]) for one in listed]
        verdict = _incident_verdict(incident, told, [member["verdict"] for member in members])
        document = {
            **described,
            "verdict": verdict,
            "notifications": [noted_document(noted) for noted in told],
            "pending": waiting_documents(pipeline.dispatcher.waiting, {noted.dedup_key for noted in told}),
            "alerts": members,
            "more": max(0, len(found.members) - MOST_MEMBERS),
        }
        return {**document, "story": incident_story(document)}

    def _member(self, member: Member, incident: str, record: AlertRecord) -> dict[str, Any]:
        state = "firing" if member.firing else "ended"
        known = Known(member.labels, state, member.starts_at, member.ends_at, member.generator_url, incident)
        return {
            "fingerprint": format_fingerprint(member.labels.fingerprint),
            "labels": dict(member.labels),
            "joined_because": member.why,
            "verdict": self._facts(record, known)[1],
        }

    def _held(self, alert: Alert, routes: Sequence[Route], groups: Sequence[Group]) -> dict[str, Held]:
        """By receiver, what holds the alert back from all its groups there."""
        found = {}
        for receiver in dict.fromkeys(route.receiver for route in routes):
            there = [group for group in groups if group.route.receiver == receiver]
            held = [self._held_in(group, alert) for group in there]
            if not held or not all(held):
                held = [self._would_hold(alert, route) for route in routes if route.receiver == receiver]
            if held[0] is not None and all(held):
                found[receiver] = held[0]
        return found

    def _held_in(self, group: Group, alert: Alert) -> Held | None:
        """What held the alert back when its group was flushed."""
        held = self._pipeline.dispatcher.held_in(group)
        return next((one for one in held if one.alert.fingerprint == alert.fingerprint), None)

    def _would_hold(self, alert: Alert, route: Route) -> Held | None:
        """What holds the alert back at this moment, though its group has not been flushed since."""
        for stage in self._pipeline.alerting.stages:
            decision = stage.holds(alert, route, self._now)
            if decision:
                return Held(alert, stage.name, decision.why)
        return None

    def _facts(self, record: AlertRecord, known: Known) -> tuple[dict[str, Any], str]:
        """What the store and the dispatcher know of an alert, and the verdict."""
        pipeline, fingerprint = self._pipeline, known.labels.fingerprint
        dispatcher = pipeline.dispatcher
        origin = origin_of(pipeline, known.labels, known.generator_url)
        alert = Alert(known.labels, starts_at=known.starts_at, incident=known.incident)
        routes = self._root.match(routing_labels(alert, plain=self._plain))
        groups = dispatcher.groups_of(fingerprint)
        held_from = self._held(alert, routes, groups)
        held = next(iter(held_from.values()), None)
        begun = [one.at for one in record.changes if one.starts_at == known.starts_at and not one.ended]
        facts = Facts(
            now=self._now,
            name=known.labels.value("alertname") or format_labels(known.labels),
            fingerprint=fingerprint,
            state=known.state,
            starts_at=known.starts_at,
            ends_at=known.ends_at,
            pending_for=str(origin.rule.hold) if origin else "",
            due_at=known.starts_at + self._hold(origin),
            held=held_from,
            holds=record.holds,
            told=record.notifications,
            groups=groups,
            receivers=[route.receiver for route in routes],
            silent_receivers=self._silent,
            has_own_route=self._plain or routes != [self._root],
            remembered=bool(record.changes),
            heard_at=min(begun, default=0),
        )
        document = {
            "source": origin,
            "changes": [
                {
                    "at": format_moment(change.at),
                    "state": "ended" if change.ended else "firing",
                    "why": f"in {change.incident}" if change.incident else "",
                }
                for change in record.changes
            ],
            "route": [
                step.document() for step in way_of(self._root, routing_labels(alert, plain=self._plain))
            ],
            "groups": [_group_document(group, self._now) for group in groups],
            "held": None if held is None else {"stage": held.stage, "why": held.why},
            "held_from": [
                {"receiver": receiver, "stage": one.stage, "why": one.why}
                for receiver, one in held_from.items()
            ],
            "holds": [hold_document(hold) for hold in record.holds],
            "notifications": [noted_document(noted, fingerprint) for noted in record.notifications],
            "pending": waiting_documents(
                dispatcher.waiting, {noted.dedup_key for noted in record.notifications}
            ),
        }
        return document, verdict_of(facts)

    def _hold(self, origin: Origin | None) -> int:
        if origin is None:
            return 0
        interval = origin.active.interval if origin.active is not None else 0
        return origin.rule.hold.at(interval or self._pipeline.settings.rules.default_scrape_interval)

    def _alert(self, tx: Connection, known: Known) -> dict[str, Any]:
        record = self._pipeline.records.of_alert(tx, known.labels.fingerprint)
        facts, verdict = self._facts(record, known)
        origin: Origin | None = facts.pop("source")
        moments = list(dict.fromkeys([known.starts_at, self._now]))
        anomaly = anomaly_document(self._pipeline, known.labels)
        if anomaly is not None and known.state != "ended":
            verdict = f"{verdict} {anomaly['sentence']}"
        document = {
            "verdict": verdict,
            "fingerprint": format_fingerprint(known.labels.fingerprint),
            "labels": dict(known.labels),
            "state": known.state,
            "starts_at": format_moment(known.starts_at),
            "ends_at": None if known.ends_at is None else format_moment(known.ends_at),
            "incident": known.incident,
            "source": source_document(self._pipeline, origin, known.labels, moments, known.generator_url),
            "states": states_of(origin),
            "anomaly": anomaly,
            **facts,
        }
        return {**document, "story": alert_story(document)}


def _group_document(group: Any, now: int) -> dict[str, Any]:
    return {
        "group_key": group.key,
        "receiver": group.route.receiver,
        "labels": dict(group.labels),
        "alerts": len(group.members),
        "next_flush": format_moment(group.due_at),
        "in": format_duration(max(0, group.due_at - now)),
        "group_wait": format_duration(group.route.group_wait),
        "group_interval": format_duration(group.route.group_interval),
        "repeat_interval": format_duration(group.route.repeat_interval),
    }


def _incident_verdict(incident: str, told: Sequence[Noted], verdicts: Sequence[str]) -> str:
    firing = [noted for noted in told if noted.firing]
    if not firing:
        return f"{incident} paged nobody. {' '.join(sorted(set(verdicts))[:3])}"
    taken = [noted for noted in firing if noted.delivered]
    first = (taken or firing)[0]
    receivers = ", ".join(sorted({noted.delivery.receiver for noted in taken or firing}))
    verb = "paged" if taken else "tried to page"
    sentence = f"{incident} {verb} {receivers} at {format_moment(first.at)}: {first.why}; "
    sentence += f"{delivery_sentence(first)}."
    missing = sorted({one.delivery.receiver for one in firing} - {one.delivery.receiver for one in taken})
    return f"{sentence} It tried to page {', '.join(missing)}." if taken and missing else sentence
