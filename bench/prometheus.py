"""A real Prometheus beside a measurement or a test: started, filled through remote write, asked, ended.

It scrapes nothing; it holds the samples that it was given, with the times and bits that they were given with.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import cramjam
import numpy as np
from numpy.typing import NDArray

from model.labels import Labels

_PER_REQUEST = 5000
_HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


@dataclass(frozen=True, slots=True)
class Samples:
    """One series: its labels, and the times (ms, ascending) and values of its samples."""

    labels: Labels
    times: NDArray[np.int64]
    values: NDArray[np.float64]


class Unanswered(Exception):
    """Prometheus refused a query; the message is its own."""


class Prometheus:
    """A process of the Debian package, with its data and rule files in `folder`; ends with the `with` block.

    `lookback` as in its flag, for example `30m`.
    """

    def __init__(self, folder: Path, lookback: str = "5m") -> None:
        self.url = f"http://127.0.0.1:{_free_port()}"
        self._folder = folder
        self._lookback = lookback
        self._times: dict[bytes, list[bytes]] = {}

    def __enter__(self) -> Prometheus:
        self.rules("groups: []")
        (self._folder / "prometheus.yml").write_text(f"rule_files: ['{self._folder}/rules.yml']\n")
        binary = shutil.which("prometheus")
        if binary is None:
            raise FileNotFoundError("prometheus is not here: `make peers` fetches it")
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    binary,
                    f"--config.file={self._folder}/prometheus.yml",
                    f"--storage.tsdb.path={self._folder}/data",
                    f"--web.listen-address={self.url.removeprefix('http://')}",
                    f"--query.lookback-delta={self._lookback}",
                    "--web.enable-remote-write-receiver",
                    "--web.enable-lifecycle",
                ],
                stderr=log,
                stdout=log,
            )
        self._wait_until_ready(30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)

    def _wait_until_ready(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self._fetch("/-/ready")
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
            else:
                return
        raise RuntimeError((self._folder / "prometheus.log").read_text()[-2000:])

    @property
    def version(self) -> str:
        """As it says itself."""
        return str(json.loads(self._fetch("/api/v1/status/buildinfo"))["data"]["version"])

    def cpu(self) -> float:
        """CPU seconds of the process so far, to the nanosecond: its POSIX clock."""
        return time.clock_gettime(~self._process.pid << 3 | 2)

    def rules(self, text: str) -> None:
        """Write the rule file; `reload` makes it count."""
        (self._folder / "rules.yml").write_text(text)

    def reload(self) -> None:
        """Load the rule file. Raises HTTPError for a bad one."""
        self._fetch("/-/reload", b"")

    def metrics(self) -> dict[str, float]:
        """Its own metrics, by the text before the value."""
        lines = self._fetch("/metrics").decode().splitlines()
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
        }

    def write(self, series: Iterable[Samples]) -> None:
        """Store the samples; those of a series must be younger than the ones it has."""
        batch: list[bytes] = []
        for one in series:
            batch.append(_field(1, encode_series(one.labels, one.values, self._encoded(one.times))))
            if len(batch) == _PER_REQUEST:
                self._send(batch)
                batch = []
        self._send(batch)

    def _encoded(self, times: NDArray[np.int64]) -> list[bytes]:
        """The varints of these times; most series share theirs with others."""
        key = times.tobytes()
        if key not in self._times:
            self._times[key] = [_varint(at) for at in times.tolist()]
        return self._times[key]

    def _send(self, batch: list[bytes]) -> None:
        if batch:
            body = bytes(cramjam.snappy.compress_raw(b"".join(batch)))
            self._fetch("/api/v1/write", body, _HEADERS)

    def ask(self, path: str, **parameters: object) -> Any:
        """The `data` of an answer of its API. Raises Unanswered."""
        form = urllib.parse.urlencode({name: str(value) for name, value in parameters.items()})
        try:
            if form:
                return json.loads(self._fetch(path, form.encode()))["data"]
            return json.loads(self._fetch(path))["data"]
        except urllib.error.HTTPError as error:
            raise Unanswered(json.loads(error.read()).get("error", "")) from error

    def query(self, text: str, at: int) -> Any:
        """`resultType` and `result` at `at` (ms)."""
        return self.ask("/api/v1/query", query=text, time=_seconds(at))

    def query_range(self, text: str, start: int, end: int, step: int) -> Any:
        """The same from `start` to `end` by `step` (ms)."""
        times = {"start": _seconds(start), "end": _seconds(end), "step": _seconds(step)}
        return self.ask("/api/v1/query_range", query=text, **times)

    def _fetch(self, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> bytes:
        request = urllib.request.Request(self.url + path, body, dict(headers or {}))
        with urllib.request.urlopen(request, timeout=120) as answer:
            found: bytes = answer.read()
        return found


def encode_series(labels: Labels, values: NDArray[np.float64], times: list[bytes]) -> bytes:
    """A TimeSeries message (prometheus/prometheus prompb/types.proto); `times` as varints."""
    pairs = [_field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in labels.pairs]
    raw = values.astype("<f8").tobytes()
    samples = [
        b"\x12" + bytes((10 + len(at),)) + b"\x09" + raw[8 * place : 8 * place + 8] + b"\x10" + at
        for place, at in enumerate(times)
    ]
    return b"".join([*pairs, *samples])


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
