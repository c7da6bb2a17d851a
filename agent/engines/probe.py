"""Health and readiness of an engine, asked beside the scrapes so that no scrape waits for an answer.

A status of 200 is not enough: engines also say what went wrong in the body of a 200, as JSON or as an event
of a stream, and monitors that look at the status alone count that as success.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Literal

from agent.engines.fetch import Fetcher, FetchFailed
from agent.engines.settings import HealthSettings
from agent.http.answer import Answer
from model.labels import Labels
from model.metric import Metric, Sample

log = logging.getLogger("fleetowl.agent")

HEALTH = "fleetowl_engine_health"
DURATION = "fleetowl_engine_probe_duration_seconds"
FAILURES = "fleetowl_engine_probe_failures_total"
METRICS = (
    Metric(
        HEALTH,
        "gauge",
        "1 if the engine's last answer to a probe (health or readiness) was a good one, else 0.",
        ("job", "instance", "probe"),
    ),
    Metric(DURATION, "gauge", "How long the last answer to a probe took.", ("job", "instance", "probe")),
    Metric(
        FAILURES,
        "counter",
        "Failed probes by reason: connection, timeout, status, in_band_error (an error in the body of a 200),"
        " no_model (none is listed), too_large, malformed; unauthorized and absent (no such page where the"
        " kind of engine has one) tell nothing of the engine.",
        ("job", "instance", "probe", "reason"),
    ),
)

What = Literal["health", "readiness"]
State = Literal["pending", "good", "bad", "unknown"]
"""Pending: not asked yet. Unknown: it wants credentials that it was not given, or has no such page."""

_LIMIT = 1 << 20
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity"}
_UNAUTHORIZED = (401, 403)
_ABSENT = (404, 405, 501)


def judge(answer: Answer, guessed: bool = False) -> tuple[str, str]:
    """What is wrong with an answer: a word for a label and a sentence, both empty if nothing is.

    `guessed`: the path is the one of the kind of engine, so that it may not be there at all.

    >>> judge(Answer(200, {}, b'data: {"error": {"message": "queue is full", "code": 503}}'))
    ('in_band_error', 'it answered 200 with an error: queue is full')
    """
    if answer.status in _UNAUTHORIZED:
        return (
            "unauthorized",
            f"it answered {answer.status}: set authorization or basic_auth, or another path",
        )
    if guessed and answer.status in _ABSENT:
        return "absent", f"it answered {answer.status}: set the probe's path, or enabled: false"
    if not 200 <= answer.status < 300:
        return "status", f"it answered {answer.status}"
    for document in _documents(answer.body):
        error = document.get("error") or (document if document.get("object") == "error" else None)
        if error:
            message = error.get("message", "") if isinstance(error, dict) else error
            return "in_band_error", f"it answered {answer.status} with an error: {str(message)[:200]}"
        if document.get("object") == "list" and document.get("data") == []:
            return "no_model", "it lists no model"
    return "", ""


def _documents(body: bytes) -> list[dict[str, object]]:
    """The JSON objects that a body consists of: one, or those of a stream's events."""
    body = body.strip()
    if body.startswith(b"{"):
        texts = [body]
    else:
        texts = [line[5:] for line in body.splitlines() if line.startswith(b"data:")]
    found = []
    for text in texts:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(document, dict):
            found.append(document)
    return found


class Probe:
    """One question to one engine, asked again and again. `who` names the engine in the log.

    `known_down` says whether the log tells already that nothing answers.
    """

    def __init__(
        self,
        what: What,
        who: str,
        settings: HealthSettings,
        fetcher: Fetcher,
        known_down: Callable[[], bool] = lambda: False,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.what = what
        self.state: State = "pending"
        self.failures: Counter[str] = Counter()
        self.seconds = 0.0
        self._who = who
        self._settings = settings
        self._fetcher = fetcher
        self._known_down = known_down
        self._timer = timer
        self._reason = ""
        self._hurry = asyncio.Event()
        self._labels = Labels({"probe": what})

    async def ask(self) -> None:
        """Ask once; what comes of it is in `state`, and in one line of the log where it changed."""
        began = self._timer()
        try:
            answer = await self._fetcher.get(_HEADERS, _LIMIT, self._settings.timeout)
            reason, why = judge(answer, guessed=not self._settings.path)
        except FetchFailed as failure:
            reason, why = failure.kind, str(failure)
        self.seconds = self._timer() - began
        if reason:
            self.failures[reason] += 1
        before, self.state = self.state, _state_of(reason)
        self._note(reason, why, before)

    async def run(self, interval: Callable[[], int]) -> None:
        """Ask for ever, so many ms apart, or at once when told to `hurry`."""
        while True:
            await self.ask()
            self._hurry.clear()  # whoever was in a hurry meanwhile has this answer
            await _first(self._hurry.wait(), interval() / 1000)

    def hurry(self) -> None:
        """Ask now and not when the interval is over."""
        self._hurry.set()

    def forget(self) -> None:
        """What it answered is of a process that is gone."""
        self.state = "pending"

    def samples(self) -> list[Sample]:
        """The last answer and what failed so far; nothing while it was not asked or cannot tell."""
        found = [
            Sample(FAILURES, Labels({"probe": self.what, "reason": reason}), float(count))
            for reason, count in self.failures.items()
        ]
        if self.state in ("good", "bad"):
            found.append(Sample(HEALTH, self._labels, float(self.state == "good")))
            found.append(Sample(DURATION, self._labels, self.seconds))
        return found

    def _note(self, reason: str, why: str, before: State) -> None:
        if reason == self._reason:
            return
        if reason:
            known = reason in ("connection", "timeout") and self._known_down()
            level = logging.DEBUG if known else logging.WARNING
            log.log(level, "the %s probe of %s fails: %s", self.what, self._who, why)
        elif self._reason or before == "bad":
            log.info("the %s probe of %s works again", self.what, self._who)
        self._reason = reason


def _state_of(reason: str) -> State:
    if reason in ("unauthorized", "absent"):
        return "unknown"
    return "bad" if reason else "good"


async def _first(event: Awaitable[object], seconds: float) -> None:
    """Until the event, for so many seconds at most."""
    try:
        async with asyncio.timeout(seconds):
            await event
    except TimeoutError:
        pass
