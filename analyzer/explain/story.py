"""Explanations as text: the verdict first, then the chain from samples to answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from model.labels import format_labels

Document = dict[str, Any]


def alert_story(document: Document) -> str:
    """One alert."""
    lines = [document["verdict"], "", *_identity(document)]
    for head, block in (
        ("Where it comes from", _source(document["source"])),
        ("What is unusual now", _anomaly(document["anomaly"])),
        ("Its states", _states(document)),
        ("The route it took", _route(document["route"])),
        ("Its groups", _groups(document["groups"])),
        ("What held it back", _holds(document)),
        ("Notifications", _notifications(document["notifications"], document["pending"])),
    ):
        lines += _section(head, list(block))
    return "\n".join(lines)


def notification_story(document: Document) -> str:
    """One notification."""
    labels = format_labels(document["group_labels"]) or "{}"
    lines = [document["verdict"], "", f"  {document['title']}", f"  dedup key {document['dedup_key']}"]
    lines += [f"  group {document['group_key']} with {labels}"]
    lines += _section("Attempts", list(_notifications([document], document["pending"])))
    alerts = [
        f"  {one['status']}  {one['fingerprint']}  {format_labels(one['labels'])}"
        for one in document["alerts"]
    ]
    if document["more"]:
        alerts.append(f"  and {document['more']} more")
    return "\n".join([*lines, *_section("Alerts", alerts)])


def incident_story(document: Document) -> str:
    """One incident: the verdict of each of its alerts after that of the whole."""
    lines = [document["verdict"], "", f"  {document['title']} ({document['state']}, {document['tier']})"]
    lines += _section("Notifications", list(_notifications(document["notifications"], document["pending"])))
    alerts: list[str] = []
    for one in document["alerts"]:
        alerts.append(f"  {one['fingerprint']}  {one['verdict']}")
        alerts.append(f"    in the incident because {one['joined_because']}")
    if document["more"]:
        alerts.append(f"  and {document['more']} more")
    lines += _section("Alerts", alerts)
    timeline = [f"  {one['at']}  {one['kind']}: {_line(one['sentence'])}" for one in document["timeline"]]
    return "\n".join([*lines, *_section("Timeline", timeline)])


def _section(head: str, lines: list[str]) -> list[str]:
    return ["", head, *lines] if lines else []


def _identity(document: Document) -> list[str]:
    until = f" until {document['ends_at']}" if document["ends_at"] else ""
    lines = [f"  {format_labels(document['labels'])}", f"  fingerprint {document['fingerprint']}"]
    lines.append(f"  {document['state']} since {document['starts_at']}{until}")
    if document["incident"]:
        lines.append(f"  incident {document['incident']}")
    return lines


def _source(source: Document) -> Iterator[str]:
    if source["kind"] == "api":
        sender = source["generator_url"] or "a sender that names no generatorURL"
        yield f"  posted by API: {sender}"
        return
    yield f"  rule {source['rule']} of group {source['group']} in {source['file']}"
    yield f"  {_line(source['expr'])}"
    yield f"  for {source['for']}, evaluated every {source['interval']}"
    for moment in source["values"]:
        yield f"  at {moment['at']}:{' ' + moment['note'] if moment['note'] else ''}"
        for part in moment["parts"]:
            yield from _part(part)


def _part(part: Document) -> Iterator[str]:
    indent = "  " * (part["depth"] + 2)
    if part["note"]:
        yield f"{indent}{part['expression']}: {part['note']}"
        return
    yield f"{indent}{part['expression']}"
    for one in part["series"]:
        yield f"{indent}  {one['series']} = {one['value']}"
    if part["more"]:
        yield f"{indent}  and {part['more']} more series"


def _anomaly(anomaly: Document | None) -> Iterator[str]:
    if anomaly is None:
        return
    scores = ", ".join(f"{name} {score:g}" for name, score in anomaly["scores"].items())
    yield f"  {anomaly['entity']} at {anomaly['at']}: {scores or 'no score yet'}"
    for one in anomaly["contributors"]:
        yield (
            f"  {one['share']:4.0%}  {one['metric']} is {one['value']:.6g}, usually {one['usual']:.6g} "
            f"({one['deviations']:+g} deviations)"
        )
        yield f"        {one['why']}"
    models = ", ".join(f"{name} {depth:g}" for name, depth in anomaly["models"].items())
    if models:
        yield f"  how far each model sees it in its tail: {models}"


def _states(document: Document) -> Iterator[str]:
    found = sorted(
        {(one["at"], one["state"], one["why"]) for one in (*document["states"], *document["changes"])}
    )
    for at, state, why in found:
        yield f"  {at}  {state}{': ' + why if why else ''}"


def _route(steps: list[Document]) -> Iterator[str]:
    for step in steps:
        mark = "=>" if step["final"] else "->" if step["taken"] else "  "
        receiver = f" to {step['receiver']}" if step["final"] else ""
        yield f"  {mark} {'  ' * step['depth']}{step['route']}{receiver}: {step['why']}"


def _groups(groups: list[Document]) -> Iterator[str]:
    for group in groups:
        yield f"  {group['group_key']} for {group['receiver']}, {group['alerts']} alerts"
        yield (
            f"    next flush {group['next_flush']} (in {group['in']}); group_wait {group['group_wait']}, "
            f"group_interval {group['group_interval']}, repeat_interval {group['repeat_interval']}"
        )


def _holds(document: Document) -> Iterator[str]:
    for hold in document["holds"]:
        until = f"until {hold['until']}" if hold["until"] else "until now"
        yield f"  {hold['stage']}, from {hold['since']} {until}: {_line(hold['why'])}"
    if document["held"] is not None and not document["holds"]:
        yield f"  {document['held']['stage']}: {_line(document['held']['why'])}"


def _notifications(told: list[Document], pending: list[Document]) -> Iterator[str]:
    waiting = {one["dedup_key"]: one for one in pending}
    for one in told:
        state = one.get("alert", one["status"])
        who = f"{one['receiver']} ({one['integration']})"
        yield f"  {one['at']}  {who}, {state}: {one['why']}  [{one['dedup_key']}]"
        for attempt in one["attempts"]:
            number = f"{attempt['attempt']}"
            if attempt["last_attempt"] > attempt["attempt"]:
                number += f"-{attempt['last_attempt']}"
            yield f"    {attempt['last_at']}  attempt {number}: {_line(attempt['answer'])}"
        if one["dedup_key"] in waiting:
            again = waiting[one["dedup_key"]]
            yield f"    attempt {again['attempt']} is due at {again['next_at']}"


def _line(text: str) -> str:
    """Text of others must not break out of its line."""
    return " ".join(text.split())
