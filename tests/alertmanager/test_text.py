"""What a person reads at night: the first line alone says enough, and two links are at hand."""

from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from alertmanager.template.printers import ESCAPES, LINKS
from alertmanager.text import body, cut_bytes, ended, line, rest_url, title
from model.alert import Alert, Tier
from model.labels import Labels
from tests.alertmanager.receivers.told import BRIEF, GONE, LOST, T0, told


def test_an_incident_leads_the_message() -> None:
    what = told(briefs=(BRIEF,))
    assert title(what) == (
        "[P1 firing] GPU 3 of n1 is lost: 1 replica of chat, 12 % of its traffic INC-20261120-0001"
    )
    assert body(what, "https://owl.example").splitlines()[:7] == [
        "Most likely cause: the GPU fell off the bus (XID 79).",
        "Held back: 14 alerts.",
        "Acknowledge: https://owl.example/ack?t=abc",
        "INC-20261120-0001: https://owl.example/api/v1/incidents/INC-20261120-0001",
        "",
        "P1 GpuLost: node n1, GPU 3",
        "GPU 3 has fallen off the bus",
    ]
    assert body(what, "https://owl.example").count("/api/v1/incidents/") == 1
    assert title(told(briefs=(BRIEF, replace(BRIEF, incident="INC-2")))).endswith(
        "(+1 more) INC-20261120-0001, INC-2"
    )


def test_a_page_says_its_tier_once_and_what_is_new() -> None:
    status = told([], headline="P0 INC-1 n1 lost: open for 15m", group_key="page:status:INC-1:1")
    page = replace(status, urgency=Tier.P0, why="in the last 15m: n2 was lost too")
    assert title(page) == "P0 INC-1 n1 lost: open for 15m"
    assert body(page) == "in the last 15m: n2 was lost too"
    digest = replace(page, headline="3 incidents need somebody", urgency=Tier.P3, why="a\nb")
    assert title(digest) == "[P3] 3 incidents need somebody"
    assert body(digest) == "a b"
    assert line(digest) == "[P3] 3 incidents need somebody"
    assert not ended(digest)
    assert ended(told([GONE]))
    assert "first of its group" not in body(replace(told(), why="first of its group"))


def test_without_anything_to_say_there_is_still_a_line() -> None:
    assert title(told([])) == "[P3] notice"
    assert body(told([])) == ""


def test_what_does_not_fit_is_counted_and_linked() -> None:
    many = [Alert(Labels({"alertname": "A", "gpu": str(n)}), {"summary": "x" * 300}, T0) for n in range(9)]
    what = told(many, group_labels=Labels({"alertname": "A"}))
    text = body(what, "https://owl.example", 1000)
    assert len(text.encode()) <= 1000
    assert text.endswith("and 7 more alerts: https://owl.example/api/v2/alerts?filter=alertname%3D%22A%22")
    assert rest_url(what, "") == ""


@given(st.integers(3, 400), st.text(max_size=200), st.text(max_size=200))
def test_no_text_is_longer_than_asked(limit: int, summary: str, why: str) -> None:
    alert = replace(LOST, annotations={"summary": summary})
    what = replace(told([alert], group_key="page:x", briefs=(BRIEF,)), why=why)
    assert len(body(what, "https://owl.example", limit).encode(errors="replace")) <= limit
    assert len(cut_bytes(summary, limit).encode(errors="replace")) <= limit
    assert title(what).isprintable()


@given(st.integers(3, 600), st.text("ab*_.é\\", max_size=80))
def test_no_escape_and_no_link_is_cut(limit: int, why: str) -> None:
    what = replace(told([LOST], group_key="page:x", briefs=(BRIEF,)), why=why)
    text = body(what, "https://owl.example", limit, quote=ESCAPES["MarkdownV2"], link=LINKS["MarkdownV2"])
    outside = re.sub(r"\[(?:\\.|[^\]\\])*\]\((?:\\.|[^)\\])*\)", "", text)
    assert not re.search(r"[_*\[\]()~`>#+=|{}.!\\-]", re.sub(r"\\.", "", outside)), text
