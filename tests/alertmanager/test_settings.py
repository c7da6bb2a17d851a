from __future__ import annotations

from typing import Any

import pytest

from alertmanager.route import build_route, routing_labels
from alertmanager.settings import AlertmanagerSettings, RouteSettings
from model.alert import Alert
from model.labels import Labels
from model.settings import ConfigurationError, load_section


def load(data: dict[str, Any]) -> AlertmanagerSettings:
    return load_section(AlertmanagerSettings, data, "fleetowl.yml", "alertmanager")


def problems(data: dict[str, Any]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(data)
    return str(caught.value)


def test_without_configuration_everything_goes_to_the_log_by_incident() -> None:
    settings = AlertmanagerSettings()
    route = build_route(settings.route)
    assert (route.receiver, route.group_by) == ("log", ("incident",))
    assert [kind for receiver in settings.receivers for kind, _, _ in receiver.integrations()] == ["log"]


def test_the_example_of_the_docstring_loads() -> None:
    import yaml

    from alertmanager import settings as module

    example = (module.__doc__ or "").partition("\n    alertmanager:\n")[2]
    settings = load(yaml.safe_load(example))
    tree = build_route(settings.route)
    assert [route.receiver for route in tree.match({"tier": "P0"})] == ["pager"]
    assert [route.receiver for route in tree.match({"tier": "P1"})] == ["team"]


def test_every_error_of_the_tree_is_said_at_once() -> None:
    text = problems(
        {
            "route": {
                "continue": True,
                "matchers": ['a="b"'],
                "routes": [{"receiver": "x"}, {"routes": [{"receiver": "y"}]}],
            },
            "receivers": [{"name": "a"}, {"name": "a"}],
        }
    )
    for expected in (
        "alertmanager.receivers.1.name: receiver 'a' is there 2 times",
        "alertmanager.route.receiver: is required",
        "alertmanager.route.matchers: must be empty",
        "alertmanager.route.continue: has no meaning",
        "alertmanager.route.routes.0.receiver: 'x' is not in receivers: known receivers: a",
        "alertmanager.route.routes.1.routes.0.receiver: 'y'",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"route": {"receiver": "log", "group_by": ["...", "a"]}}, "stands alone"),
        ({"route": {"receiver": "log", "group_by": ["a", "a"]}}, "named twice"),
        ({"route": {"receiver": "log", "group_interval": "0s"}}, "greater than 0"),
        ({"route": {"receiver": "log", "group_wait": "soon"}}, "not a duration"),
        ({"route": {"receiver": "log", "recevier": "x"}}, "did you mean receiver?"),
        (
            {"route": {"receiver": "log", "routes": [{"matchers": ["tier=~'("]}]}},
            "missing closing )",
        ),
        ({"receivers": [{"name": "log", "webhook_configs": [{}]}]}, "one of url and url_file"),
        (
            {"receivers": [{"name": "log", "webhook_configs": [{"url": "http://a", "url_file": "b"}]}]},
            "at most one of url and url_file",
        ),
        ({"receivers": [{"name": "log", "webhook_configs": [{"url": "ftp://a"}]}]}, "must start with http"),
        ({"receivers": [{"name": "log", "apprise_configs": [{}]}]}, "exactly one of urls and urls_file"),
        (
            {
                "receivers": [
                    {
                        "name": "log",
                        "webhook_configs": [
                            {
                                "url": "http://a",
                                "http_config": {
                                    "basic_auth": {"username": "u", "password": "p"},
                                    "authorization": {"credentials": "x"},
                                },
                            }
                        ],
                    }
                ]
            },
            "at most one of authorization and basic_auth",
        ),
    ],
)
def test_wrong_settings(data: dict[str, Any], expected: str) -> None:
    assert expected in problems(data)


def test_secrets_are_not_printed() -> None:
    settings = load(
        {
            "receivers": [
                {
                    "name": "log",
                    "webhook_configs": [{"url": "https://chat.example/T0K3N"}],
                    "apprise_configs": [{"urls": ["json://T0K3N"]}],
                }
            ]
        }
    )
    assert "T0K3N" not in repr(settings)
    assert "T0K3N" not in settings.model_dump_json()


TREE = {
    "receiver": "root",
    "group_by": ["alertname"],
    "group_wait": "10s",
    "routes": [
        {"receiver": "a", "matchers": ['team="a"'], "routes": [{"matchers": ['env="x"'], "group_by": []}]},
        {"receiver": "b", "matchers": ['team=~"a|b"'], "continue": True, "group_wait": "1s"},
        {"receiver": "c", "matchers": ['team="b"'], "group_by": ["..."]},
        {"matchers": ['team="d"']},
    ],
}


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({}, ["root"]),
        ({"team": "a"}, ["a"]),
        ({"team": "a", "env": "x"}, ["a"]),
        ({"team": "b"}, ["b", "c"]),
        ({"team": "d"}, ["root"]),
        ({"team": "zzz"}, ["root"]),
    ],
)
def test_first_match_stops_unless_continue(labels: dict[str, str], receivers: list[str]) -> None:
    tree = build_route(RouteSettings.model_validate(TREE))
    assert [route.receiver for route in tree.match(labels)] == receivers


def test_inheritance_and_keys() -> None:
    tree = build_route(RouteSettings.model_validate(TREE))
    [deep] = tree.match({"team": "a", "env": "x"})
    assert (deep.group_by, deep.group_wait, deep.key) == ((), 10_000, '{}/{team="a"}/{env="x"}')
    both = tree.match({"team": "b"})
    assert [route.group_wait for route in both] == [1_000, 10_000]


def test_group_labels() -> None:
    tree = build_route(RouteSettings.model_validate(TREE))
    alert = Alert(Labels({"alertname": "A", "team": "b"}), incident="INC-1")
    by_name, by_all = (route.group_labels(alert) for route in tree.match(alert.labels))
    assert by_name == Labels({"alertname": "A"})
    assert by_all == alert.labels
    assert routing_labels(alert)["incident"] == "INC-1"
    assert routing_labels(alert)["tier"] == "P3"


def test_a_rate_of_nobody_is_an_error() -> None:
    text = problems({"receivers": [{"name": "log"}], "fleetowl": {"rates": {"lgo": {}}}})
    assert "alertmanager.fleetowl.rates.lgo: 'lgo' is no receiver: did you mean log?" in text
