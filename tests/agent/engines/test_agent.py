"""The whole agent with engines that are found: their series come and go with their pods."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.engines.engine import Engine
from agent.host import Host
from agent.main import METRICS, Agent
from agent.settings import AgentSettings
from model.settings import ConfigurationError, load_section
from tests.agent.engines.conftest import Served, until
from tests.agent.engines.test_pod_list import pod


def _settings(host: Host, kubelet: Served, folder: Path) -> AgentSettings:
    return AgentSettings.model_validate(
        {
            "listen": "127.0.0.1:0",
            "node": "gpu-7",
            "interval": "5m",
            "procfs": host.procfs,
            "sysfs": host.sysfs,
            "collectors": {"disable": ["filesystem"]},
            "gpu": {"enabled": False},
            "pods": {"enabled": False},
            "kernel_log": {"enabled": False},
            "discovery": {"pods": {"enabled": True, "url": f"{kubelet.origin}/pods", "interval": "1h"}},
            "push": {"spool": {"directory": str(folder)}},
        }
    )


def _engines(agent: Agent) -> list[Engine]:
    return [source for source in agent.sources if isinstance(source, Engine)]


async def test_engines_are_watched_as_long_as_their_pods_run(
    host: Host, engine_server: Served, tmp_path: Path
) -> None:
    port = engine_server.origin.rpartition(":")[2]
    notes = {"prometheus.io/scrape": "true", "prometheus.io/port": port, "fleetowl.io/job": "vllm"}
    llama = pod(notes=notes, status__podIP="127.0.0.1")
    engine_server.say("/pods", json.dumps({"items": [llama]}))
    async with Agent(_settings(host, engine_server, tmp_path)) as agent:
        await until(lambda: bool(_engines(agent)))
        (beat,) = agent.beats.values()
        await agent.tick(beat, 1000)
        shown = {labels for reading in beat.latest.values() for labels in reading.series}
        (up,) = (labels for labels in shown if labels.name == "up" and labels["job"] == "vllm")
        assert (up["pod"], up["namespace"], up["node"]) == ("llama-0", "llm", "gpu-7")
        assert up["service"] == "llama"
        assert up["instance"] == f"127.0.0.1:{port}"
        declared = {metric.name: metric for metric in METRICS}
        for sample in agent._own_samples():
            assert set(sample.labels) <= set(declared[sample.name].labels), sample
        engine_server.say("/pods", json.dumps({"items": []}))
        await agent.finder.look()
        await agent.tick(beat, 2000)
        shown = {labels for reading in beat.latest.values() for labels in reading.series}
        assert not [labels for labels in shown if labels.value("job") == "vllm"]
        assert not _engines(agent)


async def test_one_look_finds_engines_too(host: Host, engine_server: Served, tmp_path: Path) -> None:
    port = engine_server.origin.rpartition(":")[2]
    notes = {"fleetowl.io/scrape": "true", "fleetowl.io/port": port}
    engine_server.say("/pods", json.dumps({"items": [pod(notes=notes, status__podIP="127.0.0.1")]}))
    async with Agent(_settings(host, engine_server, tmp_path), quiet=True) as agent:
        assert len(_engines(agent)) == 1


def test_settings_say_what_is_wrong() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_section(
            AgentSettings,
            {"discovery": {"ports": [0], "pods": {"url": "kubelet", "tokenfile": "x"}, "max_engines": 0}},
            "fleetowl.yml",
            "agent",
        )
    text = str(caught.value)
    for part in (
        "fleetowl.yml: agent.discovery.ports.0",
        "agent.discovery.pods.url: 'kubelet' is not an http:// or https:// URL",
        "did you mean token_file?",
        "agent.discovery.max_engines",
    ):
        assert part in text
