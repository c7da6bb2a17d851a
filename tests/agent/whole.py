"""The whole agent in a process of its own, as an operator starts it, on a stub driver if it is given one."""

from __future__ import annotations

import http.server
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

_ADDRESS = re.compile(r"answers on (http://\S+)/metrics")
_PATIENCE = 30.0


ENGINE_PAGE = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 4.0
# HELP vllm:generation_tokens_total Number of generation tokens processed.
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="m"} 1000.0
"""


@contextmanager
def page_server(body: bytes = ENGINE_PAGE) -> Iterator[str]:
    """The URL of a server that answers every GET with this; an engine, by default."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class WholeAgent:
    """Use as a context. `settings` are those of the section `agent`; it listens on a free port."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "agent.yml"
        section = {"listen": "127.0.0.1:0", "node": "gpu-7", "interval": "500ms", **(settings or {})}
        config.write_text(yaml.safe_dump({"agent": section}))
        self._log = folder / "agent.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fleetowl", "agent", "--config", str(config)],
                env={**os.environ, "STATE_DIRECTORY": str(folder), **(environment or {})},
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        self.url = ""

    def __enter__(self) -> WholeAgent:
        until = time.monotonic() + _PATIENCE
        while not (found := _ADDRESS.search(self.log)):
            assert self.process.poll() is None, self.log
            assert time.monotonic() < until, self.log
            time.sleep(0.02)
        self.url = found[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    @property
    def log(self) -> str:
        """What it wrote."""
        return self._log.read_text()

    def page(self, ready: Callable[[str], bool] = bool) -> str:
        """Its /metrics, as soon as `ready` says so."""
        until = time.monotonic() + _PATIENCE
        while True:
            with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:
                page: str = answer.read().decode()
            if ready(page):
                return page
            assert time.monotonic() < until, page[-3000:] + self.log
            time.sleep(0.05)
