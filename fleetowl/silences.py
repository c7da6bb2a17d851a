"""`fleetowl silence`: make, list and end silences of an analyzer, and `alerts list` with what they hold."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from fleetowl import tables
from fleetowl.remote import ask, get
from fleetowl.visible import visible

Echo = Callable[[str], None]


def add_silence(
    url: str,
    texts: Sequence[str],
    duration: str,
    comment: str,
    author: str | None,
    token_file: Path | None,
    output: str,
    echo: Echo,
    *,
    dry_run: bool = False,
) -> None:
    """Make a silence that begins now, and say how many alerts that fire it matches."""
    from model.moment import SECOND, format_moment, parse_duration

    matchers = [matcher_of(text) for text in texts]
    try:
        length = parse_duration(duration)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--duration") from error
    if not length:
        raise click.BadParameter("a silence of no length holds nothing back", param_hint="--duration")
    now = int(time.time() * SECOND)
    matching = len(ask(url, "/api/v2/alerts" + _filter(texts)))
    draft = {
        "matchers": matchers,
        "startsAt": format_moment(now),
        "endsAt": format_moment(now + length),
        "createdBy": author or os.environ.get("USER") or "unknown",
        "comment": comment,
    }
    made = "" if dry_run else ask(url, "/api/v2/silences", draft, token_file=token_file)["silenceID"]
    if output != "table":
        echo(tables.FORMS[output]({"silenceID": made, "matches": matching, **draft}))
        return
    alerts = "1 alert that fires" if matching == 1 else f"{matching} alerts that fire"
    if made:
        echo(visible(f"{made}  until {draft['endsAt']}, matches {alerts} now"))
    else:
        echo(f"it would match {alerts} now; no silence was made")


def list_silences(url: str, texts: Sequence[str], output: str, echo: Echo, *, expired: bool) -> None:
    """The silences that hold or will, and with `expired` those that are over."""
    for text in texts:
        matcher_of(text)
    found = ask(url, "/api/v2/silences" + _filter(texts, expired=str(expired).lower()))
    if output != "table":
        echo(tables.FORMS[output]({"silences": found}))
        return
    rows = [
        [
            one["id"],
            one["status"]["state"],
            one["endsAt"],
            one["createdBy"],
            " ".join(map(spelled, one["matchers"])),
            one["comment"],
        ]
        for one in found
    ]
    echo(tables.table(["SILENCE", "STATE", "UNTIL", "BY", "MATCHES", "WHY"], rows, "no silence"))


def expire_silences(url: str, ids: Sequence[str], token_file: Path | None, echo: Echo) -> None:
    """End these now."""
    for one in ids:
        ask(url, f"/api/v2/silence/{one}", method="DELETE", token_file=token_file)
        echo(visible(f"silence {one} has ended"))


def list_alerts(url: str, output: str, echo: Echo) -> None:
    """The alerts that are pending or fire, of rules and sent by others, with what holds them back."""
    found = merged(get(url, "/api/v1/alerts")["alerts"], ask(url, "/api/v2/alerts"))
    echo(tables.FORMS[output]({"alerts": found}) if output != "table" else tables.alerts({"alerts": found}))


def merged(rules: list[dict[str, Any]], accepted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each alert once: what its rule knows of it, and how it stands in the notifications."""
    by_labels = {_key(one): dict(one) for one in rules}
    for one in accepted:
        known = by_labels.setdefault(_key(one), {"labels": one["labels"], "activeAt": one["startsAt"]})
        known.setdefault("annotations", one["annotations"])
        known["state"] = "suppressed" if one["status"]["state"] == "suppressed" else "firing"
        known["tier"] = one["fleetowl"]["tier"]
        known["incident"] = one["fleetowl"]["incident"]
        known["receivers"] = [receiver["name"] for receiver in one["receivers"]]
        known["why"] = one["fleetowl"]["why"]
        known["fingerprint"] = one["fingerprint"]
    return list(by_labels.values())


def matcher_of(text: str) -> dict[str, Any]:
    """A matcher as the API wants it; a bare word is the name of an alert, as for amtool."""
    from alertmanager.matching import parse_matcher
    from model.matcher import Op

    try:
        found = parse_matcher(_whole(text))
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}", param_hint="MATCHERS") from error
    return {
        "name": found.name,
        "value": found.value,
        "isRegex": found.op in (Op.MATCHES, Op.NOT_MATCHES),
        "isEqual": found.op in (Op.EQUAL, Op.MATCHES),
    }


def spelled(matcher: dict[str, Any]) -> str:
    """A matcher of the API as a person writes it."""
    operator = ("=" if matcher.get("isEqual", True) else "!") + (
        "~" if matcher["isRegex"] else "" if matcher.get("isEqual", True) else "="
    )
    return f'{matcher["name"]}{operator}"{matcher["value"]}"'


def _whole(text: str) -> str:
    return text if any(sign in text for sign in "=~") else f'alertname="{text}"'


def _filter(texts: Sequence[str], **more: str) -> str:
    pairs = [("filter", _whole(text)) for text in texts] + list(more.items())
    return f"?{urlencode(pairs)}" if pairs else ""


def _key(alert: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(alert["labels"].items()))
