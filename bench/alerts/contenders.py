"""The two that are compared, as real processes: Debian's prometheus-alertmanager, and `fleetowl analyzer`.

Both are started on a free port of loopback, wait until they are ready, and end with the `with` block.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import yaml

from bench.agent.processes import tree
from bench.alerts.relocated import command


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Contender:
    """A process that takes alerts at `/api/v2/alerts`."""

    name = ""

    def __init__(self, folder: Path, argv: list[str], port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._folder, self._argv = folder, argv

    def __enter__(self) -> Contender:
        with (self._folder / "log").open("wb") as log:
            environment = {**os.environ, "PYTHONPATH": os.getcwd()}
            self.process = subprocess.Popen(
                self._argv, stderr=log, stdout=log, env=environment, cwd=self._folder
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.get("/-/ready")
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
            else:
                return self
        raise RuntimeError((self._folder / "log").read_text()[-2000:])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self.process.pid

    def cpu(self) -> float:
        """CPU seconds so far, to the nanosecond: the POSIX clock of each process of the tree."""
        return sum(time.clock_gettime(~pid << 3 | 2) for pid in tree(self.pid))

    def get(self, path: str) -> bytes:
        """What it answers. Raises urllib.error.URLError."""
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            found: bytes = answer.read()
        return found

    def connection(self) -> Poster:
        """A kept-alive connection on which alerts are posted, as Prometheus has one."""
        return Poster(self.url)


class Poster:
    """Posts alerts; raises RuntimeError for an answer that is not 200."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)

    def post(self, body: bytes) -> None:
        """One POST, until its answer is here."""
        self._connection.request("POST", "/api/v2/alerts", body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {said[:500]!r}")

    def send(self, alerts: list[dict[str, Any]]) -> None:
        """The same for alerts that are not encoded yet."""
        self.post(json.dumps(alerts).encode())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class RealAlertmanager(Contender):
    """The Debian package, with this configuration (a document of alertmanager.yml)."""

    name = "Alertmanager"

    def __init__(self, folder: Path, configuration: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(configuration))
        port = free_port()
        argv = [
            command(folder),
            f"--config.file={folder}/alertmanager.yml",
            f"--storage.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]
        super().__init__(folder, argv, port)


class Fleetowl(Contender):
    """`fleetowl analyzer` with its own defaults but for the section `alertmanager`."""

    name = "Fleetowl"

    def __init__(
        self,
        folder: Path,
        configuration: dict[str, Any],
        sections: dict[str, Any] | None = None,
        tick: str = "1s",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        own = {"listen": f"127.0.0.1:{port}", "state_directory": str(folder / "state"), "tick": tick}
        whole = {
            "analyzer": own,
            "alertmanager": configuration,
            **(sections or {}),
        }
        (folder / "fleetowl.yml").write_text(yaml.safe_dump(whole))
        argv = [sys.executable, "-m", "fleetowl", "analyzer", "--config", str(folder / "fleetowl.yml")]
        super().__init__(folder, argv, port)
