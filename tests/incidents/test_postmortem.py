from __future__ import annotations

from incidents.postmortem import postmortem
from tests.incidents.faults import node, pod, say
from tests.incidents.house import House

HOSTILE = "n3</td><script>alert(1)</script>\n# INC-1: fake\n- [x] **done** `x` {{ .Alerts }}"


def test_what_is_known_of_an_incident_is_filled_in() -> None:
    signs = [
        say("node", "NodeDown", "critical", 10, 300, **node(3)),
        say("node", "VllmDown", "critical", 20, 300, **pod(3)),
    ]
    house = House().play(signs)
    [incident] = house.incidents.ordered(everything=True)
    house.incidents.event("n3", 1_795_132_860_000, "the agent of n3 said: NVRM: Xid 79")
    text = postmortem(incident, house.incidents.timeline(incident.id))
    for part in (
        "# Post-mortem of INC-20261120-0001: NodeDown on node/n3",
        "of which people were told of 1",
        "stands on node/n3",
        "notified log (log",
        "- [ ] Acknowledge within 15m",
        "## What we change",
        "**Share of the replicas**: 100 % of chat",
    ):
        assert part in text, part
    described = house.incidents.describe(incident.id)
    assert described is not None
    assert described["postmortem"] == text
    assert {item["phase"] for item in described["checklist"]} == {"respond", "resolve", "afterwards"}


def test_a_label_value_is_inert_in_markdown_and_html() -> None:
    house = House().play([say("x", "NodeDown", "critical", 10, 300, node=HOSTILE)], until=60)
    [incident] = house.incidents.ordered()
    text = postmortem(incident, house.incidents.timeline(incident.id))
    lines = text.splitlines()
    assert "<script>" not in "".join(line for line in lines if not line.lstrip("*").count("`"))
    assert sum(line.startswith("# ") for line in lines) == 1
    assert not any(line.startswith("- [x]") for line in lines)
    [brief] = house.incidents.briefs([incident.id])
    assert "\n" not in brief.title


def test_an_event_of_a_node_is_in_the_incidents_that_speak_of_it() -> None:
    house = House().play([say("x", "NodeDown", "critical", 10, 300, **node(3))], until=60)
    [incident] = house.incidents.ordered()
    house.incidents.event("n3", 1_795_132_860_000, "XID 79 on GPU 3")
    house.incidents.event("n4", 1_795_132_860_000, "XID 13 on GPU 0")
    events = [entry.sentence for entry in house.incidents.timeline(incident.id) if entry.kind == "event"]
    assert events == ["XID 79 on GPU 3"]


def test_a_brief_says_the_cause_the_reach_and_what_was_held_back() -> None:
    signs = [
        say("node", "NodeDown", "critical", 10, 300, **node(3)),
        *(say("node", "VllmDown", "critical", 12, 300, **pod(3, index)) for index in range(3)),
    ]
    house = House()
    house.incidents.external_url = "https://owl.example/"
    house.play(signs, until=60)
    [incident] = house.incidents.ordered()
    [brief] = house.incidents.briefs([incident.id])
    assert brief.title == "NodeDown on node/n3"
    assert "3 symptoms held back: 3 x VllmDown." in brief.lines
    assert brief.url == "https://owl.example/api/v1/incidents/INC-20261120-0001"
