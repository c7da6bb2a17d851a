"""The section `agent`: what is wrong is said with its key and the way out."""

from __future__ import annotations

from typing import Any

import pytest

from agent.settings import AgentSettings
from model.settings import ConfigurationError, Settings, load_section

VLLM = {"job": "vllm", "url": "http://127.0.0.1:8000/metrics"}


def _load(**data: Any) -> AgentSettings:
    return load_section(AgentSettings, data, "fleetowl.yml", "agent")


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_NAME", "gpu-7")
    settings = _load()
    assert settings.node == "gpu-7"
    assert settings.interval == 3000
    assert settings.listen == "127.0.0.1:9482"
    assert settings.push.url == []
    assert settings.push.spool.max_bytes == 256 << 20
    monkeypatch.delenv("NODE_NAME")
    assert _load().node


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"interval": "10ms"}, "agent.interval"),
        ({"intervall": "1s"}, "did you mean interval?"),
        ({"listen": "9482"}, "write host:port"),
        ({"collectors": {"disable": ["cpus"]}}, "did you mean cpu?"),
        ({"collectors": {"disable": ["gpu"]}}, "use agent.gpu.enabled: false"),
        ({"engines": [{**VLLM, "url": "127.0.0.1:8000"}]}, "http://"),
        ({"engines": [{**VLLM, "url": "http://user:pw@h/"}]}, "do not belong in the URL"),
        ({"engines": [VLLM, VLLM]}, "there twice"),
        ({"engines": [{**VLLM, "timeout": "6s"}]}, "longer than its interval"),
        ({"engines": [{**VLLM, "labels": {"node": "x"}}]}, "cannot be set here"),
        ({"engines": [{**VLLM, "bearer_token": "x"}]}, "authorization"),
        ({"push": {"url": "http://a", "token": "x", "token_file": "y"}}, "at most one of"),
        ({"push": {"url": ["http://a", "http://a"]}}, "named twice"),
        ({"push": {"spool": {"max_bytes": "1kB"}}}, "agent.push.spool.max_bytes"),
    ],
)
def test_what_is_wrong_is_said(data: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said.replace("?", r"\?")):
        _load(**data)


def test_all_errors_at_once() -> None:
    with pytest.raises(ConfigurationError) as raised:
        _load(interval="1", listen="x", engines=[{"job": "a"}])
    assert {problem.key for problem in raised.value.problems} == {
        "agent.interval",
        "agent.listen",
        "agent.engines.0.url",
    }


def test_secrets_do_not_show() -> None:
    assert "hunter2" not in repr(_load(push={"url": "http://a", "token": "hunter2"}))


def test_the_timeout_fits_the_interval() -> None:
    (engine,) = _load(engines=[VLLM]).engines
    assert engine.timeout_within(1000) == 800


def test_the_spool_lies_in_the_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/fleetowl-agent")
    assert str(AgentSettings().push.spool.directory) == "/var/lib/fleetowl-agent/spool"
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/me/state")
    assert str(AgentSettings().push.spool.directory) == "/home/me/state/fleetowl/spool"


def test_every_field_is_described() -> None:
    def walk(model: type[Settings]) -> None:
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"

    from agent import settings

    for each in vars(settings).values():
        if isinstance(each, type) and issubclass(each, Settings):
            walk(each)
