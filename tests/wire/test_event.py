"""Events as frames carry them: what goes in comes out, what is old is taken, no more than fits."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.labels import NAME, Labels
from wire.event import LONGEST_TEXT, MOST_AHEAD, AheadSample, EventRecord, pack_event, unpack_event
from wire.frames import LATEST, FrameLimits, MalformedFrame

XIDS = Labels({NAME: "fleetowl_xid_total", "node": "n1", "xid": "79"})
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
MOMENT = st.integers(1, LATEST - 1)
LABELS = st.dictionaries(TEXT, TEXT, max_size=3)
AHEAD = st.builds(
    AheadSample,
    LABELS.map(lambda labels: Labels({**labels, NAME: "m"})),
    st.floats(allow_nan=False),
    MOMENT,
)
EVENTS = st.builds(
    EventRecord, TEXT, LABELS, st.floats(allow_nan=False), MOMENT, TEXT, TEXT, st.lists(AHEAD).map(tuple)
)


@given(EVENTS)
def test_what_goes_in_comes_out(event: EventRecord) -> None:
    assert unpack_event(pack_event(event)) == event


def test_what_an_earlier_agent_sends() -> None:
    old = {"type": "xid", "labels": {"node": "n1", "gpu": "3"}, "value": 79, "at": 5, "more": [1]}
    found = unpack_event(json.dumps(old).encode())
    assert found == EventRecord("xid", {"node": "n1", "gpu": "3"}, 79.0, 5, node="n1")
    assert unpack_event(b'{"type":"xid"}') == EventRecord("xid")


def test_numbers_without_bounds() -> None:
    event = EventRecord("x", value=math.inf, at=1, ahead=(AheadSample(XIDS, -math.inf, 1),))
    assert unpack_event(pack_event(event)) == event
    assert unpack_event(b'{"type":"x","value":%d}' % -(10**400)).value == -math.inf


GOOD: dict[str, Any] = {"type": "xid", "ahead": [[XIDS.pairs, 1, 5]]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": ""},
        {"type": "x" * 65},
        {"node": 5},
        {"labels": []},
        {"labels": {"a": 5}},
        {"labels": {str(number): "" for number in range(33)}},
        {"value": "79"},
        {"value": True},
        {"at": -1},
        {"at": 1.5},
        {"at": LATEST},
        {"text": "x" * (LONGEST_TEXT + 1)},
        {"ahead": {}},
        {"ahead": [[XIDS.pairs, 1, 5]] * (MOST_AHEAD + 1)},
        {"ahead": [[XIDS.pairs, 1]]},
        {"ahead": [[XIDS.pairs, None, 5]]},
        {"ahead": [[XIDS.pairs, 1, -5]]},
        {"ahead": [["ab", 1, 5]]},
        {"ahead": [[5, 1, 5]]},
        {"ahead": [[[["node", "n1"]], 1, 5]]},
        {"ahead": [7]},
    ],
    ids=str,
)
def test_what_is_wrong_or_too_much_is_malformed(wrong: dict[str, Any]) -> None:
    unpack_event(json.dumps(GOOD).encode())
    with pytest.raises(MalformedFrame):
        unpack_event(json.dumps(GOOD | wrong).encode())


def test_the_limits_of_a_series_hold_for_what_goes_ahead() -> None:
    with pytest.raises(MalformedFrame, match="labels"):
        unpack_event(json.dumps(GOOD).encode(), FrameLimits(labels=2))
    with pytest.raises(MalformedFrame, match="too long"):
        unpack_event(json.dumps(GOOD).encode(), FrameLimits(label_length=12))


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"type":5}', b"nope", b"[" * 100_000])
def test_what_is_no_event_is_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedFrame):
        unpack_event(payload)
