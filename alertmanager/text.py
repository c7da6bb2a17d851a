"""A notification as a person reads it at 3 a.m.: how urgent, what, where, since when, what to do first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import quote_plus, urlencode

from alertmanager.notification import Brief, Notification
from model.alert import Alert
from model.labels import Labels, escape
from model.moment import SECOND, format_duration, format_moment
from model.topology import GPU_LABELS, NODE_LABELS, POD_LABELS

LISTED = 10
"""So many alerts stand in a message; the rest is counted."""

LINE = 400
"""So many characters of an annotation stand in a message."""

WHY = 1000
"""So many characters of what a page says of itself: what has changed, or the list of a digest."""

Link = Callable[[str, str], str]
"""Writes a link, of its words and its URL, in the markup of a channel."""

_PLACES = (
    ("node", NODE_LABELS),
    ("GPU", ("gpu", *GPU_LABELS)),
    ("pod", POD_LABELS),
    ("instance", ("instance",)),
    ("engine", ("engine",)),
    ("service", ("model_name", "service")),
)


def title(notification: Notification) -> str:
    """One line: `[P1 firing] GpuLost on node n1, GPU 3 (+2 more) INC-20261120-0001`.

    A headline, or what an incident is called, stands in front of the name of an alert.
    """
    tier = notification.tier.name
    said = notification.headline.startswith(tier)  # a page that begins with its tier says it once
    parts = ["" if said else f"[{tier}{_state(notification)}]", *_matter(notification)]
    line = " ".join(part for part in parts if part)
    new = [incident for incident in incidents_of(notification) if incident not in line]
    return _cut(" ".join([line, ", ".join(new)]).strip(), 200)


def plain_link(words: str, url: str) -> str:
    """A link where there is no markup."""
    return f"{words}: {url}"


def body(
    notification: Notification,
    external_url: str = "",
    limit: int = 0,
    listed: int = LISTED,
    quote: Callable[[str], str] = str,
    link: Link = plain_link,
) -> str:
    """The incidents' words and links, then the alerts: words, beginning, first check, runbook.

    At most `limit` bytes in UTF-8 (0: no limit): what does not fit is counted and linked. `quote` is put
    on every line that is not a link, and `link` writes the links, so that no markup in a value comes alive;
    no line is cut afterwards, for half of an escape is markup too.
    """
    why = min(WHY, limit // 2) if limit else WHY
    briefs = [quote(_cut(inert(notification.why), why))] if notification.is_page else []
    briefs += [_brief(brief, quote, link) for brief in notification.briefs]
    alerts = sorted(notification.alerts, key=lambda alert: urgency(alert, notification.at))
    known = {brief.incident for brief in notification.briefs}
    links = [
        link(incident, incident_url(external_url, incident))
        for incident in notification.incidents
        if external_url and incident not in known
    ]
    blocks = [quote(_block(alert, notification.at)) for alert in alerts[:listed]]
    while True:
        rest = len(alerts) - len(blocks)
        more = [_more(rest, rest_url(notification, external_url), quote, link)] if rest else []
        text = "\n\n".join(block for block in [*briefs, *blocks, *more, *links] if block)
        if not limit or len(text.encode(errors="replace")) <= limit:
            return text
        if not blocks:
            return _lines_in(text, limit)
        blocks.pop()


def line(notification: Notification) -> str:
    """Title and first words, for a log or a console."""
    words = _words(first(notification).annotations) if notification.alerts else ""
    return f"{title(notification)}{': ' + words if words else ''}"


def urgency(alert: Alert, now: int) -> tuple[bool, int, int]:
    """Sorts firing before resolved, then the most urgent first, then the oldest."""
    return alert.resolved_at(now), alert.tier, alert.starts_at


def first(notification: Notification) -> Alert:
    """The most urgent alert; there must be one."""
    return min(notification.alerts, key=lambda alert: urgency(alert, notification.at))


def incidents_of(notification: Notification) -> list[str]:
    """The incidents that it is about: those that it explains, then those of its alerts."""
    briefed = [brief.incident for brief in notification.briefs if brief.incident]
    return list(dict.fromkeys([*briefed, *notification.incidents]))


def ended(notification: Notification) -> bool:
    """Whether it says that everything is over; what lists no alert (a digest, an update) does not."""
    return bool(notification.alerts) and notification.status == "resolved"


def incident_url(external_url: str, incident: str) -> str:
    """Where an incident is shown."""
    return f"{external_url.rstrip('/')}/api/v1/incidents/{quote_plus(incident)}"


def rest_url(notification: Notification, external_url: str) -> str:
    """Where all alerts are found of which a message lists some; empty where no external_url is set."""
    if not external_url:
        return ""
    if len(notification.incidents) == 1:
        return incident_url(external_url, notification.incidents[0])
    filters = [("filter", f'{name}="{escape(value)}"') for name, value in notification.group_labels.items()]
    query = f"?{urlencode(filters)}" if filters else ""
    return f"{external_url.rstrip('/')}/api/v2/alerts{query}"


def cut_bytes(text: str, limit: int) -> str:
    """The text in at most `limit` bytes of UTF-8.

    >>> cut_bytes("größer", 6), cut_bytes("abc", 3)
    ('gr…', 'abc')
    """
    raw = text.encode(errors="replace")
    if len(raw) <= limit:
        return text
    return raw[: max(0, limit - 3)].decode(errors="ignore") + "…" if limit >= 3 else ""


def inert(text: str) -> str:
    """A value is data: no line break, no terminal sequence, nothing that is not printed."""
    if text.isprintable():
        return text.strip()
    return "".join(character if character.isprintable() else " " for character in text).strip()


def where(labels: Labels) -> str:
    """The place that an alert names, in words.

    >>> where(Labels({"Hostname": "n1", "gpu": "3", "UUID": "GPU-7"}))
    'node n1, GPU 3'
    """
    found = [
        f"{kind} {inert(next(labels[name] for name in names if name in labels))}"
        for kind, names in _PLACES
        if any(name in labels for name in names)
    ]
    return ", ".join(found)


def _state(notification: Notification) -> str:
    """Whether it goes on; nothing for what lists no alert: it may be a digest of what is long over."""
    return f" {notification.status}" if notification.alerts else ""


def _matter(notification: Notification) -> list[str]:
    """What it is about: the headline, or the first incident, or the first alert with its place."""
    more = len(notification.alerts) - 1
    if notification.headline:
        return [inert(notification.headline)]
    if notification.briefs and notification.briefs[0].title:
        others = len(notification.briefs) - 1
        return [inert(notification.briefs[0].title), f"(+{others} more)" if others else ""]
    if not notification.alerts:
        return ["notice"]
    alert = first(notification)
    place = where(alert.labels)
    name = inert(alert.name) or "alert"
    return [name, f"on {place}" if place else "", f"(+{more} more)" if more else ""]


def _brief(brief: Brief, quote: Callable[[str], str], link: Link) -> str:
    """What is known of the incident, and the two links that a person needs at night."""
    lines = [quote(_cut(inert(words), LINE)) for words in brief.lines]
    lines += [link("Acknowledge", brief.ack_url)] if brief.ack_url else []
    lines += [link(brief.incident, brief.url)] if brief.url else []
    return "\n".join(lines)


def _more(rest: int, url: str, quote: Callable[[str], str], link: Link) -> str:
    words = f"and {rest} more alert{'s' if rest != 1 else ''}"
    return link(words, url) if url else quote(words)


def _lines_in(text: str, limit: int) -> str:
    """As many whole lines as fit, in their order."""
    kept, room = list[str](), limit + 1  # no line break stands behind the last
    for each in text.split("\n"):
        size = len(each.encode(errors="replace")) + 1
        if size <= room:
            kept.append(each)
            room -= size
    return "\n".join(kept).strip()


def _block(alert: Alert, now: int) -> str:
    place = where(alert.labels)
    lines = [f"{alert.tier.name} {inert(alert.name)}{': ' + place if place else ''}"]
    lines += _sentences(alert.annotations)
    since = f"since {format_moment(alert.starts_at)}"
    if alert.ends_at is not None and alert.resolved_at(now):
        lasted = format_duration(max(0, alert.ends_at - alert.starts_at) // SECOND * SECOND)
        since = f"ended {format_moment(alert.ends_at)} after {lasted}"
    lines.append(since)
    for key, label in (("first_check", "First check"), ("runbook_url", "Runbook")):
        if alert.annotations.get(key):
            lines.append(f"{label}: {_cut(inert(alert.annotations[key]), LINE)}")
    return "\n".join(lines)


def _sentences(annotations: Mapping[str, str]) -> list[str]:
    """The summary, and the description where it says more: that is where people are told to look first."""
    words, more = _words(annotations), _cut(inert(annotations.get("description", "")), LINE)
    return [sentence for sentence in dict.fromkeys((words, more)) if sentence]


def _words(annotations: Mapping[str, str]) -> str:
    found = annotations.get("summary") or annotations.get("description") or annotations.get("message") or ""
    return _cut(inert(found), LINE)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
