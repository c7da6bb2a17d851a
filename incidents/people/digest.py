"""The report of P3: nobody is woken for one, so once a period all of them are listed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from alertmanager.codec import alert_from_json, alert_to_json
from alertmanager.notification import Page
from incidents.correlation import Incidents
from incidents.incident import Incident
from incidents.people.course import kept_notices, kept_state
from incidents.people.messages import alert_of
from incidents.people.policy import CHANNELS, Policies
from incidents.people.settings import DigestSettings
from incidents.people.wall import day_of, instant, local_text
from model.alert import Alert, Tier

MOST = 200
"""So many incidents are listed one by one, the others counted."""

_LAST = "digest_at"
_SILENCED = "silenced"
"""At a notice: whether a silence covered the whole incident when it was last looked at."""

Silenced = Callable[[int], bool]
"""Whether a silence covers the alert of this fingerprint."""


class Digest:
    """Collects the P3 incidents of the running period; part of People, which is Durable."""

    def __init__(self) -> None:
        self.settings = DigestSettings()
        self._notices = kept_notices()
        self._state = kept_state()

    def step(
        self,
        now: int,
        changed: Iterable[Incident],
        incidents: Incidents,
        policies: Policies,
        silenced: Silenced = lambda fingerprint: False,
    ) -> list[Page]:
        """The digest, when it is time for it and there is something to say; `changed` since the last step."""
        self._collect(changed, silenced)
        last = self._state.get(_LAST)
        due = self._due(now)
        if last is None or last > now:  # the first period, or a clock that was set back
            self._state[_LAST] = now
        elif last < due:
            self._state[_LAST] = due
            return self._pages(last, due, incidents, policies, silenced)
        return []

    @property
    def dirty(self) -> bool:
        """Whether something is not on disk yet."""
        return self._notices.dirty or self._state.dirty

    def load(self, tx: Connection) -> None:
        """Go on with the period."""
        self._notices.load(tx)
        self._state.load(tx)

    def save(self, tx: Connection) -> None:
        """Write what changed."""
        self._notices.save(tx)
        self._state.save(tx)

    def saved(self) -> None:
        """The commit succeeded."""
        self._notices.saved()
        self._state.saved()

    def _collect(self, changed: Iterable[Incident], silenced: Silenced) -> None:
        for incident in changed:
            notice = self._notices.get(incident.id)
            if incident.tier is not Tier.P3 or not incident.members:
                continue
            if notice is None and incident.open:
                notice = self._notices[incident.id] = alert_to_json(alert_of(incident.root, incident.id))
            if notice is not None and incident.firing and notice.get(_SILENCED) != _whole(incident, silenced):
                self._notices[incident.id] = {**notice, _SILENCED: _whole(incident, silenced)}

    def _due(self, now: int) -> int:
        """The latest moment for a digest that is not after `now` (ms)."""
        zone = ZoneInfo(self.settings.time_zone)
        day = day_of(now, zone)
        days = 7 if self.settings.rotation == "weekly" else 1
        if days == 7:
            day -= timedelta(days=(day.weekday() - self.settings.weekday[0]) % 7)
        due = instant(day, self.settings.at, zone)
        return due if due <= now else instant(day - timedelta(days=days), self.settings.at, zone)

    def _pages(
        self, last: int, due: int, incidents: Incidents, policies: Policies, silenced: Silenced
    ) -> list[Page]:
        there = [incident for incident in sorted(self._notices) if self._still(incidents, incident)]
        quiet = {incident for incident in there if self._is_silenced(incidents, incident, silenced)}
        listed = [self._latest(incidents, incident) for incident in there if incident not in quiet]
        self._take_over(incidents)
        receivers = self.settings.receivers or policies.everybody(CHANNELS[Tier.P3])
        if not listed or not receivers:
            return []
        zone = ZoneInfo(self.settings.time_zone)
        count = f"{len(listed)} P3 incident{'s' if len(listed) > 1 else ''}"
        title = f"{count} from {local_text(last, zone)} to {local_text(due, zone)}"
        alerts = tuple(listed[:MOST])
        rest = f"; {len(listed) - MOST} are not listed" if len(listed) > MOST else ""
        rest += f"; {len(quiet)} that a silence covered {'are' if len(quiet) > 1 else 'is'} left out" * bool(
            quiet
        )
        why = f"the {self.settings.rotation} digest of what woke nobody{rest}"
        return [
            Page(f"digest:{due}:{receiver}", receiver, title, why, alerts, Tier.P3) for receiver in receivers
        ]

    def _latest(self, incidents: Incidents, incident: str) -> Alert:
        known = incidents.get(incident)
        if known is not None:
            return alert_of(known.root, incident)
        return alert_from_json(self._notices[incident])

    def _is_silenced(self, incidents: Incidents, incident: str, silenced: Silenced) -> bool:
        """Whether nobody wants to hear of it: now, or when it was over."""
        known = incidents.get(incident)
        if known is not None and known.firing:
            return _whole(known, silenced)
        return bool(self._notices[incident].get(_SILENCED))

    def _still(self, incidents: Incidents, incident: str) -> bool:
        """What has become more urgent was told otherwise."""
        known = incidents.get(incident)
        return known is None or known.tier is Tier.P3

    def _take_over(self, incidents: Incidents) -> None:
        """What is still open belongs to the next period too."""
        for incident in list(self._notices):
            known = incidents.get(incident)
            if known is None or not known.open:
                del self._notices[incident]

    @property
    def notices(self) -> dict[str, Any]:
        """What the next digest will list, by incident."""
        return dict(self._notices)


def _whole(incident: Incident, silenced: Silenced) -> bool:
    return all(silenced(member.labels.fingerprint) for member in incident.firing)
