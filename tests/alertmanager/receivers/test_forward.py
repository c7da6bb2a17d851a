"""Forwarded alerts: what the other Alertmanager gets, and that it never believes an end that is none."""

from __future__ import annotations

import time

from alertmanager.receivers.forward import interval_of
from alertmanager.route import build_route
from model.alert import Alert
from model.labels import Labels
from model.moment import HOUR, MINUTE, parse_moment
from tests.alertmanager.night import ROUTE, settings_of
from tests.alertmanager.receivers.catcher import Catcher
from tests.alertmanager.receivers.told import GONE, LOST, T0, told


async def test_a_firing_alert_lives_until_it_is_surely_repeated(catcher: Catcher) -> None:
    config = {"alertmanager_configs": [{"url": f"{catcher.url}am/"}]}
    outcome, [request] = await catcher.told(config, told(integration="alertmanager[0]"))
    assert outcome.ok
    assert request.path == "/am/api/v2/alerts"
    firing, ended = request.json
    assert firing["labels"] == dict(LOST.labels)
    assert firing["generatorURL"] == LOST.generator_url
    lives = parse_moment(firing["endsAt"]) - time.time() * 1000
    assert abs(lives - 4 * (HOUR + MINUTE)) < 10_000  # repeat_interval 1h, group_interval 1m
    assert parse_moment(ended["endsAt"]) == GONE.ends_at


def test_the_slowest_route_to_the_receiver_counts() -> None:
    routes = [
        {"receiver": "peer", "repeat_interval": "1m", "group_interval": "10s", "matchers": ['a="1"']},
        {"receiver": "peer", "repeat_interval": "5m", "group_interval": "30s"},
    ]
    receivers = [{"name": "peer", "log_configs": [{}]}, {"name": "team", "log_configs": [{}]}]
    settings = settings_of({**ROUTE, "routes": routes}, receivers)
    assert interval_of(build_route(settings.route), "peer") == 5 * MINUTE + 30_000
    assert interval_of(build_route(settings.route), "team") == HOUR + MINUTE
    assert interval_of(build_route(settings.route), "nobody") == 0


async def test_a_storm_is_forwarded_in_parts_and_in_full(catcher: Catcher) -> None:
    many = [Alert(Labels({"alertname": "A", "n": str(n)}), {"d": "x" * 2000}, T0) for n in range(50)]
    many.append(Alert(Labels({"alertname": "B"}), {"d": "y" * 100_000}, T0))
    config = {"alertmanager_configs": [{"url": catcher.url}]}
    outcome, requests = await catcher.told(
        config, told(many, "alertmanager[0]"), fleetowl={"max_payload": "16KiB"}
    )
    assert outcome.ok
    assert all(len(request.raw) <= 16 << 10 for request in requests)
    assert sorted(alert["labels"].get("n", "") for request in requests for alert in request.json) == sorted(
        ["", *map(str, range(50))]
    )
