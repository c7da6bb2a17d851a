"""A stream through a real Alertmanager in compressed time, and through Fleetowl in virtual time.

Compressed: the stream's times and every duration of the configuration are divided by the same factor. A
message's delay of a few ms there is a few ms times the factor here: with 60 that is below half a second.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import yaml

from analyzer.alerting import Explains, explained_by
from analyzer.central import CentralSettings
from analyzer.simulation import History, Result, simulate
from bench.alerts.contenders import RealAlertmanager
from bench.alerts.score import Message
from bench.alerts.storm import rfc3339
from bench.alerts.webhook import Heard, Webhook
from model.labels import Labels
from model.moment import format_duration, parse_duration
from rules.files import load_rule_files
from rules.packs import shipped

CONFIGURATION = Path(__file__).with_name("alertmanager.yml")
_DURATIONS = ("group_wait", "group_interval", "repeat_interval", "resolve_timeout")
_BEAT = 0.05
TOGETHER = 16


def group_wait(configuration: dict[str, Any]) -> float:
    """Of the root, seconds."""
    return parse_duration(configuration["route"].get("group_wait", "30s")) / 1000


def best() -> dict[str, Any]:
    """The baseline's configuration."""
    found: dict[str, Any] = yaml.safe_load(CONFIGURATION.read_text())
    return found


def compressed(given: Any, factor: float, hook: str) -> Any:
    """A configuration with every duration divided, and every webhook at `hook`."""
    if isinstance(given, list):
        return [compressed(one, factor, hook) for one in given]
    if not isinstance(given, dict):
        return given
    found = {}
    for key, value in given.items():
        if key in _DURATIONS:
            found[key] = format_duration(max(1, round(parse_duration(value) / factor)))
        elif key == "url":
            found[key] = re.sub(r"^http://[^/]*", hook, value)
        else:
            found[key] = compressed(value, factor, hook)
    return found


async def through_alertmanager(
    histories: dict[str, History], factor: float, together: int = TOGETHER
) -> dict[str, list[Message]]:
    """Every stream through a process of its own, `together` at a time."""
    found: dict[str, list[Message]] = {}
    turns = asyncio.Semaphore(together)

    async def one(name: str, history: History) -> None:
        async with turns:
            found[name] = await _replay(name, history, factor, hook)

    with Webhook() as hook:
        await asyncio.gather(*(one(name, history) for name, history in histories.items()))
    return found


async def _replay(name: str, history: History, factor: float, hook: Webhook) -> list[Message]:
    configuration = best()
    settled = (group_wait(configuration) + parse_duration("5m") / 1000 + 60) / factor
    with tempfile.TemporaryDirectory(prefix="bench-replay-") as folder:
        process = RealAlertmanager(Path(folder), compressed(configuration, factor, f"{hook.url}/{name}"))
        await asyncio.to_thread(process.__enter__)
        try:
            zero = time.time() + 0.2
            await _send(process.url, history, factor, zero)
            await asyncio.sleep(settled)
            heard = await asyncio.to_thread(hook.heard_at, f"/{name}/")
        finally:
            await asyncio.to_thread(process.__exit__, None, None, None)
    began = history.lines[0].at
    return [_message(each, began + round((each.at - zero) * factor * 1000)) for each in heard]


def _message(heard: Heard, at: int) -> Message:
    body = heard.body
    alerts = tuple(
        (Labels(alert["labels"]).fingerprint, alert["status"] == "firing") for alert in body["alerts"]
    )
    return Message(at, body["status"] == "firing", alerts)


async def _send(url: str, history: History, factor: float, zero: float) -> None:
    """Post each line at its moment; those of one beat together."""
    lines, place = history.lines, 0
    began = lines[0].at

    def moment(at: int) -> float:
        return zero + (at - began) / 1000 / factor

    async with aiohttp.ClientSession() as session:
        while place < len(lines):
            await asyncio.sleep(max(0.0, moment(lines[place].at) - time.time()))
            batch = []
            until = time.time() + _BEAT / 10
            while place < len(lines) and moment(lines[place].at) <= until:
                alert = lines[place].alert
                batch.append(
                    {
                        "labels": dict(alert.labels),
                        "startsAt": rfc3339(moment(alert.starts_at)),
                        **({} if alert.ends_at is None else {"endsAt": rfc3339(moment(alert.ends_at))}),
                    }
                )
                place += 1
            async with session.post(f"{url}/api/v2/alerts", json=batch) as answer:
                if answer.status != 200:
                    raise RuntimeError(f"{urlsplit(url).netloc}: {answer.status} {await answer.text()}")


@lru_cache
def shipped_explains() -> Explains:
    """What the shipped packs say to explain what."""
    settings = CentralSettings()
    return explained_by(load_rule_files(shipped(settings.rules.profile), settings.telemetry.retention))


def through_fleetowl(history: History, off: Collection[str] = ()) -> Result:
    """The stream through Fleetowl's own default configuration, some stages left out."""
    return simulate(history, CentralSettings(), shipped_explains(), off=off)


def messages_of(result: Result) -> list[Message]:
    """What a simulation would have sent, as the score wants it."""
    return [
        Message(
            sent.at,
            sent.firing,
            tuple(
                (alert.fingerprint, not alert.resolved_at(sent.notification.at))
                for alert in sent.notification.alerts
            ),
        )
        for sent in result.sent
    ]


def merged(result: Result) -> bool:
    """Whether two faults met in one incident: those of which the first alerts have the same one."""
    first: dict[str, tuple[int, str]] = {}
    for verdict in result.verdicts:
        for fault in verdict.faults:
            first[fault] = min(
                first.get(fault, (verdict.began_at, verdict.incident)), (verdict.began_at, verdict.incident)
            )
    incidents = [incident for _, incident in first.values()]
    return len(set(incidents)) < len(incidents)
