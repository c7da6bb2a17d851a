"""Finds the alerts that a question is about: those that are pending, fire, or are remembered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection

from alertmanager.matching import LabelMatch, parse_matchers
from alertmanager.records import Records
from analyzer.pipeline import Pipeline
from model.alert import Alert
from model.labels import Labels
from rules.active import FIRING

_FINGERPRINT = re.compile(r"[0-9a-fA-F]{16}")


@dataclass(frozen=True, slots=True)
class Known:
    """An alert as far as anybody here remembers it. `state` is firing, pending or ended; times are ms."""

    labels: Labels
    state: str
    starts_at: int
    ends_at: int | None
    generator_url: str
    incident: str


def find(pipeline: Pipeline, tx: Connection, asked: str, now: int) -> list[Known]:
    """The alerts of a fingerprint, of an alert name, or of matchers as `{node="n1"}`, the firing ones first.

    Raises ValueError for matchers that cannot be read.
    """
    if _FINGERPRINT.fullmatch(asked):
        wanted = int(asked, 16)
        found = _known(pipeline, tx, now, {wanted})
        return [known for known in found.values() if known.labels.fingerprint == wanted]
    bare = not any(sign in asked for sign in "={},~!")
    matches = LabelMatch(parse_matchers(f'alertname="{asked}"' if bare else asked))
    found = _known(pipeline, tx, now, None, matches)
    order = ("firing", "pending", "ended")
    fitting = [known for known in found.values() if matches(known.labels)]
    return sorted(fitting, key=lambda known: (order.index(known.state), -known.starts_at, known.labels.pairs))


def _known(
    pipeline: Pipeline, tx: Connection, now: int, wanted: set[int] | None, matches: LabelMatch | None = None
) -> dict[Labels, Known]:
    found = dict(_remembered(pipeline.records, tx, wanted, matches))
    for active in pipeline.rules.active():
        if active.state == FIRING:
            alert = active.alert()
            found[alert.labels] = _of(alert, "firing")
        else:
            labels = active.labels
            found[labels] = Known(labels, "pending", active.active_at, None, active.generator_url, "")
    for alert in pipeline.dispatcher.alerts:
        if wanted is not None and alert.fingerprint not in wanted:
            continue
        found[alert.labels] = _of(alert, "ended" if alert.resolved_at(now) else "firing")
    return found


def _of(alert: Alert, state: str) -> Known:
    return Known(alert.labels, state, alert.starts_at, alert.ends_at, alert.generator_url, alert.incident)


def _remembered(
    records: Records, tx: Connection, wanted: set[int] | None, matches: LabelMatch | None
) -> Iterator[tuple[Labels, Known]]:
    """What the dispatcher has let go of."""
    for change in records.changes(tx, wanted, matches=matches):
        ends_at = change.ends_at if change.ended else None
        known = Known(
            change.labels, "ended", change.starts_at, ends_at, change.generator_url, change.incident
        )
        yield change.labels, known
