"""Beside the real Alertmanager: templates print the same, and what we forward to it lives and ends there."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alertmanager.notification import Delivery
from alertmanager.receivers.sender import Sender
from bench.alerts.relocated import command
from model.alert import Alert
from model.labels import Labels
from model.moment import format_moment
from tests.alertmanager.night import settings_of
from tests.alertmanager.receivers.catcher import Catcher
from tests.alertmanager.receivers.conftest import catcher  # noqa: F401
from tests.alertmanager.receivers.told import told

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.peer,
    pytest.mark.skipif(shutil.which("prometheus-alertmanager") is None, reason="no prometheus-alertmanager"),
]

FIELDS = """
{{ range .Alerts }}{{ .StartsAt }} {{ .StartsAt.Format "Mon 2 Jan 15:04:05.000 MST" }} {{ .Labels }}{{ end }}
{{ .GroupLabels.SortedPairs }} {{ .CommonLabels.Names }} {{ .CommonAnnotations.Values }} {{ .Receiver }}
{{ range $i, $a := .Alerts }}{{ if $i }}, {{ end }}{{ $a.Labels.x | toUpper }} {{ $a.Fingerprint }}{{ end }}
{{ with .CommonLabels.Remove (stringSlice "alertname") }}{{ .Values | join "+" }}{{ else }}none{{ end }}
{{ (index .Alerts 0).EndsAt.Sub (index .Alerts 0).StartsAt }} {{ len .Alerts.Firing }} {{ .Alerts | len }}
{{ printf "%s %d %v %q" .Status (len .Alerts) .GroupLabels.Values .Receiver }} {{ title "a b-c d_e o'clock" }}
{{ reReplaceAll "(a+)" "<$1>" "baab" }} {{ match "^f" .Status }} {{ eq .Status "x" "firing" }} {{ slice "abc" 1 }}
{{ template "slack.default.title" . }}|{{ template "__subject" . }}|{{ template "mine" .Alerts }}
{{ range .Alerts }}{{ range $name, $value := .Labels }}{{ $name }}={{ $value }} {{ end }}{{ .Annotations }}{{ end }}
{{ if and .Alerts (not .Alerts.Resolved) (or false (gt (len .Alerts) 1)) }}{{ println 1 "a" true }}{{ end }}.
{{ (index .Alerts 1).StartsAt.Format "2006-01-02T15:04:05.999Z07:00 Jan _2 3:04PM -0700 Monday" }}
{{ .Alerts.Firing | len | printf "%03d" }} {{ print 1 2 "a" 3 }} {{ "a b&c" | urlquery }} {{ html "<a>" }}
""".strip().splitlines()  # noqa: E501
"""Printed by both; all of this 0.25 knows."""

MINE = '{{ define "mine" }}{{- range . -}} [{{ .Annotations.s }}] {{- end -}}{{ end }}'
PAIRS = (("b", "two words", 500), ("a", "<i>&", 0))
BORN = 1_764_000_000_000


class Real:
    """The real Alertmanager."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            text = answer.read()
        return json.loads(text) if text.startswith((b"[", b"{")) else None

    async def until(self, path: str, wanted: Any) -> Any:
        """What it answers, once that is what is wanted."""
        for _ in range(100):
            try:
                answer = await asyncio.to_thread(self.ask, path)
            except OSError:
                answer = None
            if wanted(answer):
                return answer
            await asyncio.sleep(0.05)
        raise AssertionError(answer)


@pytest.fixture
async def real(tmp_path: Path, catcher: Catcher, unused_tcp_port: int) -> AsyncIterator[Real]:  # noqa: F811
    slack = [{"api_url": f"{catcher.url}{n}", "channel": "c", "text": text} for n, text in enumerate(FIELDS)]
    configuration = {
        "route": {"receiver": "te.am", "group_by": ["alertname"], "group_wait": "500ms"},
        "templates": [str(tmp_path / "mine.tmpl")],
        "receivers": [{"name": "te.am", "slack_configs": slack}],
    }
    (tmp_path / "mine.tmpl").write_text(MINE)
    (tmp_path / "alertmanager.yml").write_text(json.dumps(configuration))
    process = await asyncio.create_subprocess_exec(
        command(tmp_path),
        "--config.file=alertmanager.yml",
        f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{unused_tcp_port}",
        "--cluster.listen-address=",
        cwd=tmp_path,
        stderr=asyncio.subprocess.DEVNULL,
    )
    found = Real(f"http://127.0.0.1:{unused_tcp_port}")
    try:
        await found.until("/api/v2/status", bool)
        yield found
    finally:
        process.terminate()
        await process.wait()


async def test_templates_print_what_alertmanagers_print(real: Real, catcher: Catcher, tmp_path: Path) -> None:  # noqa: F811
    alerts = [
        Alert(Labels({"alertname": "A", "x": x}), {"s": words}, BORN + more)
        for x, words, more in sorted(PAIRS)
    ]
    body = [
        {
            "labels": dict(alert.labels),
            "annotations": dict(alert.annotations),
            "startsAt": format_moment(alert.starts_at),
        }
        for alert in alerts
    ]
    await asyncio.to_thread(real.ask, "/api/v2/alerts", body)
    for _ in range(100):
        if len(catcher.requests) == len(FIELDS):
            break
        await asyncio.sleep(0.05)
    theirs = {request.path: request.json["attachments"][0]["text"] for request in catcher.requests}
    ours = [{"url": f"{catcher.url}ours", "payload": {"t": text}} for text in FIELDS]
    receivers = [{"name": "te.am", "webhook_configs": ours}]
    sender = Sender(settings_of({"receiver": "te.am"}, receivers, templates=[str(tmp_path / "mine.tmpl")]))
    what = told(alerts, group_labels=Labels({"alertname": "A"}))
    printed = {}
    for number, field in enumerate(FIELDS):
        before = len(catcher.requests)
        mine = replace(what, delivery=Delivery("{}", "te.am", f"webhook[{number}]"))
        assert (await sender.send(mine)).ok
        printed[field] = catcher.requests[before].json["t"]
    await sender.close()
    assert printed == {field: theirs.get(f"/{number}", "nothing") for number, field in enumerate(FIELDS)}


async def test_a_forwarded_alert_fires_there_and_ends_when_it_ended_here(real: Real) -> None:
    now = round(time.time() * 1000)
    receivers = [{"name": "team", "alertmanager_configs": [{"url": real.url}]}]
    sender = Sender(settings_of({"repeat_interval": "1m", "group_interval": "1m"}, receivers))
    firing = Alert(Labels({"alertname": "Forwarded"}), {"s": "x"}, now - 1000, generator_url="http://owl/g")
    what = replace(told([firing], "alertmanager[0]"), at=now)
    assert (await sender.send(what)).ok
    [seen] = await real.until("/api/v2/alerts?filter=alertname=Forwarded", bool)
    assert seen["generatorURL"] == "http://owl/g"
    over = replace(firing, ends_at=now)
    assert (await sender.send(replace(told([over], "alertmanager[0]"), at=now))).ok
    await real.until("/api/v2/alerts?filter=alertname=Forwarded", lambda answer: answer == [])
    await sender.close()
