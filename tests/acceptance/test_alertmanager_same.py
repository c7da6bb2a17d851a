"""A plain alertmanager.yml does with us what it does with the real Alertmanager.

The numbers are those of the behaviours that Alertmanager's own acceptance tests assert. NAMED says where the
two must differ. All scenarios run at once, so that the whole takes as long as the longest.
"""

from __future__ import annotations

import asyncio
import shutil
from typing import Any

import pytest

from tests.acceptance.pair import Outcome, Scenario, Side, described, run

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.peer,
    pytest.mark.skipif(shutil.which("prometheus-alertmanager") is None, reason="no prometheus-alertmanager"),
]

NAMED = {
    "utf8": "0.25 refuses label names beyond [a-zA-Z_][a-zA-Z0-9_]*, 0.27 and later and we take any UTF-8",
    "start delay": "0.25 has no --dispatch.start-delay (0.30); the default of 0 is what both do here",
    "retry": "0.25 retries within the flush by its own back-off, we by ours: the same is told, some s apart",
}
TOLERANCE = 1.0
END = 14.0

BASE: dict[str, Any] = {
    "global": {"resolve_timeout": "4s"},
    "inhibit_rules": [
        {
            "source_matchers": ['alertname="Cause"'],
            "target_matchers": ['alertname=~"Effect.*"'],
            "equal": ["sc", "site"],
        }
    ],
}
ROUTES: dict[str, list[dict[str, Any]]] = {
    "merge": [{"group_by": ["alertname"]}],
    "repeat": [{"repeat_interval": "1s", "group_interval": "2s"}],
    "retry": [{"receiver": "retry-ok"}, {"receiver": "retry-fails-2"}],
    "batching": [{}],
    "timeout": [{}],
    "unresolved": [{"send_resolved": False}],
    "inhibit": [{"group_by": ["alertname"]}],
    "together": [{"group_by": ["sc"]}],
    "silence": [{}],
    "unsilence": [{}],
    "states": [{"group_by": ["alertname"]}],
    "filters": [{}],
    "past": [{"group_wait": "6s"}],
    "alone": [{"group_by": ["..."]}],
    "override": [{}, {"receiver": "by-site", "group_by": ["site"]}],
    "utf8": [{}],
}


async def merge(side: Side) -> None:  # 1
    await side.fire("Early", since=-10, v="1")
    await side.fire("Late", since=-5, v="1")
    await side.until(1.5)
    await side.fire("Early", since=-5, v="2")
    await side.fire("Late", since=-10, v="2")
    await side.until(5)
    await side.fire("Late", since=-10, ends=4, v="3")
    await side.fire("Late", since=-10, ends=4.9, v="4")
    await side.until(9)
    await side.fire("Late", since=8, v="5")
    await side.until(END)
    side.seen["starts"] = {
        one["labels"]["alertname"]: one["annotations"]["v"] for one in await side.get("alerts")
    }


async def repeat(side: Side) -> None:  # 2
    await side.fire("A")
    await side.until(6.2)
    await side.fire("A", ends=6.1)
    await side.until(END)


async def retry(side: Side) -> None:  # 3
    await side.fire("A")
    await side.until(END)


async def batching(side: Side) -> None:  # 4
    await side.fire("A")
    await side.until(0.4)
    await side.fire("B")
    await side.until(2.5)
    await side.fire("C", since=2.5)
    await side.until(END)


async def timeout(side: Side) -> None:  # 5
    await side.fire("A", ends=None)
    await side.fire("B")
    await side.until(END)


async def unresolved(side: Side) -> None:  # 6
    await side.fire("A")
    await side.until(2)
    await side.fire("A", ends=1.9)
    await side.until(8.5)
    await side.fire("A", since=8.5)
    await side.until(END)


async def inhibit(side: Side) -> None:  # 8
    await side.fire("Effect1", site="x")
    await side.fire("Effect2", site="y")
    await side.until(2)
    await side.fire("Cause", since=2, site="x")
    await side.fire("Effect3", since=2, site="x")
    await side.until(7.4)
    await side.fire("Cause", since=2, ends=7.3, site="x")
    await side.until(END)


async def together(side: Side) -> None:  # 8: source and target end together
    await side.fire("Effect", site="x")
    await side.until(2)
    await side.fire("Cause", since=2, site="x")
    await side.until(6)
    await side.fire("Cause", since=2, ends=5.9, site="x")
    await side.fire("Effect", ends=5.9, site="x")
    await side.until(END)


async def silence(side: Side) -> None:  # 9
    await side.silence(6.5, alertname="A")
    await side.fire("A", "B")
    await side.until(END)


async def unsilence(side: Side) -> None:  # 9
    made = await side.silence(100, alertname="A")
    await side.fire("A", "B")
    await side.until(2)
    side.seen["state"] = [one["status"]["state"] for one in await side.get("silences")]
    await side.until(5)
    await side.expire(made)
    await side.until(END)
    side.seen["expired"] = [one["status"]["state"] for one in await side.get("silences")]


async def states(side: Side) -> None:  # 10
    await side.fire("Effect", "Other", site="x")
    await side.until(2)
    side.seen["active"] = await side.states()
    made = await side.silence(100, alertname="Effect")
    side.seen["silenced"] = await side.states()
    await side.fire("Cause", since=2, site="x")
    await side.until(3)  # ours takes it in with the next tick, theirs at once
    side.seen["inhibited too"] = await side.states()
    await side.expire(made)
    side.seen["inhibited"] = await side.states()


async def filters(side: Side) -> None:  # 11
    await side.silence(100, alertname="Quiet")
    await side.fire("Effect1", "Cause", "Quiet", "Plain", site="x")
    await side.until(3)
    for name in ("active", "silenced", "inhibited", "unprocessed"):
        side.seen[f"no {name}"] = sorted(await side.states(**{name: "false"}))
    side.seen["matcher"] = sorted(await side.states('alertname=~"P.*"'))
    side.seen["not"] = sorted(await side.states('alertname!="Plain"'))
    side.seen["receiver"] = sorted(await side.states(receiver="filt.*"))
    side.seen["other receiver"] = sorted(await side.states(receiver="batching"))
    groups = await side.get("alerts/groups")
    side.seen["groups"] = [(one["labels"], one["receiver"]["name"], len(one["alerts"])) for one in groups]


async def past(side: Side) -> None:  # a start longer ago than group_wait is told at once
    await side.fire("A", since=-60)
    await side.until(END)


async def alone(side: Side) -> None:  # group_by: ["..."]
    await side.fire("A", "B", site="x")
    await side.fire("A", site="y")
    await side.until(END)


async def override(side: Side) -> None:  # continue, and a group_by of its own
    await side.fire("A", site="x")
    await side.fire("B", site="y")
    await side.until(END)


async def utf8(side: Side) -> None:  # 13
    side.seen["bad"] = await side.post([{"labels": {}}])
    side.seen["bad value"] = await side.post([{"labels": {"alertname": ""}}])


SCENARIOS: dict[str, Scenario] = {
    name: globals()[name]
    for name in ROUTES  # each is the function of that name
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Outcome]]:
    return asyncio.run(run(tmp_path_factory.mktemp("pair"), SCENARIOS, ROUTES, BASE))


@pytest.mark.parametrize("name", SCENARIOS)
def test_both_say_the_same(name: str, outcomes: dict[str, dict[str, Outcome]]) -> None:
    theirs, ours = outcomes[name]["Alertmanager"], outcomes[name]["Fleetowl"]
    assert ours.seen == theirs.seen
    both = f"theirs {described(theirs.told)}\nours {described(ours.told)}"
    assert [one.content for one in ours.told] == [one.content for one in theirs.told], both
    if name not in NAMED:
        for their, our in zip(theirs.told, ours.told, strict=True):
            assert abs(their.at - our.at) <= TOLERANCE, both


def test_the_scenarios_say_something(outcomes: dict[str, dict[str, Outcome]]) -> None:
    silent = {name for name, sides in outcomes.items() if not sides["Alertmanager"].told}
    assert silent == {"utf8"}
