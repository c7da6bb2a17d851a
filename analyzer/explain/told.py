"""Who was told and who was not, as JSON and in sentences."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from alertmanager.notification import Pending
from alertmanager.record_rows import Attempts, Hold, Noted
from model.moment import format_duration, format_moment, whole_seconds


def noted_document(noted: Noted, fingerprint: int | None = None) -> dict[str, Any]:
    """A notification as JSON; for one alert also whether that fired or had ended."""
    found = {
        "dedup_key": noted.dedup_key,
        "at": format_moment(noted.at),
        "receiver": noted.delivery.receiver,
        "integration": noted.delivery.integration,
        "group_key": noted.delivery.group_key,
        "sequence": noted.sequence,
        "tier": noted.tier,
        "title": noted.title,
        "status": "firing" if noted.firing else "resolved",
        "firing": len(noted.firing),
        "resolved": len(noted.resolved),
        "listed": noted.listed,
        "incidents": list(noted.incidents),
        "why": noted.why,
        "delivered": noted.delivered,
        "attempts": [attempts_document(one) for one in noted.attempts],
    }
    if fingerprint is not None:
        found["alert"] = "firing" if fingerprint in noted.firing else "resolved"
    return found


def attempts_document(attempts: Attempts) -> dict[str, Any]:
    """Attempts with one answer as JSON."""
    return {
        "attempt": attempts.first,
        "at": format_moment(attempts.at),
        "last_attempt": attempts.last,
        "last_at": format_moment(attempts.last_at),
        "ok": attempts.ok,
        "answer": attempts.answer,
        "follows": attempts.follows,
    }


def hold_document(hold: Hold) -> dict[str, Any]:
    """A hold as JSON."""
    return {
        "stage": hold.stage,
        "why": hold.why,
        "group_key": hold.group_key,
        "receiver": hold.receiver,
        "since": format_moment(hold.since),
        "until": None if hold.until is None else format_moment(hold.until),
    }


def waiting_documents(waiting: Iterable[Pending], keys: set[str]) -> list[dict[str, Any]]:
    """What of these notifications is tried again, and when."""
    return [
        {
            "dedup_key": pending.notification.dedup_key,
            "receiver": pending.notification.receiver,
            "integration": pending.notification.delivery.integration,
            "attempt": pending.notification.attempt,
            "next_at": format_moment(pending.next_at),
        }
        for pending in waiting
        if pending.notification.dedup_key in keys
    ]


def delivery_sentence(noted: Noted) -> str:
    """Whether the receiver took it: `pager (webhook[0]) took it at ... after 3 attempts`."""
    taken = next((one for one in noted.attempts if one.ok), None)
    if taken is not None:
        tries = f" at attempt {taken.first}" if taken.first > 1 else ""
        return f"{noted.delivery} took it{tries} at {format_moment(taken.at)}"
    if not noted.attempts:
        return f"{noted.delivery} has not answered yet"
    last = noted.attempts[-1]
    count = "1 attempt" if last.last == 1 else f"{last.last} attempts"
    return f"{noted.delivery} has not taken it after {count}: {last.answer}"


def ago(now: int, at: int) -> str:
    """How long (ms) ago or ahead something is, for a person."""
    return format_duration(whole_seconds(abs(now - at)))
