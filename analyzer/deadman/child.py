"""The process that watches the analyzer. It is run as a file of its own, with the standard library only.

Standard input: one line of JSON (the configuration), then a line for each thing that happens: `tick`,
`bye`, or `say {...}`. Silence, and the end of input without a `bye`, go out by each channel, which is tried
until it takes the message. Standard error is the analyzer's log. So it holds a few MB, and neither
kill -9 nor SIGSTOP nor a deadlock of the analyzer keeps it from speaking. Each channel has a thread and each
attempt a process of its own, which is killed at its deadline: one that answers by drops holds up no other.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

TIMEOUT = 10.0
NAME = "FleetowlDeadMan"
FIRST_WAIT, LONGEST_WAIT, GIVE_UP = 1.0, 60.0, 3600.0
"""Seconds: an attempt in all, between attempts (it doubles), and after which one message is dropped."""
POST = "post"
"""The argument with which this file sends one webhook and ends."""
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

    def __init__(
        self, who: str, silence: float, now: float, left: Callable[[], float | None] = lambda: None
    ) -> None:
        """`left` tells the moment (Unix seconds) of an alarm that an earlier start has left open."""
        self._who = who
        self._left: Callable[[], float | None] = left
        self._start = os.urandom(8).hex()  # in a container every start has the same process id
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
            left, self._left = self._left(), lambda: None
            if left is not None:
                return self._message(
                    "resolved", f"{self._who} is back after {max(0, wall - left):.0f} s", wall
                )
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
        self._left = lambda: None
        return Message(NAME, status, text, f"{self._start}-{self._count}-{status}", wall)


class Alarm:
    """Our own alarm while it is open, in a file, so that its end is told by whoever starts next.

    `path` is empty where there is no place for it. The end is on disk once every channel has taken it.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._open: Message | None = None
        self._ending = False

    @property
    def left(self) -> float | None:
        """When (Unix seconds) the one that stands in the file was raised; None without one."""
        found = self._read()
        at = found.get("at") if found else None
        return float(at) if isinstance(at, int | float) else None

    def told(self, message: Message) -> None:
        """A message is on its way."""
        if message.name != NAME:
            return
        self._ending = message.status == "resolved"
        if not self._ending:
            self._open = message
            self._write({"at": message.at, "key": message.key})

    def settle(self, busy: bool) -> None:
        """The end that every channel has taken is the end."""
        if self._ending and not busy:
            self._ending, self._open = False, None
            if self._path:
                Path(self._path).unlink(missing_ok=True)

    @property
    def superseded(self) -> bool:
        """Whether a later start has told its end: what of it still waits here would open it again."""
        if self._open is None or not self._path:
            return False
        found = self._read()
        return found is None or found.get("key") != self._open.key

    def _read(self) -> dict[str, Any] | None:
        try:
            found = json.loads(Path(self._path).read_bytes()) if self._path else None
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _write(self, body: dict[str, Any]) -> None:
        if not self._path:
            return
        try:
            beside = Path(f"{self._path}.new")
            beside.write_text(json.dumps(body))
            beside.replace(self._path)
        except OSError as error:  # a full disk keeps nobody from being told
            _log(f"the dead man's alarm cannot be kept: {error}")
            self._path = ""


class Channel:
    """One way to tell. What it does not take is tried again, in order, with growing waits.

    `tell` may be called beside the thread in which `run` works through what waits.
    """

    def __init__(self, settings: dict[str, Any], labels: dict[str, str], helper: list[str]) -> None:
        self._settings = settings
        self._labels = labels
        self._helper = helper
        self._waiting: list[Message] = []
        self._wait = FIRST_WAIT
        self._next_at = 0.0
        self._news = threading.Event()

    def run(self) -> None:
        """Send whatever comes, for ever."""
        while True:
            self._news.wait(self.next_step(time.monotonic()))
            self._news.clear()
            self.step(time.monotonic(), time.time())

    def tell(self, message: Message) -> None:
        """Take a message."""
        self._waiting.append(message)
        self._news.set()

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
            said = {"url": self._settings["url"], "body": body.decode(), "key": message.key}
            _run([sys.executable, "-I", "-S", __file__, POST], json.dumps(said).encode())
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


def post() -> int:
    """Post what stands on standard input; 0 if it was taken. Whoever started us ends us at the deadline."""
    import urllib.request

    said = json.load(sys.stdin)
    headers = {"Content-Type": "application/json", "User-Agent": "Fleetowl", "Idempotency-Key": said["key"]}
    try:
        request = urllib.request.Request(said["url"], said["body"].encode(), headers, method="POST")  # noqa: S310 - http(s) only, checked
        with urllib.request.urlopen(request, timeout=TIMEOUT):  # noqa: S310
            return 0
    except Exception as error:  # the address is a secret: what an exception says of it is not told
        _log(f"the dead man's webhook: {type(error).__name__}")
        return 1


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
    alarm = Alarm(settings.get("alarm", ""))
    watch = Watch(settings["who"], settings["silence"], time.monotonic(), lambda: alarm.left)
    channels = [Channel(one, settings["labels"], settings["helper"]) for one in settings["channels"]]
    for channel in channels:
        threading.Thread(target=channel.run, daemon=True).start()
    _watch(reader, lines, watch, alarm, channels, hurry)


def _watch(
    reader: Reader, lines: list[str], watch: Watch, alarm: Alarm, channels: list[Channel], hurry: Hurry
) -> None:
    """Until the analyzer is gone, then until everything is told, or a later start has told it."""
    while reader.open or (_busy(channels) and not hurry.over() and not alarm.superseded):
        found = [watch.line(line, time.monotonic(), time.time()) for line in lines]
        found.append(watch.check(time.monotonic(), time.time()))
        _tell(channels, alarm, found)
        lines = _wait(reader, watch, _busy(channels))
        if not reader.open and not watch.over:
            found = [watch.line(line, time.monotonic(), time.time()) for line in lines]
            lines = []
            _tell(channels, alarm, [*found, watch.ended(time.time())])
        alarm.settle(_busy(channels))
    alarm.settle(_busy(channels))


def _wait(reader: Reader, watch: Watch, busy: bool) -> list[str]:
    """Wait for the next line, silence, or the end of what is told."""
    if not reader.open:
        time.sleep(0.1)
        return []
    now = time.monotonic()
    wait = min(watch.next_check(now), 1.0 if busy else LONGEST_WAIT)
    ready = select.select([0], [], [], wait)[0]
    late = time.monotonic() - now - wait
    lines = reader.lines() if ready else []
    watch.overslept(late, time.monotonic())
    return lines


def _busy(channels: list[Channel]) -> bool:
    return any(channel.busy for channel in channels)


def _tell(channels: list[Channel], alarm: Alarm, found: list[Message | None]) -> None:
    for message in found:
        if message is not None:
            _log(f"dead man: {message.text}")
            alarm.told(message)
            for channel in channels:
                channel.tell(message)


if __name__ == "__main__":
    if sys.argv[1:] == [POST]:
        sys.exit(post())
    main()
