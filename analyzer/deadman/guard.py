"""Keeps the child that watches this process, and tells it of every finished tick."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from analyzer.deadman import by_apprise, child
from analyzer.deadman.settings import DeadManSettings
from model.alert import Alert
from model.metric import Metric, Sample
from model.moment import SECOND

log = logging.getLogger("fleetowl.analyzer")

METRICS = (
    Metric("fleetowl_deadman_child_up", "gauge", "1 while the process that watches this one runs."),
    Metric("fleetowl_deadman_child_restarts_total", "counter", "Times that it had to be started again."),
    Metric("fleetowl_deadman_beats_total", "counter", "Finished ticks that it was told of."),
)
RESTART_AFTER = 10 * SECOND
"""A child that ends is started again, at most this often (ms)."""
GOODBYE_SECONDS = 1.0
"""How long a graceful stop waits for the child; one that has something to tell yet lives on."""
ALARM = "dead-man.json"
"""The file of the child's open alarm, in the state directory."""
LONGEST_LINE = 3500
"""Bytes: what is written to a pipe at once stays whole up to PIPE_BUF (4096)."""


class Guard:
    """The analyzer's end of the pipe. Nothing here waits for the child."""

    def __init__(self, settings: DeadManSettings, who: str = "", state: Path | None = None) -> None:
        """`state` is the directory where an alarm that is open outlives both processes."""
        self.restarts = 0
        self.beats = 0
        self._settings = settings
        self._who = who or f"the analyzer on {socket.gethostname()}"
        self._alarm = "" if state is None else str((state / ALARM).absolute())
        self._child: subprocess.Popen[bytes] | None = None
        self._started_at = 0

    @property
    def pid(self) -> int | None:
        """The child's process id; None where there is none."""
        return self._child.pid if self._child is not None else None

    def start(self, now: int) -> None:
        """Start the child, if there is a channel for what it would say."""
        self._started_at = now
        if not self._settings.has_channel:
            return
        try:
            self._child = self._spawn()
        except OSError as error:
            log.error("nobody watches this process: the dead man's child cannot be started: %s", error)

    def beat(self, now: int) -> None:
        """A tick was finished. A child that is gone is started again."""
        if self._write(b"tick\n"):
            self.beats += 1
        elif self._settings.has_channel and not self.up and now - self._started_at >= RESTART_AFTER:
            log.error("the dead man's child has ended: it is started again")
            self.restarts += 1
            self.close()
            self.start(now)

    def say(self, name: str, status: str, text: str, key: str) -> bool:
        """Send a message of our own over the child's channels; False where that cannot be now."""
        line = b""
        while not line or len(line) > LONGEST_LINE:
            said = {"name": name[:100], "status": status, "text": text, "key": key[:100]}
            line, text = b"say " + json.dumps(said).encode() + b"\n", text[: len(text) // 2]
        return self._write(line)

    def tell(self, alert: Alert, now: int) -> bool:
        """An alert of a peer that is silent, or heard of again, over the child's channels."""
        status = "resolved" if alert.resolved_at(now) else "firing"
        text = alert.annotations["summary"]
        if status == "resolved":
            text = f"Heard of again: {text}"
        return self.say(alert.name, status, text, f"{alert.fingerprint:x}-{alert.starts_at}-{status}")

    def bye(self) -> None:
        """This process ends because it was asked to."""
        self._write(b"bye\n")
        self.close(wait=GOODBYE_SECONDS)

    def reconfigure(self, settings: DeadManSettings, now: int) -> None:
        """Another child for other settings."""
        if settings != self._settings:
            self.bye()
            self._settings = settings
            self.start(now)

    def close(self, wait: float = 0.0) -> None:
        """Let go of the child; it ends by itself when it has told everything. `wait` that long (s) for it."""
        if self._child is not None and self._child.stdin is not None:
            try:
                self._child.stdin.close()
            except OSError as error:
                log.debug("the dead man's child was gone already: %s", error)
            try:
                self._child.wait(wait)
            except subprocess.TimeoutExpired:
                _leaving.append(self._child)
        self._child = None

    @property
    def up(self) -> bool:
        """Whether the child runs."""
        return self._child is not None and self._child.poll() is None

    def samples(self) -> Iterator[Sample]:
        """Own metrics."""
        yield Sample("fleetowl_deadman_child_up", {}, float(self.up))
        yield Sample("fleetowl_deadman_child_restarts_total", {}, self.restarts)
        yield Sample("fleetowl_deadman_beats_total", {}, self.beats)

    def _spawn(self) -> subprocess.Popen[bytes]:
        """In a session of its own, so that what ends our group does not end it."""
        settings = {
            "who": self._who,
            "silence": self._settings.silence / SECOND,
            "labels": {"instance": socket.gethostname()},
            "alarm": self._alarm,
            "channels": self._settings.channels(),
            "helper": [sys.executable, str(Path(by_apprise.__file__))],
        }
        _leaving[:] = [one for one in _leaving if one.poll() is None]
        started = subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, "-I", "-S", str(Path(child.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert started.stdin is not None
        started.stdin.write(json.dumps(settings).encode() + b"\n")
        started.stdin.flush()
        os.set_blocking(started.stdin.fileno(), False)
        return started

    def _write(self, line: bytes) -> bool:
        """Whether the child will read it. A child that does not read (a full pipe) is left alone."""
        if self._child is None or self._child.stdin is None:
            return False
        try:
            os.write(self._child.stdin.fileno(), line)
        except OSError:
            return False
        return True


_leaving: list[subprocess.Popen[bytes]] = []
"""Children that were let go and have something to tell yet; they are reaped when the next one starts."""
