"""A page cannot speak for the node: what belongs to the agent, its exporters or the rules is left out."""

from __future__ import annotations

import logging
import re

import aiohttp
import pytest

from agent.engines.engine import Engine
from agent.engines.names import reserved
from agent.engines.settings import EngineSettings
from agent.main import METRICS
from rules.packs import shipped
from tests.agent.engines.conftest import Served
from tests.agent.engines.test_pod_list import _one

FORGED = """\
# TYPE fleetowl_gpu_up histogram
fleetowl_gpu_up{gpu="0"} 0
fleetowl_xid_last_timestamp_seconds{gpu="0",xid="79",tier="P0"} 1e9
# TYPE mine gauge
mine 7
up 5
{"scrape_samples_scraped"} 3
"""
EXPORTED = "DCGM_FI_DEV_GPU_UTIL 4\nnode_load1 1\nkube_node_info 1\nALERTS 1\ngpu:xid_age:seconds 0\n"


def _engine(session: aiohttp.ClientSession, url: str, **settings: object) -> Engine:
    off = {"health": {"enabled": False}, "readiness": {"enabled": False}}
    engine = EngineSettings.model_validate({"job": "x", "url": url, **off, **settings})
    return Engine(engine, "gpu-7", 1000, lambda: session)


@pytest.mark.parametrize(("trusted", "lost"), [(True, 4), (False, 9)])
async def test_a_page_cannot_forge_what_others_measure(
    engine_server: Served,
    session: aiohttp.ClientSession,
    caplog: pytest.LogCaptureFixture,
    trusted: bool,
    lost: int,
) -> None:
    caplog.set_level(logging.INFO, "fleetowl.agent")
    engine_server.say("/metrics", FORGED + EXPORTED)
    engine = _engine(session, engine_server.url, trusted=trusted)
    for at in (1000, 2000):
        reading = await engine.scrape(at)
        shown = {labels.name: value for labels, value in zip(reading.series, reading.values, strict=True)}
        assert len(shown) == len(reading.series), "no name twice"
        assert (shown["mine"], shown["up"]) == (7.0, 1.0)
        assert shown["scrape_samples_scraped"] == 10 - lost
        assert shown.get("DCGM_FI_DEV_GPU_UTIL") == (4.0 if trusted else None)
        assert not {"fleetowl_gpu_up", "fleetowl_xid_last_timestamp_seconds"} & {*shown, *reading.types}
        assert reading.types["mine"] == "gauge"
    assert engine.scraper.stats.refused == {"reserved_name": 2 * lost}
    engine_server.say("/metrics", "mine 7\n")
    await engine.scrape(3000)
    first, last = (record.getMessage() for record in caplog.records)
    assert "shows names that are not its own, such as fleetowl_gpu_up: they are left out" in first
    assert "shows no names any more" in last


def test_what_is_listed_is_trusted_and_what_is_found_is_not() -> None:
    assert EngineSettings(job="x", url="http://h/").trusted
    assert not _one().settings.trusted


def test_every_name_that_the_agent_or_a_rule_gives_is_reserved() -> None:
    recorded = re.findall(r"record: *(\S+)", "".join(path.read_text() for path in shipped()))
    assert recorded
    # What every process of Prometheus' world shows of itself, an engine too.
    own = [metric.name for metric in METRICS if not metric.name.startswith("process_")]
    for name in (*recorded, *own):
        assert reserved(name, trusted=False), name
    assert not reserved("vllm:num_requests_running", trusted=False)
