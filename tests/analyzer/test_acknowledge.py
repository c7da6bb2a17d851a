"""Acknowledging over HTTP: with the token by the API and the command line, without it by a signed link."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from alertmanager.notification import Brief, Delivery, Notification
from analyzer.ack_key import ACK_KEY, ack_key
from analyzer.service import Analyzer
from fleetowl.cli import main
from model.alert import Alert
from model.decision import refuse
from model.labels import Labels

TOKEN = "secret-token"
BAD = '<img src=x onerror="alert(1)">'


@pytest.fixture
async def open_incident(run_analyzer: Callable[..., Awaitable[Analyzer]]) -> tuple[Analyzer, str]:
    analyzer = await run_analyzer(
        analyzer={"token": TOKEN},
        alertmanager={
            "external_url": "https://owl.example",
            "route": {"receiver": "ada-im"},
            "receivers": [{"name": "ada-im", "log_configs": [{}]}],
        },
        incidents={
            "on_call": {
                "people": [{"name": "ada", "im": ["ada-im"]}],
                "schedules": [{"name": "ops", "layers": [{"people": ["ada"]}]}],
            }
        },
    )
    alert = Alert(
        Labels({"alertname": "Gone", "tier": "P1", "node": BAD}), {"summary": BAD}, analyzer.clock.now()
    )
    (placed,) = analyzer.pipeline.incidents.step(analyzer.clock.now(), [alert])
    return analyzer, placed.incident


def link_of(analyzer: Analyzer, incident: str, receiver: str = "ada-im") -> str:
    """What a message to this receiver carries, as a path."""
    told = Notification(
        Delivery("{}:{}", receiver, "log[0]"), Labels(), (), frozenset(), frozenset(),
        analyzer.clock.now(), 1, "key", briefs=(Brief(incident, "title"),),
    )  # fmt: skip
    (brief,) = analyzer.pipeline.dispatcher.linked(told).briefs
    assert brief.ack_url.startswith(f"https://owl.example/ack/{incident}?")
    return brief.ack_url.removeprefix("https://owl.example")


async def ask(analyzer: Analyzer, method: str, path: str, **how: Any) -> tuple[int, str, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://{analyzer.address}{path}", **how) as response,
    ):
        return response.status, await response.text(), response.headers


async def test_a_link_shows_a_page_whose_button_acknowledges(open_incident: tuple[Analyzer, str]) -> None:
    analyzer, name = open_incident
    path = link_of(analyzer, name)
    status, text, headers = await ask(analyzer, "GET", path)
    incident = analyzer.pipeline.incidents.get(name)
    assert incident is not None
    assert status == 200
    assert incident.acknowledged_at is None  # mail scanners fetch links
    assert '<form method="post"><button>I have it (ada)</button>' in text
    assert "<img" not in text
    assert "&lt;img" in text
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert (await ask(analyzer, "HEAD", path))[0] == 200
    assert incident.acknowledged_at is None
    status, text, _ = await ask(analyzer, "POST", path)  # without the token
    assert (status, incident.acknowledged_by) == (200, "ada")
    assert "was acknowledged by a link: ada has it" in text
    assert (await ask(analyzer, "POST", path))[0] == 409
    assert "You have it already" in (await ask(analyzer, "GET", path))[1]


async def test_a_link_that_was_changed_or_has_expired_is_refused(open_incident: tuple[Analyzer, str]) -> None:
    analyzer, name = open_incident
    path = link_of(analyzer, name)
    for bad in (path.replace("who=ada", "who=eve"), path[:-1], path.replace(name, "INC-2"), f"/ack/{name}"):
        for method in ("GET", "POST"):
            status, text, _ = await ask(analyzer, method, bad)
            assert (status, "signature is wrong" in text) == (403, True), bad
    old = analyzer.pipeline.links.url("", name, 1_000, "ada", 1_000)
    assert "has expired" in (await ask(analyzer, "POST", old))[1]
    gone = analyzer.pipeline.links.url("", "INC-1", analyzer.clock.now(), "ada", analyzer.clock.now())
    assert (await ask(analyzer, "GET", gone))[0] == 404
    incident = analyzer.pipeline.incidents.get(name)
    assert incident is not None
    assert incident.acknowledged_at is None


async def test_the_api_wants_the_token_and_says_what_is_wrong(open_incident: tuple[Analyzer, str]) -> None:
    analyzer, name = open_incident
    path, headers = f"/api/v1/incidents/{name}/ack", {"Authorization": f"Bearer {TOKEN}"}
    assert (await ask(analyzer, "POST", path, json={"who": "ada"}))[0] == 401
    assert (await ask(analyzer, "POST", path, headers=headers))[0] == 400
    assert (await ask(analyzer, "POST", path, headers=headers, data=b"\xff{"))[0] == 400
    assert (await ask(analyzer, "POST", path, headers=headers, json=["ada"]))[0] == 400
    assert (await ask(analyzer, "POST", path, headers=headers, data=b"x" * 5000))[0] == 413
    assert (await ask(analyzer, "POST", path.replace(name, "INC-1"), headers=headers, json={"who": "a"}))[
        0
    ] == 404
    status, text, _ = await ask(analyzer, "POST", path, headers=headers, json={"who": "ada"})
    assert status == 200
    assert f"{name} was acknowledged by the API: ada has it" in text
    assert (await ask(analyzer, "POST", path, headers=headers, json={"who": "ada"}))[0] == 409


async def test_an_answer_that_cannot_be_written_down_is_not_confirmed(
    open_incident: tuple[Analyzer, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    analyzer, name = open_incident

    def fails() -> None:
        analyzer.pipeline.kept = refuse("the state cannot be kept: disk full")

    monkeypatch.setattr(analyzer.pipeline, "keep", fails)
    status, text, _ = await ask(analyzer, "POST", link_of(analyzer, name))
    assert (status, "could not be written down" in text) == (503, True)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    status, text, _ = await ask(
        analyzer, "POST", f"/api/v1/incidents/{name}/ack", headers=headers, json={"who": "bo"}
    )
    assert (status, "disk full" in text) == (503, True)


def test_nobody_acknowledges_under_an_empty_name() -> None:
    for who in ("", "  "):
        result = CliRunner().invoke(main, ["incidents", "ack", "INC-1", "--who", who])
        assert result.exit_code == 2
        assert "--who is empty" in result.output


async def test_the_command_line(open_incident: tuple[Analyzer, str], tmp_path: Path) -> None:
    analyzer, name = open_incident
    token = tmp_path / "token"
    token.write_text(TOKEN)
    where = ["--url", f"http://{analyzer.address}"]

    async def run(*arguments: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, main, [*arguments, *where])
        assert result.exit_code == 0, result.output
        return str(result.output.splitlines()[-1])

    said = await run("incidents", "ack", name, "--who", "bo", "--token-file", str(token))
    assert said == f"{name} was acknowledged by the command line: bo has it"
    said = await run("incidents", "ack", name, "--who", "bo", "--undo", "--token-file", str(token))
    assert said == f"bo gave {name} back"
    assert (await run("oncall")).split()[:2] == ["ops", "ada"]


def test_the_key_is_kept_for_the_owner_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = ack_key(tmp_path)
    assert ack_key(tmp_path) == key
    assert (tmp_path / ACK_KEY).stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("*.new"))
    assert len(ack_key(tmp_path / "missing")) == 32
    assert "links to acknowledge end with this process" in caplog.text
