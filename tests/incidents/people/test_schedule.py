"""Every moment has one person or a named gap, also where the clocks change."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incidents.people.schedule import Schedule, Times
from incidents.people.settings import ScheduleSettings, TimesSettings
from model.moment import DAY, HOUR, MINUTE

BERLIN = "Europe/Berlin"


def schedule(*layers: dict[str, Any], zone: str = BERLIN, overrides: list[Any] | None = None) -> Schedule:
    body = {"name": "ops", "time_zone": zone, "layers": layers, "overrides": overrides or []}
    return Schedule(ScheduleSettings.model_validate(body))


def at(text: str, zone: str = BERLIN, fold: int = 0) -> int:
    wall = datetime.fromisoformat(text).replace(fold=fold)
    return round(wall.replace(tzinfo=wall.tzinfo or ZoneInfo(zone)).timestamp() * 1000)


def test_weekly_turns_hand_over_on_the_weekday_and_time_of_the_start() -> None:
    ops = schedule({"people": ["ada", "bo", "cy"], "start": "2026-11-16"})
    assert ops.on_duty(at("2026-11-23T08:59")).person == "ada"
    assert ops.on_duty(at("2026-11-23T09:00")).person == "bo"
    assert ops.on_duty(at("2026-12-07T09:00")).person == "ada"
    assert ops.on_duty(at("2026-11-16T08:59")).person is None  # nobody before the start
    assert "nobody is on duty in ops at" in ops.on_duty(at("2026-11-01T00:00")).why


@pytest.mark.parametrize(
    ("handover", "before", "after"),
    [
        # 2026-03-29: 02:00 CET becomes 03:00 CEST. 02:30 is not there: it is 01:30 UTC, 03:30 CEST.
        ("02:30", "2026-03-29T01:29:59Z", "2026-03-29T01:30:00Z"),
        ("03:00", "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"),
        # 2026-10-25: 03:00 CEST becomes 02:00 CET. 02:30 is there twice: the first counts, once.
        ("02:30", "2026-10-25T00:29:59Z", "2026-10-25T00:30:00Z"),
        ("02:00", "2026-10-24T23:59:59Z", "2026-10-25T00:00:00Z"),
    ],
)
def test_a_handover_where_the_clocks_change_happens_once(handover: str, before: str, after: str) -> None:
    ops = schedule(
        {"people": ["ada", "bo"], "rotation": "daily", "handover": handover, "start": "2024-01-01"}
    )
    first, second = ops.on_duty(at(before)), ops.on_duty(at(after))
    assert first.person != second.person
    assert first.until == at(after)
    around = [at(after) + minutes * MINUTE for minutes in range(-12 * 60, 12 * 60)]
    people = [ops.on_duty(moment).person for moment in around]
    assert sum(one != other for one, other in pairwise(people)) == 1


def test_a_day_of_a_daily_turn_is_as_long_as_the_wall_clock_says() -> None:
    ops = schedule({"people": ["ada", "bo"], "rotation": "daily", "handover": "09:00", "start": "2024-01-01"})
    spring, autumn = ops.changes(at("2026-03-28T09:00")), ops.changes(at("2026-10-24T09:00"))
    (first, _), (second, _) = next(spring), next(spring)
    assert second - first == 23 * HOUR
    (first, _), (second, _) = next(autumn), next(autumn)
    assert second - first == 25 * HOUR


def test_the_29th_of_february_is_a_day_like_others() -> None:
    ops = schedule({"people": ["ada", "bo"], "rotation": "daily", "start": "2028-02-28"}, zone="UTC")
    days = ["2028-02-28", "2028-02-29", "2028-03-01", "2028-03-02"]
    assert [ops.on_duty(at(f"{day}T12:00", "UTC")).person for day in days] == ["ada", "bo", "ada", "bo"]


def test_layers_fill_one_another_and_restrictions_may_pass_midnight() -> None:
    night = {"people": ["cy"], "restrictions": [{"from": "18:00", "to": "08:00"}]}
    office = {
        "people": ["ada"],
        "restrictions": [{"weekdays": "monday:friday", "from": "08:00", "to": "18:00"}],
    }
    ops = schedule(night, office)
    assert ops.on_duty(at("2026-11-20T07:59")).person == "cy"
    assert ops.on_duty(at("2026-11-20T08:00")).person == "ada"
    assert ops.on_duty(at("2026-11-20T18:00")).person == "cy"
    assert ops.on_duty(at("2026-11-21T12:00")).person is None  # a Saturday at noon
    gap = ops.first_gap(at("2026-11-20T12:00"), 28 * DAY)
    assert gap == "nobody is on duty in ops from Sat 2026-11-21 08:00 CET until Sat 2026-11-21 18:00 CET"
    assert schedule(night, {"people": ["bo"]}).first_gap(at("2026-11-20T12:00"), 28 * DAY) == ""


def test_an_override_stands_across_a_handover_and_a_change_of_the_clocks() -> None:
    override = {"who": "cy", "from": "2026-10-24T18:00", "until": "2026-10-26T18:00"}
    ops = schedule(
        {"people": ["ada", "bo"], "rotation": "daily", "start": "2024-01-01"}, overrides=[override]
    )
    assert ops.on_duty(at("2026-10-24T17:59")).person in ("ada", "bo")
    for hours in range(49):  # 48 hours on the wall are 49 here
        assert ops.on_duty(at("2026-10-24T18:00") + hours * HOUR).person == "cy"
    assert ops.on_duty(at("2026-10-26T18:00")).person in ("ada", "bo")
    assert "cy stands in until Mon 2026-10-26 18:00 CET" in ops.on_duty(at("2026-10-25T02:30", fold=1)).why


def test_who_is_next_is_somebody_else() -> None:
    ops = schedule({"people": ["ada", "ada", "bo"], "start": "2026-11-16"})
    shown = ops.document(at("2026-11-20T12:00"))
    assert (shown["now"], shown["next"], shown["from"]) == ("ada", "bo", "Mon 2026-11-30 09:00 CET")
    assert schedule({"people": ["ada"]}).document(at("2026-11-20T12:00"))["next"] == ""


def test_times_that_follow_one_another_end_with_the_last() -> None:
    body = [{"weekdays": "fri", "from": "20:00", "to": "24:00"}, {"weekdays": "sat:sun"}]
    quiet = Times(tuple(TimesSettings.model_validate(one) for one in body), ZoneInfo(BERLIN))
    assert quiet.end_of(at("2026-11-20T21:00")) == at("2026-11-23T00:00")
    assert at("2026-11-20T19:59") not in quiet


names = st.sampled_from(["ada", "bo", "cy"])
times = st.integers(0, 1440)
windows = st.fixed_dictionaries(
    {"weekdays": st.lists(st.integers(0, 6), min_size=1, max_size=7), "from": times, "to": times}
)
layers = st.fixed_dictionaries(
    {
        "people": st.lists(names, min_size=1, max_size=4),
        "rotation": st.sampled_from(["daily", "weekly"]),
        "handover": times,
        "start": st.dates(datetime(2026, 2, 1).date(), datetime(2026, 11, 30).date()),
        "restrictions": st.lists(windows, max_size=2),
    }
)


@settings(max_examples=60, deadline=None)
@given(
    found=st.lists(layers, min_size=1, max_size=3),
    zone=st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "UTC"]),
    # around both changes of the clocks in Berlin, and anywhere in the year
    now=st.one_of(
        *(
            st.integers(at(f"{day}T00:00:00Z") - 2 * DAY, at(f"{day}T00:00:00Z") + 2 * DAY)
            for day in ("2026-03-29", "2026-10-25")
        ),
        st.integers(at("2026-01-01T00:00:00Z"), at("2026-12-31T00:00:00Z")),
    ),
    share=st.floats(0, 0.999),
)
def test_every_moment_has_one_person_or_a_gap_that_says_so(
    found: list[dict[str, Any]], zone: str, now: int, share: float
) -> None:
    ops = schedule(
        *found, zone=zone, overrides=[{"who": "cy", "from": "2026-10-24T20:00", "until": "2026-10-25T20:00"}]
    )
    duty = ops.on_duty(now)
    assert duty.person in {"ada", "bo", "cy"} or (duty.person is None and "nobody is on duty" in duty.why)
    assert duty.until is not None
    assert duty.until > now
    within = now + int((duty.until - now) * share)
    assert ops.on_duty(within).person == duty.person  # nothing changes before it is looked at anew
