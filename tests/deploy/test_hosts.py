"""The other ways to run it: compose, images, systemd."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleetowl.cli import main
from fleetowl.configuration import load
from fleetowl.version import VERSION

Tool = Callable[[Sequence[str]], str]
UNITS = ("fleetowl-agent", "fleetowl-analyzer")


def compose(deploy: Path, tool: Tool, *more: str) -> dict[str, Any]:
    """What docker-compose makes of the file."""
    folder = deploy / "compose"
    files = [part for name in ("docker-compose.yml", *more) for part in ("-f", str(folder / name))]
    found: dict[str, Any] = yaml.safe_load(
        tool(["docker-compose", *files, "--profile", "prometheus", "config"])
    )
    return found


@pytest.mark.peer
def test_compose_reads_its_file(deploy: Path, tool: Tool) -> None:
    services = compose(deploy, tool)["services"]
    assert set(services) == {"analyzer", "agent", "prometheus"}
    assert services["prometheus"]["profiles"] == ["prometheus"]
    for name in ("analyzer", "agent"):
        service = services[name]
        assert (service["read_only"], service["cap_drop"], service["user"]) == (True, ["ALL"], "65532:65532")
        assert service["image"] == f"fleetowl-{name}:{VERSION}"
        assert service["build"]["target"] == name
        assert (Path(service["build"]["context"]) / service["build"]["dockerfile"]).is_file()
    published = [port for service in services.values() for port in service["ports"]]
    assert all(str(port).startswith("127.0.0.1:") for port in published), "nothing is open to the network"


@pytest.mark.peer
def test_compose_gives_the_agent_its_gpus(deploy: Path, tool: Tool) -> None:
    agent = compose(deploy, tool, "docker-compose.gpu.yml")["services"]["agent"]
    (device,) = agent["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["utility"])
    assert agent["devices"] == ["/dev/kmsg:/dev/kmsg:r"]


def test_every_configuration_loads(deploy: Path) -> None:
    found = {
        "compose/agent.fleetowl.yml",
        "compose/analyzer.fleetowl.yml",
        "kustomize/base/agent.fleetowl.yml",
        "kustomize/base/analyzer.fleetowl.yml",
        "systemd/agent.yml",
        "systemd/analyzer.yml",
    }
    assert {str(path.relative_to(deploy)) for path in deploy.rglob("*.yml")} - found == {
        "compose/docker-compose.yml",
        "compose/docker-compose.gpu.yml",
        "compose/prometheus.yml",
    }
    for name in found:
        configuration = load(deploy / name, {})
        section = configuration.agent.push if "agent" in name else configuration.analyzer
        assert section.token_file is not None, name


@pytest.mark.parametrize("name", ["compose", "kustomize/base", "systemd"])
def test_the_agent_writes_only_where_it_can(deploy: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its root is read-only everywhere; what it remembers belongs into the volume or the state directory."""
    path = "agent.yml" if name == "systemd" else "agent.fleetowl.yml"
    if name == "systemd":
        state = f"/var/lib/{unit(deploy, 'fleetowl-agent')['Service']['StateDirectory']}"
        monkeypatch.setenv("STATE_DIRECTORY", state)  # as systemd does
    elif name == "compose":
        services = yaml.safe_load((deploy / name / "docker-compose.yml").read_text())["services"]
        (state,) = [one[6:] for one in services["agent"]["volumes"] if one.startswith("spool:")]
    else:
        daemons = yaml.safe_load((deploy / name / "agent.yaml").read_text())["spec"]["template"]["spec"]
        (state,) = [
            one["mountPath"] for one in daemons["containers"][0]["volumeMounts"] if one["name"] == "spool"
        ]
    agent = load(deploy / name / path, {}).agent
    assert agent.gpu.last_seen.is_relative_to(state)
    assert agent.push.spool.directory.is_relative_to(state)


def test_no_token_lies_in_the_repository(deploy: Path) -> None:
    assert (deploy / "compose" / ".gitignore").read_text() == "token\n"


def test_the_image_holds_every_package_and_hashed_requirements(deploy: Path) -> None:
    text = (deploy / "Dockerfile").read_text()
    packages = {path.parent.name for path in deploy.parent.glob("*/__init__.py")} - {"bench", "tests"}
    assert len(packages) >= 14
    assert set(re.findall(r"^COPY (\w+)/ app/\1/$", text, re.MULTILINE)) == packages
    ignored = (deploy / "Dockerfile.dockerignore").read_text()
    assert set(re.findall(r"^!(\w+)/\*\*$", ignored, re.MULTILINE)) == packages | {"requirements"}
    installs = re.findall(r"pip install (.*)", text)
    assert installs == [f"--require-hashes -r requirements/{name}.txt" for name in ("agent", "analyzer")]


def test_the_image_runs_as_nobody_special(deploy: Path) -> None:
    text = (deploy / "Dockerfile").read_text()
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["65532:65532"]
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {
        "python:3.11-slim-bookworm",
        "build",
        "base",
    }
    assert f'org.opencontainers.image.version="{VERSION}"' in text
    for name, port in (("agent", 9482), ("analyzer", 9480)):
        stage = text[text.index(f"FROM base AS {name}") :]
        assert f"EXPOSE {port}\n" in stage
        assert f"http://127.0.0.1:{port}/-/healthy" in stage
        assert f'CMD ["{name}", "--config", "/etc/fleetowl/fleetowl.yml"]' in stage


# ConfigParser keeps one value a key, and a unit may repeat keys; none here does.
def unit(deploy: Path, name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((deploy / "systemd" / f"{name}.service").read_text())
    return parser


@pytest.mark.parametrize("name", UNITS)
def test_units_run_commands_that_exist_and_are_hardened(deploy: Path, name: str) -> None:
    service = unit(deploy, name)["Service"]
    program, command, option, path = service["ExecStart"].split()
    assert program == "/opt/fleetowl/.venv/bin/fleetowl"
    assert command in main.commands
    assert (option, service["Type"], service["DynamicUser"]) == ("--config", "exec", "yes")
    assert (deploy / "systemd" / Path(path).name).is_file()
    for key in ("NoNewPrivileges", "RestrictNamespaces", "LockPersonality", "ProtectKernelModules"):
        assert service[key] == "yes"
    # The agent reads the kernel's log, and nothing else that needs a capability.
    capability = "CAP_SYSLOG" if name == "fleetowl-agent" else ""
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == service["AmbientCapabilities"] == capability
    assert "ProtectKernelLogs" not in service or name != "fleetowl-agent"
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"


@pytest.mark.parametrize("name", UNITS)
def test_units_and_their_configuration_agree_on_paths(deploy: Path, name: str) -> None:
    service = unit(deploy, name)["Service"]
    configuration = load(deploy / "systemd" / f"{name.removeprefix('fleetowl-')}.yml", {})
    if name == "fleetowl-agent":
        token, state = configuration.agent.push.token_file, configuration.agent.push.spool.directory.parent
    else:
        token, state = configuration.analyzer.token_file, configuration.analyzer.state_directory
    credential = service["LoadCredential"].split(":")[0]
    assert str(token) == f"/run/credentials/{name}.service/{credential}"
    assert str(state) == f"/var/lib/{service['StateDirectory']}" == service["WorkingDirectory"]


ANALYZER_ONLY = ("numpy", "re2", "promql_parser", "cramjam", "apprise", "lightkube", "sqlalchemy")


def test_the_agents_image_can_read_its_configuration(deploy: Path) -> None:
    """requirements/agent.txt has none of the analyzer's libraries."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({ANALYZER_ONLY!r}))\n"
        "from pathlib import Path; from fleetowl.document import load_agent\n"
        f"print(load_agent(Path({str(deploy / 'compose' / 'agent.fleetowl.yml')!r})).listen)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "0.0.0.0:9482", done.stderr
