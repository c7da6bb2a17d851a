"""Alertmanager's API v2: the shape of every answer, what it does, and what wrong input gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from analyzer.service import Analyzer
from model.moment import format_moment
from store.errors import StoreUnavailable
from tests.analyzer.test_amtool import ALERTMANAGER

HOUR = 3_600_000
Run = Callable[..., Awaitable[Analyzer]]


class Api:
    """Asks /api/v2 and checks every good answer against its definition."""

    def __init__(self, analyzer: Analyzer, session: aiohttp.ClientSession, openapi: Path) -> None:
        self.analyzer = analyzer
        self._session = session
        self._document = yaml.safe_load(openapi.read_text())

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        base = f"http://{self.analyzer.address}/api/v2"
        sent = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        async with self._session.request(method, base + path, data=sent, headers=headers) as response:
            text = await response.text()
        answer = json.loads(text) if text else None
        self._check(method, path.partition("?")[0], response.status, answer)
        return response.status, answer

    async def get(self, path: str) -> Any:
        status, body = await self.ask("GET", path)
        assert status == 200, body
        return body

    async def fire(self, *alerts: dict[str, str], **times: str) -> None:
        """Post alerts with these labels, and wait until the tick has them."""
        status, body = await self.ask("POST", "/alerts", [{"labels": one, **times} for one in alerts])
        assert status == 200, body
        async with asyncio.timeout(10):
            while len(self.analyzer.pipeline.backlog):  # noqa: ASYNC110 - the tick has no event to wait for
                await asyncio.sleep(0.01)

    async def silence(self, name: str, value: str, **more: Any) -> str:
        now = self.analyzer.clock.now()
        draft = {
            "matchers": [{"name": name, "value": value, "isRegex": False}],
            "startsAt": format_moment(now),
            "endsAt": format_moment(now + HOUR),
            "createdBy": "me",
            "comment": "work",
            **more,
        }
        status, body = await self.ask("POST", "/silences", draft)
        assert status == 200, body
        return str(body["silenceID"])

    def _check(self, method: str, path: str, status: int, answer: Any) -> None:
        if status >= 400:
            assert isinstance(answer, str), "an error is a JSON string"
            return
        path = "/silence/{silenceID}" if path.startswith("/silence/") else path
        schema = self._document["paths"][path][method.lower()]["responses"][str(status)].get("schema")
        if schema is not None:
            checked = {**schema, "definitions": self._document["definitions"]}
            jsonschema.Draft4Validator(checked, format_checker=jsonschema.FormatChecker()).validate(answer)


@pytest.fixture
async def api(run_analyzer: Run, shared_data: Path) -> AsyncIterator[Api]:
    analyzer = await run_analyzer(alertmanager=ALERTMANAGER, analyzer={"tick": "100ms"})
    async with aiohttp.ClientSession() as session:
        yield Api(analyzer, session, shared_data / "alertmanager" / "openapi.yaml")


def named(alerts: list[dict[str, Any]]) -> list[str]:
    return sorted(one["labels"]["alertname"] for one in alerts)


async def test_status_and_receivers(api: Api) -> None:
    status = await api.get("/status")
    assert status["versionInfo"]["revision"] == "fleetowl 0.0.0"
    assert yaml.safe_load(status["config"]["original"])["route"]["receiver"] == "team"
    assert "k3y" not in json.dumps(status)
    assert [one["name"] for one in await api.get("/receivers")] == ["team", "pager"]
    assert await api.get('/receivers?receiver_matchers=owner="x"') == []


async def test_an_alert_that_was_posted_is_there_at_once(api: Api) -> None:
    sent = {"labels": {"alertname": "A"}, "annotations": {"s": "x"}, "generatorURL": "http://p/g"}
    assert await api.ask("POST", "/alerts", [sent]) == (200, None)
    [found] = await api.get("/alerts")
    assert (found["labels"], found["annotations"]) == ({"alertname": "A"}, {"s": "x"})
    assert found["generatorURL"] == "http://p/g"
    assert found["status"] == {"state": "active", "silencedBy": [], "inhibitedBy": [], "mutedBy": []}
    assert found["receivers"] == [{"name": "team"}]
    assert (found["fleetowl"]["tier"], found["fleetowl"]["why"]) == ("P3", [])


async def test_what_holds_an_alert_back_is_worked_out_when_it_is_asked(api: Api) -> None:
    await api.fire({"alertname": "Slow", "severity": "warn", "node": "n1"}, {"alertname": "Other"})
    silence = await api.silence("alertname", "Slow")
    [slow] = await api.get('/alerts?filter=alertname="Slow"')
    assert slow["status"]["state"] == "suppressed"
    assert (slow["status"]["silencedBy"], slow["status"]["inhibitedBy"]) == ([silence], [])
    assert slow["fleetowl"]["why"][0].startswith(f'silence: silence {silence} (alertname="Slow") by me: work')

    await api.fire({"alertname": "NodeDown", "node": "n1"})
    [down] = await api.get("/alerts?filter=alertname=NodeDown")
    [slow] = await api.get("/alerts?filter=alertname=Slow")
    assert slow["status"]["inhibitedBy"] == [down["fingerprint"]]
    assert (await api.ask("DELETE", f"/silence/{silence}"))[0] == 200
    [slow] = await api.get("/alerts?filter=alertname=Slow")
    assert slow["status"]["silencedBy"] == []
    assert slow["status"]["state"] == "suppressed"
    await api.fire({"alertname": "NodeDown", "node": "n1"}, endsAt=format_moment(api.analyzer.clock.now()))
    [slow] = await api.get("/alerts?filter=alertname=Slow")
    assert slow["status"]["state"] == "active"


LISTED = [
    ("", ["Free", "Inhibited", "NodeDown", "Silenced"]),
    ("active=false", ["Inhibited", "Silenced"]),
    ("silenced=false", ["Free", "Inhibited", "NodeDown"]),
    ("inhibited=false", ["Free", "NodeDown", "Silenced"]),
    ("unprocessed=false", ["Free", "Inhibited", "NodeDown", "Silenced"]),
    ("silenced=false&inhibited=false&active=true", ["Free", "NodeDown"]),
    ("filter=alertname=~F.*&filter=severity=page", ["Free"]),
    ("filter=alertname=~F.*&filter=severity=warn", []),
    ('filter=severity=""', ["NodeDown", "Silenced"]),
    ('filter=severity!=""', ["Free", "Inhibited"]),
    ('filter=tier="P3"&filter=alertname!="Free"', ["Inhibited", "NodeDown", "Silenced"]),
    ("receiver=pa.*", ["Free"]),
    ("receiver=a", []),
    ('receiver_matchers=owner=""', ["Free", "Inhibited", "NodeDown", "Silenced"]),
    ("receiver_matchers=owner=x", []),
]


async def test_what_is_listed(api: Api) -> None:
    await api.fire(
        {"alertname": "Free", "severity": "page"},
        {"alertname": "NodeDown", "node": "n1"},
        {"alertname": "Inhibited", "severity": "warn", "node": "n1"},
        {"alertname": "Silenced"},
    )
    await api.silence("alertname", "Silenced")
    for query, expected in LISTED:
        found = await api.get(f"/alerts?{query}")
        assert named(found) == expected, query
        assert [one["fingerprint"] for one in found] == sorted(one["fingerprint"] for one in found)
        groups = await api.get(f"/alerts/groups?{query}")
        assert named([one for group in groups for one in group["alerts"]]) == expected, query


async def test_groups_have_their_labels_and_muted_ones_can_be_left_out(api: Api) -> None:
    await api.fire({"alertname": "B", "n": "1"}, {"alertname": "B", "n": "2"}, {"alertname": "A"})
    groups = await api.get("/alerts/groups")
    assert [(one["labels"], len(one["alerts"])) for one in groups] == [
        ({"alertname": "A"}, 1),
        ({"alertname": "B"}, 2),
    ]
    await api.silence("alertname", "A")
    assert len(await api.get("/alerts/groups?muted=false")) == 2, "a silence mutes no group"


async def test_a_group_that_a_time_interval_mutes_says_so(run_analyzer: Run, shared_data: Path) -> None:
    always = {"name": "always", "time_intervals": [{"months": ["1:12"]}]}
    never = {"name": "never", "time_intervals": [{"years": ["1999"]}]}
    routes = [
        {"matchers": ["alertname=A"], "mute_time_intervals": ["always", "never"]},
        {"matchers": ["alertname=B"], "active_time_intervals": ["never"]},
        {"matchers": ["alertname=C"], "active_time_intervals": ["always"]},
    ]
    route = {"receiver": "log", "group_by": ["alertname"], "routes": routes}
    analyzer = await run_analyzer(
        alertmanager={"route": route, "time_intervals": [always, never]}, analyzer={"tick": "100ms"}
    )
    async with aiohttp.ClientSession() as session:
        api = Api(analyzer, session, shared_data / "alertmanager" / "openapi.yaml")
        await api.fire({"alertname": "A"}, {"alertname": "B"}, {"alertname": "C"})
        statuses = [one["alerts"][0]["status"] for one in await api.get("/alerts/groups")]
        assert [one["mutedBy"] for one in statuses] == [["always"], ["never"], []]
        assert [one["state"] for one in statuses] == ["suppressed", "suppressed", "active"]
        [left] = await api.get("/alerts/groups?muted=false")
        assert left["labels"] == {"alertname": "C"}


async def test_names_in_any_alphabet(api: Api) -> None:
    await api.fire({"alertname": "A", "foo🙂": "bär"}, {"alertname": "B"})
    assert named(await api.get('/alerts?filter="foo🙂"="bär"')) == ["A"]
    silence = await api.silence("foo🙂", "bär")
    assert (await api.get(f"/silence/{silence}"))["matchers"][0]["name"] == "foo🙂"
    assert named(await api.get("/alerts?active=false")) == ["A"]


async def test_a_filter_of_silences_wants_the_very_matcher(api: Api) -> None:
    for value, regex, equal in (("b", False, True), ("b", False, False), ("b.*", True, True)):
        matcher = {"name": "a", "value": value, "isRegex": regex, "isEqual": equal}
        await api.silence("a", "b", matchers=[matcher])
    for asked, found in (('a="b"', 1), ('a!="b"', 1), ('a=~"b.*"', 1), ('a!="c"', 0), ('a=~"b"', 0)):
        assert len(await api.get(f"/silences?filter={quote(asked)}")) == found, asked


async def test_silences_change_and_end(api: Api) -> None:
    first = await api.silence("a", "b", annotations={"ticket": "T-1"})
    assert (await api.get(f"/silence/{first}"))["annotations"] == {"ticket": "T-1"}
    start = (await api.get(f"/silence/{first}"))["startsAt"]
    assert await api.silence("a", "b", id=first, startsAt=start, comment="longer") == first
    second = await api.silence("a", "c", id=first, startsAt=start)
    assert second != first
    assert (await api.get(f"/silence/{first}"))["status"]["state"] == "expired"
    assert [one["id"] for one in await api.get("/silences?expired=false")] == [second]
    assert [one["id"] for one in await api.get('/silences?filter=a="c"')] == [second]
    assert [one["id"] for one in await api.get("/silences?active=false&pending=false")] == [first]


WHEN = {"startsAt": "2026-01-01T00:00:00Z", "endsAt": "2100-01-01T00:00:00Z", "createdBy": "", "comment": ""}
MATCHERS = [{"name": "a", "value": "b", "isRegex": False}]
UNKNOWN = "00000000-0000-0000-0000-000000000000"


WRONG: list[tuple[str, str, Any, int, str]] = [
    ("POST", "/silences", b"{", 400, "bad silence"),
    ("POST", "/silences", {**WHEN}, 400, "missing required field `matchers`"),
    ("POST", "/silences", {**WHEN, "matchers": []}, 400, "at least one matcher is required"),
    ("POST", "/silences", {**WHEN, "matchers": MATCHERS, "id": UNKNOWN}, 404, "there is no silence"),
    ("POST", "/silences", {**WHEN, "matchers": MATCHERS, "endsAt": "2026-01-02T00:00:00Z"}, 400, "past"),
    ("GET", "/silences?filter=a", None, 400, "bad filter"),
    ("GET", f"/silence/{UNKNOWN}", None, 404, "there is no silence"),
    ("DELETE", f"/silence/{UNKNOWN}", None, 404, "there is no silence"),
    ("GET", "/alerts?filter=a=~(", None, 400, "bad filter"),
    ("GET", "/alerts?receiver=(", None, 400, "failed to parse receiver param"),
    ("GET", "/alerts/groups?receiver_matchers=(", None, 400, "bad receiver_matchers"),
    ("POST", "/alerts", b"[", 400, "no JSON"),
    ("POST", "/alerts", b'[{"labels":{"a":"\xff"}}]', 400, "no JSON in UTF-8"),
    ("POST", "/alerts", [{"labels": {}}], 400, "at least one label pair required"),
]


async def test_wrong_input(api: Api) -> None:
    for method, path, body, status, why in WRONG:
        found, sentence = await api.ask(method, path, body)
        assert (found, why in sentence) == (status, True), (method, path, sentence)


async def test_a_body_that_is_not_what_its_header_says(api: Api) -> None:
    status, why = await api.ask("POST", "/alerts", b"no gzip", **{"Content-Encoding": "gzip"})
    assert (status, why.startswith("the body cannot be read: ")) == (400, True)
    assert (await api.ask("POST", "/silences", b"[" * 100_000))[0] == 400


async def test_the_good_alerts_of_a_batch_are_taken(api: Api) -> None:
    batch = [{"labels": {"alertname": "A"}}, {"labels": {"x": ""}}, {"labels": {"alertname": "B"}}]
    assert await api.ask("POST", "/alerts", batch) == (
        400,
        "1 alert was not taken, 2 were good: at least one label pair required",
    )
    assert named(await api.get("/alerts")) == ["A", "B"]


async def test_too_many_alerts_are_refused_with_the_limit(run_analyzer: Run, shared_data: Path) -> None:
    limits = {"max_alerts": 10, "max_alerts_per_request": 50}
    analyzer = await run_analyzer(alertmanager={"fleetowl": limits}, analyzer={"token": "s3cret"})
    async with aiohttp.ClientSession() as session:
        api = Api(analyzer, session, shared_data / "alertmanager" / "openapi.yaml")
        many = [{"labels": {"alertname": f"a{n}"}} for n in range(51)]
        assert (await api.ask("POST", "/alerts", many))[0] == 401
        token = {"Authorization": "Bearer s3cret"}
        status, why = await api.ask("POST", "/alerts", many, **token)
        assert (status, why) == (400, "51 alerts in one request, and 50 are the most: send less")
        status, why = await api.ask("POST", "/alerts", many[1:], **token)
        assert status == 429
        assert why.startswith("43 alerts were not taken: 7 alerts of 127.0.0.1 fire, and 10 in all")
        assert len(await api.get("/alerts")) == 7
        assert (await api.ask("POST", "/alerts", many[1:8], **token))[0] == 200


async def test_nothing_is_answered_with_yes_that_is_not_on_disk(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> Any:
        raise StoreUnavailable("the disk is full")

    before = await api.silence("a", "b")
    with monkeypatch.context() as patch:
        patch.setattr(api.analyzer.pipeline.database, "transaction", full)
        status, why = await api.ask("POST", "/alerts", [{"labels": {"alertname": "A"}}])
        assert (status, why) == (503, "the alerts were not taken: the disk is full")
        status, why = await api.ask("DELETE", f"/silence/{before}")
        assert (status, "the disk is full" in why) == (503, True)
    assert await api.get("/alerts") == []
    assert [one["status"]["state"] for one in await api.get("/silences")] == ["active"]


async def test_it_stands_under_the_path_of_the_external_url_too(api: Api) -> None:
    base = f"http://{api.analyzer.address}"
    async with aiohttp.ClientSession() as session:
        for path, status in [
            ("/owl/api/v2/status", 200),
            ("/owl/-/healthy", 200),
            ("/other/api/v2/status", 404),
            ("/owl/other/api/v2/status", 404),
        ]:
            async with session.get(base + path) as response:
                assert response.status == status, path
        async with session.post(f"{base}/owl/-/reload") as response:
            assert response.status == 200


async def test_alerts_and_silences_of_an_earlier_process_are_there(
    run_analyzer: Run, api: Api, shared_data: Path
) -> None:
    api.analyzer._tasks[0].cancel()  # no tick any more: what is accepted now waits
    assert (await api.ask("POST", "/alerts", [{"labels": {"alertname": "A"}}]))[0] == 200
    silence = await api.silence("alertname", "A")
    await api.analyzer.stop()
    later = await run_analyzer(alertmanager=ALERTMANAGER, analyzer={"tick": "100ms"})
    async with aiohttp.ClientSession() as session:
        again = Api(later, session, shared_data / "alertmanager" / "openapi.yaml")
        [found] = await again.get("/alerts")
    assert found["status"]["silencedBy"] == [silence]
