"""Where the figures come from: an agent's /metrics, or the newest samples of an analyzer."""

from __future__ import annotations

import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

from agent.snapshot.facts import Row
from agent.snapshot.gpus import FIGURES
from agent.snapshot.trouble import COUNTERS
from wire.aliases import PARTS, aliases_of
from wire.text import MalformedExposition, TextDecoder

TIMEOUT_SECONDS = 5.0
_LONGEST_BODY = 256 << 20

_HOST = (
    "node_uname_info|node_boot_time_seconds|node_load(1|5|15)|node_cpu_seconds_total"
    "|node_memory_Mem(Total|Available)_bytes|node_filesystem_(size|avail|free)_bytes"
)
_OWN = "fleetowl_(gpu|xid|engine|collector|pod|pods|kernel_log)_.+"
_GPU_MORE = (
    "DCGM_FI_DEV_FB_FREE|DCGM_FI_DEV_FB_RESERVED|DCGM_FI_DEV_XID_ERRORS|DCGM_FI_DEV_ECC_DBE_VOL_TOTAL"
    "|DCGM_FI_DEV_CLOCKS_EVENT_REASONS|DCGM_FI_DEV_ROW_REMAP_.+|DCGM_FI_DEV_RETIRED_PENDING"
    "|DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS|DCGM_FI_DEV_PCIE_(MAX_)?LINK_(GEN|WIDTH)"
)
_ENGINE = (
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:kv_cache_usage_perc",
    "vllm:generation_tokens_total",
)
_TTFT = "vllm:time_to_first_token_seconds"


class Unreachable(Exception):
    """Nobody answered; the text is a sentence with the way out."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was answered. `at` is a Unix time in seconds, `own` the node whose series name none."""

    at: float
    rows: list[Row]
    own: str


class Origin:
    """An address that is asked again and again. Raises Unreachable."""

    def __init__(self, url: str, path: str, hint: str, clock: Callable[[], float] = time.time) -> None:
        self.url = url.rstrip("/")
        self._request = self.url + path
        self._hint = hint
        self._clock = clock
        self._decoder = TextDecoder()

    def fetch(self) -> Fetched:
        """The series as they are now."""
        body = self._body()
        try:
            found = self._decoder.decode(body)
        except MalformedExposition as error:
            raise Unreachable(f"{self.url} answers, but not with metrics: {error} ({self._hint})") from error
        labels = self._decoder.labels
        rows = [(labels[local], value) for local, value in zip(found.ids, found.values, strict=True)]
        own = own_node(rows)
        if not own:
            raise Unreachable(f"{self.url} answers, but no node reports there ({self._hint})")
        return Fetched(self._clock(), rows, own)

    def _body(self) -> bytes:
        if not self.url.startswith(("http://", "https://")):
            raise Unreachable(f"{self.url!r} is no address: write for example http://127.0.0.1:9482")
        request = urllib.request.Request(self._request)  # noqa: S310 - the user's own URL
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                body: bytes = answer.read(_LONGEST_BODY)
                return body
        except urllib.error.HTTPError as error:
            with error:  # it holds the connection
                raise Unreachable(
                    f"{self.url} answered {error.code} {error.reason} ({self._hint})"
                ) from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            why = getattr(reason, "strerror", None) or reason
            raise Unreachable(f"nothing answers at {self.url}: {why} ({self._hint})") from error


def agent_origin(url: str) -> Origin:
    """The agent of one node."""
    return Origin(
        url, "/metrics", "start `fleetowl agent`, or set --agent; --url shows all nodes of an analyzer"
    )


def analyzer_origin(url: str) -> Origin:
    """All nodes that an analyzer knows."""
    query = urllib.parse.urlencode({"match[]": f'{{__name__=~"{wanted()}"}}'})
    return Origin(url, f"/federate?{query}", "set --url or FLEETOWL_URL to the analyzer's address")


def wanted() -> str:
    """A regular expression of the names that a snapshot reads, under every engine's names."""
    engine = {"up"}
    for name in (*_ENGINE, *(_TTFT + part for part in PARTS if part != "_bucket")):
        engine |= {name, *(alias.name for alias in aliases_of(name))}
    gpu = [*(family for family, _ in FIGURES.values()), *COUNTERS]
    return "|".join([_HOST, _OWN, _GPU_MORE, *gpu, *sorted(engine)])


def own_node(rows: list[Row]) -> str:
    """How the node calls itself whose page this is: what its own series say, else its kernel."""
    for labels, _ in rows:
        if labels.name.startswith("DCGM_") and (labels.value("Hostname") or labels.value("hostname")):
            return labels.value("Hostname") or labels.value("hostname")
    named = {labels.value("node") for labels, _ in rows} - {""}
    if len(named) == 1:
        return named.pop()
    return next((labels.value("nodename") for labels, _ in rows if labels.name == "node_uname_info"), "")
