"""Side by side with Debian's prometheus-node-exporter on this very host: the same series, the same values."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from agent.host import Host
from agent.registry import Round, collectors_for
from model.labels import Labels
from wire.text import TextDecoder

pytestmark = pytest.mark.peer

# Debian patches what its package leaves out; these are upstream's defaults, which the agent follows.
_FLAGS = (
    "--collector.netdev.device-exclude=^$",
    "--collector.filesystem.mount-points-exclude="
    "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)",
)
Page = dict[Labels, float]


@pytest.fixture(scope="module")
def peer(
    peer_binary: Callable[[str], str], unused_tcp_port_factory: Callable[[], int]
) -> Iterator[Callable[[], Page]]:
    binary = peer_binary("prometheus-node-exporter")
    address = f"127.0.0.1:{unused_tcp_port_factory()}"
    process = subprocess.Popen(
        [binary, f"--web.listen-address={address}", *_FLAGS], stderr=subprocess.DEVNULL
    )

    def scrape() -> Page:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            body = answer.read()
        decoder = TextDecoder()
        found = decoder.decode(body)
        return {decoder.labels[local]: value for local, value in zip(found.ids, found.values, strict=True)}

    try:
        for _ in range(100):
            try:
                scrape()
                break
            except OSError:
                time.sleep(0.05)
        yield scrape
    finally:
        process.terminate()
        process.wait()


def _ours() -> Page:
    host = Host("here")
    samples = Round(host, collectors_for(host, ())).collect()
    return {Labels({**sample.labels, "__name__": sample.name}): sample.value for sample in samples}


# node_exporter shows these for a link whose speed nobody knows; -1 Mbit/s is no speed.
_LEFT_OUT = ("node_network_speed_bytes",)


def test_the_same_series(peer: Callable[[], Page]) -> None:
    theirs, ours = peer(), _ours()
    families = {labels.name for labels in ours if labels.name.startswith("node_")}
    missing_there = {labels for labels in ours if labels.name in families and labels not in theirs}
    missing_here = {
        labels
        for labels in theirs
        if labels.name in families and labels not in ours and labels.name not in _LEFT_OUT
    }
    assert not missing_there
    assert not missing_here
    assert len(families) > 90


# What goes up and down from one moment to the next may differ in between and come back.
_MOVING = (
    "node_procs_",
    "node_load",
    "node_memory_",
    "node_disk_io_now",
    "node_filesystem_",
    "node_timex_",
    "node_netstat_Tcp_CurrEstab",
)
_FIXED = ("_total", "MemTotal_bytes", "SwapTotal_bytes", "size_bytes")


def _moves(name: str) -> bool:
    return name.startswith(_MOVING) and not name.endswith(_FIXED)


def test_the_same_values(peer: Callable[[], Page]) -> None:
    """Ours lies between what the peer said just before and just after."""
    before, ours, after = peer(), _ours(), peer()
    steady = 0
    for labels, value in ours.items():
        if labels not in before or labels not in after or _moves(labels.name):
            continue
        low, high = sorted((before[labels], after[labels]))
        if labels.name.endswith("_total") or low == high:
            assert low <= value <= high or value == pytest.approx(low, rel=1e-3, abs=0.05), labels
            steady += 1
    assert steady > 100
