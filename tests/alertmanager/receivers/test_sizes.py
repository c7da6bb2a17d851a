"""No message is larger than the cap, and what a service knows the matter by is never cut."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alertmanager.fitting import IDENTITY, fitted_body
from alertmanager.receivers.pagerduty import LISTED
from model.alert import Alert
from model.labels import Labels
from tests.alertmanager.receivers.catcher import NASTY, Catcher
from tests.alertmanager.receivers.test_channels import CONFIGS
from tests.alertmanager.receivers.told import BRIEF, told

MANY = [
    Alert(
        Labels({"alertname": "A", "gpu": str(number), **{f"label_{n}": NASTY * 3 for n in range(40)}}),
        {"summary": NASTY + "ü" * 5000},
        1,
        incident=f"INC-{number}",
    )
    for number in range(60)
]
BRIEFS = tuple(replace(BRIEF, incident=f"INC-20261126-{n:04d}") for n in range(300))
STORM = told(MANY, "x[0]", briefs=BRIEFS, group_labels=MANY[0].labels)


@pytest.mark.parametrize("kind", [kind for kind in CONFIGS if kind not in ("pushover", "alertmanager")])
@pytest.mark.parametrize("cap", [4, 16])
async def test_no_message_is_larger_than_the_cap(catcher: Catcher, kind: str, cap: int) -> None:
    config = {f"{kind}_configs": [CONFIGS[kind](catcher.url)]}
    what = replace(STORM, delivery=STORM.delivery._replace(integration=f"{kind}[0]"))
    few = told(integration=f"{kind}[0]", group_key=what.group_key, group_labels=what.group_labels)
    outcome, requests = await catcher.told(config, what, fleetowl={"max_payload": f"{cap}KiB"})
    assert outcome.ok
    assert all(len(request.raw) <= cap << 10 for request in requests), kind
    _, smaller = await catcher.told(config, few)
    if kind not in ("sns", "webhook", "incidentio"):
        for name, value in smaller[-1].json.items():
            if name in IDENTITY:
                assert requests[-1].json[name] == value


async def test_pagerduty_counts_the_incidents_that_it_does_not_list(catcher: Catcher) -> None:
    config = {"pagerduty_configs": [{"routing_key": "r" * 32, "url": catcher.url}]}
    _, [request] = await catcher.told(config, told(integration="pagerduty[0]", briefs=BRIEFS))
    details = request.json["payload"]["custom_details"]
    assert len(details["incidents"]) == LISTED[0]
    assert details["more_incidents"] == str(300 - LISTED[0])
    assert request.json["routing_key"] == "r" * 32


texts = st.text(max_size=30) | st.builds("".join, st.lists(st.sampled_from([NASTY, "ü" * 99]), max_size=40))
links = st.just("https://owl.example/" + "x" * 100)
values = st.recursive(
    texts | links,
    lambda inner: (
        st.lists(inner, max_size=60) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=8)
    ),
    max_leaves=40,
)


@settings(max_examples=40)
@given(
    st.fixed_dictionaries(
        {"dedup_key": st.just("k" * 300), "custom_details": st.dictionaries(texts, texts, max_size=80)},
        optional={"payload": values, "links": st.lists(st.fixed_dictionaries({"href": links}), max_size=300)},
    )
)
def test_a_body_fits_and_keeps_its_identity(message: dict[str, Any]) -> None:
    body = fitted_body(message, 4096)
    assert len(body) <= 4096
    assert json.loads(body)["dedup_key"] == "k" * 300


def test_what_is_left_out_of_a_list_of_texts_is_counted() -> None:
    tags = json.loads(fitted_body({"tags": ["x" * 60] * 500}, 4096))["tags"]
    assert tags[-1] == f"… ({500 - (len(tags) - 1)} more)"
    links = [{"href": "https://owl.example/" + "y" * 200}] * 100
    assert {each["href"] for each in json.loads(fitted_body({"links": links}, 4096))["links"]} == {
        links[0]["href"]
    }
