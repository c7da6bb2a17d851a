"""Variants of a configuration: each key dropped, misspelt, emptied, or given a value of another kind."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

BASE: dict[str, Any] = {
    "global": {
        "resolve_timeout": "5m",
        "http_config": {"follow_redirects": True, "tls_config": {"insecure_skip_verify": True}},
        "smtp_smarthost": "localhost:25",
        "smtp_from": "owl@example.org",
        "smtp_require_tls": False,
        "slack_api_url": "http://slack.example/hook",
        "opsgenie_api_key": "key",
        "victorops_api_key_file": "/key",
    },
    "templates": ["/nowhere/*.tmpl"],
    "route": {
        "receiver": "a",
        "group_by": ["alertname", "cluster"],
        "group_wait": "30s",
        "group_interval": "5m",
        "repeat_interval": "3h",
        "routes": [
            {
                "receiver": "b",
                "match": {"service": "x"},
                "match_re": {"owner": "^(a|b)$"},
                "continue": True,
                "mute_time_intervals": ["nights"],
                "routes": [{"matchers": ['severity="critical"', "env=~prod|dev"], "group_by": ["..."]}],
            },
            {"receiver": "a", "active_time_intervals": ["nights", "old"]},
        ],
    },
    "inhibit_rules": [
        {
            "source_match": {"severity": "critical"},
            "target_match_re": {"severity": "warning|info"},
            "equal": ["alertname"],
        },
        {"source_matchers": ["a=b"], "target_matchers": ['c!="d"'], "equal": ["e"]},
    ],
    "time_intervals": [
        {
            "name": "nights",
            "time_intervals": [
                {
                    "times": [{"start_time": "22:00", "end_time": "24:00"}],
                    "weekdays": ["monday:friday", "Sunday"],
                    "days_of_month": ["1:5", "-3:-1"],
                    "months": ["january:march", "12"],
                    "years": ["2026:2028"],
                    "location": "Europe/Berlin",
                }
            ],
        }
    ],
    "mute_time_intervals": [{"name": "old", "time_intervals": []}],
    "receivers": [
        {
            "name": "a",
            "webhook_configs": [{"url": "http://127.0.0.1/", "send_resolved": False, "max_alerts": 5}],
            "email_configs": [{"to": "a@example.org", "headers": {"Subject": "x"}, "text": "t"}],
            "slack_configs": [{"channel": "#c", "fields": [{"title": "t", "value": "v"}]}],
            "pagerduty_configs": [{"routing_key": "k", "links": [{"href": "h"}]}],
        },
        {
            "name": "b",
            "opsgenie_configs": [{"responders": [{"name": "team", "type": "team"}]}],
            "victorops_configs": [{"routing_key": "r", "custom_fields": {"a": "b"}}],
            "pushover_configs": [{"user_key": "u", "token": "t", "retry": "1m"}],
            "telegram_configs": [{"chat_id": 5, "bot_token": "t"}],
            "sns_configs": [{"topic_arn": "arn", "sigv4": {"region": "r"}}],
            "wechat_configs": [{"api_secret": "s", "corp_id": "c"}],
        },
    ],
}

VALUES: tuple[Any, ...] = (
    None,
    "",
    "x",
    "5",
    5,
    "-1h",
    "a{b",
    [],
    {},
    ["x"],
    {"x": "y"},
    "24:01",
    "http:// x",
    True,
)

Place = tuple[str | int, ...]


def paths(node: Any, place: Place = ()) -> Iterator[Place]:
    """Every key and position in the tree."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*place, key)
        yield from paths(value, (*place, key))


def variants(base: dict[str, Any] = BASE) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each variant with what was done to it."""
    for place in paths(base):
        name = ".".join(map(str, place))
        yield f"drop {name}", _changed(base, place, "drop")
        if isinstance(place[-1], str):
            yield f"misspell {name}", _changed(base, place, "misspell")
        for value in VALUES:
            yield f"{name} = {value!r}", _changed(base, place, value)


def _changed(base: dict[str, Any], place: Place, value: Any) -> dict[str, Any]:
    whole = deepcopy(base)
    node: Any = whole
    for key in place[:-1]:
        node = node[key]
    last = place[-1]
    if value == "drop":
        del node[last]
    elif value == "misspell":
        node[f"{last}_"] = node.pop(last)
    else:
        node[last] = value
    return whole
