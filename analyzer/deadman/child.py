"""The process that watches the analyzer. It is run as a file of its own, with the standard library only.

Standard input: one line of JSON (the configuration), then a line for each thing that happens: `tick`,
`bye`, or `say {...}`. Silence, and the end of input without a `bye`, go out by each channel, which is tried
until it takes the message. Standard error is the analyzer's log. So it holds a few MB, and neither
kill -9 nor SIGSTOP nor a deadlock of the analyzer keeps it from speaking.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

TIMEOUT = 10.0
FIRST_WAIT, LONGEST_WAIT, GIVE_UP = 1.0, 60.0, 3600.0
"""Seconds: an attempt, between attempts (it doubles), and after which one message is dropped."""


HURRY = 5.0
"""Seconds for what is still to be told after a SIGTERM."""


class Message(NamedTuple):
    """What is told; `status` is Alertmanager's, `key` the same for every attempt, `at` in Unix seconds."""

    name: str
    status: str
    text: str
    key: str
    at: float


class Watch:
    """Decides what to tell. Times are seconds of a clock that only runs forward."""

    def __init__(self, who: str, silence: float, now: float) -> None:
        self._who = who
        self._silence = silence
        self._heard_at = now
        self._count = 0
        self.silent = False
        self.said_bye = False
        self.over = False

    def line(self, line: str, now: float, wall: float) -> Message | None:
        """The analyzer has said something."""
        if line == "bye":
            self.said_bye = True
        elif line.startswith("say "):
            said = json.loads(line[4:])
            return Message(said["name"], said["status"], said["text"], said["key"], wall)
        elif line == "tick":
            quiet, self._heard_at = now - self._heard_at, now
            if self.silent:
                self.silent = False
                return self._message("resolved", f"{self._who} ticks again after {quiet:.0f} s", wall)
        return None

    def ended(self, wall: float) -> Message | None:
        """The analyzer is gone: the end of input."""
        self.over = True
        if self.said_bye:
            return None
        return self._message("firing", f"{self._who} has ended without a goodbye (killed, or crashed)", wall)

    def check(self, now: float, wall: float) -> Message | None:
        """Tell of a silence, once."""
        if self.silent or self.over or self.said_bye or now - self._heard_at < self._silence:
            return None
        self.silent = True
        text = f"{self._who} has finished no tick for {now - self._heard_at:.0f} s"
        return self._message("firing", text, wall)

    def overslept(self, by: float, now: float) -> None:
        """We ourselves did not run: the silence of that time is nobody's fault."""
        if by > self._silence / 2:
            self._heard_at = now

    def next_check(self, now: float) -> float:
        """Seconds until `check` may have something to tell."""
        waits = not (self.silent or self.over or self.said_bye)
        return max(0.0, self._heard_at + self._silence - now) if waits else LONGEST_WAIT

    def _message(self, status: str, text: str, wall: float) -> Message:
        self._count += status == "firing"
        return Message("FleetowlDeadMan", status, text, f"{os.getpid()}-{self._count}-{status}", wall)


class Channel:
    """One way to tell. What it does not take is tried again, in order, with growing waits."""

    def __init__(self, settings: dict[str, Any], labels: dict[str, str], helper: list[str]) -> None:
        self._settings = settings
        self._labels = labels
        self._helper = helper
        self._waiting: list[Message] = []
        self._wait = FIRST_WAIT
        self._next_at = 0.0

    def tell(self, message: Message) -> None:
        """Take a message."""
        self._waiting.append(message)

    def step(self, now: float, wall: float) -> None:
        """Try the first message that waits, if it is time."""
        if not self._waiting or now < self._next_at:
            return
        message = self._waiting[0]
        try:
            self._send(message)
        except Exception as error:  # whatever a channel does, the others and the next attempt must come
            if wall - message.at > GIVE_UP:
                self._waiting.pop(0)
            _log(f"the dead man's {self._settings['kind']} did not take it: {type(error).__name__}")
            self._next_at, self._wait = now + self._wait, min(2 * self._wait, LONGEST_WAIT)
            return
        self._waiting.pop(0)
        self._next_at, self._wait = 0.0, FIRST_WAIT

    @property
    def busy(self) -> bool:
        """Whether something is to be told yet."""
        return bool(self._waiting)

    def next_step(self, now: float) -> float:
        """Seconds until `step` has something to do."""
        return max(0.0, self._next_at - now) if self._waiting else LONGEST_WAIT

    def _send(self, message: Message) -> None:
        kind, body = self._settings["kind"], json.dumps(payload(message, self._labels)).encode()
        if kind == "webhook":
            _post(self._settings["url"], body, message.key)
        elif kind == "command":
            _run(self._settings["argv"], body)
        else:
            text = {"urls": self._settings["urls"], "text": message.text, "status": message.status}
            _run(self._helper, json.dumps(text).encode(), 3 * TIMEOUT)


def payload(message: Message, labels: dict[str, str]) -> dict[str, Any]:
    """Alertmanager's webhook JSON, version 4, with one alert."""
    own = {"alertname": message.name, "tier": "P0", "severity": "critical", **labels}
    moment = datetime.fromtimestamp(message.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    notes = {"summary": message.text}
    ended = message.status == "resolved"
    alert = {
        "status": message.status,
        "labels": own,
        "annotations": notes,
        "startsAt": moment,
        "endsAt": moment if ended else "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": "",
    }
    return {
        "version": "4",
        "groupKey": f"dead-man:{message.name}",
        "truncatedAlerts": 0,
        "status": message.status,
        "receiver": "dead-man",
        "groupLabels": {"alertname": message.name},
        "commonLabels": own,
        "commonAnnotations": notes,
        "externalURL": "",
        "alerts": [alert],
    }


def _post(url: str, body: bytes, key: str) -> None:
    import urllib.request  # late: with TLS it is most of what this process would hold

    headers = {"Content-Type": "application/json", "User-Agent": "Fleetowl", "Idempotency-Key": key}
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310 - http(s) only, checked
    with urllib.request.urlopen(request, timeout=TIMEOUT):  # noqa: S310
        pass


def _run(argv: list[str], body: bytes, timeout: float = TIMEOUT) -> None:
    subprocess.run(argv, input=body, timeout=timeout, check=True, stdout=subprocess.DEVNULL)  # noqa: S603


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Hurry:
    """A service manager that ends what the analyzer has left behind waits for us: not for long then."""

    def __init__(self) -> None:
        self._until = float("inf")

    def asked(self, number: int, frame: object) -> None:
        """SIGTERM. While the analyzer lives it means that one too: then its goodbye ends us."""
        self._until = time.monotonic() + HURRY

    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._until


class Reader:
    """Lines from standard input, without waiting for one."""

    def __init__(self) -> None:
        self._rest = b""
        self.open = True

    def lines(self) -> list[str]:
        """What has come; `open` is False at the end of input."""
        chunk = os.read(0, 65536)
        self.open = bool(chunk)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [line.decode(errors="replace") for line in lines]


def main() -> None:
    """Watch until the analyzer is gone and everything is told."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with the analyzer, after telling of that
    hurry = Hurry()
    signal.signal(signal.SIGTERM, hurry.asked)
    reader = Reader()
    lines: list[str] = []
    while not lines and reader.open:
        lines += reader.lines()
    if not lines:
        return
    settings = json.loads(lines.pop(0))
    watch = Watch(settings["who"], settings["silence"], time.monotonic())
    channels = [Channel(one, settings["labels"], settings["helper"]) for one in settings["channels"]]
    while reader.open or (any(channel.busy for channel in channels) and not hurry.over()):
        found = [watch.line(line, time.monotonic(), time.time()) for line in lines]
        found.append(watch.check(time.monotonic(), time.time()))
        lines = _wait(reader, watch, channels, found)
        if not reader.open and not watch.over:
            found = [watch.line(line, time.monotonic(), time.time()) for line in lines]
            lines = []
            _tell(channels, [*found, watch.ended(time.time())])


def _wait(reader: Reader, watch: Watch, channels: list[Channel], found: list[Message | None]) -> list[str]:
    """Tell what was found, then wait for the next line, attempt or silence."""
    _tell(channels, found)
    now = time.monotonic()
    wait = min([watch.next_check(now), *(channel.next_step(now) for channel in channels)])
    if not reader.open:
        time.sleep(min(wait, 0.5))
        return []
    ready = select.select([0], [], [], wait)[0]
    late = time.monotonic() - now - wait
    lines = reader.lines() if ready else []
    watch.overslept(late, time.monotonic())
    return lines


def _tell(channels: list[Channel], found: list[Message | None]) -> None:
    for message in found:
        if message is not None:
            _log(f"dead man: {message.text}")
            for channel in channels:
                channel.tell(message)
    for channel in channels:
        channel.step(time.monotonic(), time.time())


if __name__ == "__main__":
    main()
