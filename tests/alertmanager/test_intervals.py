from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alertmanager.intervals import Intervals
from alertmanager.route import Route
from alertmanager.settings import AlertmanagerSettings, TimeIntervalSettings
from model.moment import HOUR, MINUTE
from model.settings import ConfigurationError, load_section

WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]


def named(*intervals: dict[str, Any], name: str = "x") -> Intervals:
    data = {"name": name, "time_intervals": list(intervals)}
    return Intervals([load_section(TimeIntervalSettings, data, "alertmanager.yml")])


def at(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)


def times(start: str, end: str) -> dict[str, Any]:
    return {"times": [{"start_time": start, "end_time": end}]}


@pytest.mark.parametrize(
    ("interval", "inside", "outside"),
    [
        ({}, ["2020-01-01T00:00", "1999-12-31T23:59"], []),
        (times("09:00", "17:00"), ["2020-07-08T09:00", "2020-07-08T16:59:59"], ["2020-07-08T17:00"]),
        (times("23:00", "24:00"), ["2020-07-08T23:59:59"], ["2020-07-09T00:00", "2020-07-08T22:59"]),
        ({"weekdays": ["monday:friday"]}, ["2020-07-10T12:00"], ["2020-07-11T00:00", "2020-07-12T12:00"]),
        ({"weekdays": ["Sunday", "saturday"]}, ["2020-07-12T12:00"], ["2020-07-13T00:00"]),
        ({"weekdays": ["sunday:monday"]}, ["2020-07-12T12:00", "2020-07-13T00:00"], ["2020-07-14T00:00"]),
        ({"days_of_month": ["1:5"]}, ["2020-07-05T23:59"], ["2020-07-06T00:00"]),
        ({"days_of_month": ["-1"]}, ["2020-02-29T12:00", "2021-02-28T12:00"], ["2020-02-28T12:00"]),
        ({"days_of_month": ["-3:-1"]}, ["2021-04-28T00:00", "2021-04-30T00:00"], ["2021-04-27T00:00"]),
        ({"days_of_month": ["10:-5"]}, ["2021-02-24T00:00"], ["2021-02-25T00:00", "2021-02-09T00:00"]),
        ({"days_of_month": ["31"]}, ["2021-01-31T00:00"], ["2021-04-30T23:59"]),
        ({"days_of_month": ["1:31"]}, ["2021-02-28T23:59"], []),
        ({"days_of_month": ["-31:-29"]}, ["2021-01-03T00:00", "2021-04-02T00:00"], ["2021-02-01T00:00"]),
        ({"months": ["june:7", "December"]}, ["2020-07-31T23:59", "2020-12-01T00:00"], ["2020-08-01T00:00"]),
        ({"years": ["2020:2022", "2030"]}, ["2022-12-31T23:59", "2030-06-01T00:00"], ["2023-01-01T00:00"]),
        (
            {**times("09:00", "17:00"), "weekdays": ["monday"], "months": ["january"], "years": ["2026"]},
            ["2026-01-05T10:00"],
            ["2026-01-06T10:00", "2026-02-02T10:00", "2026-01-05T08:59", "2025-01-06T10:00"],
        ),
        (
            {**times("09:00", "17:00"), "location": "Australia/Sydney"},
            ["2026-01-14T22:00", "2026-07-14T23:00"],
            ["2026-01-15T06:00", "2026-07-14T22:59"],
        ),
        # The night of the change of clocks in Berlin: from 2 to 3 in spring, from 3 back to 2 in autumn.
        (
            {**times("02:00", "03:00"), "location": "Europe/Berlin"},
            ["2026-10-25T00:30", "2026-10-25T01:59"],
            ["2026-03-29T00:59", "2026-03-29T01:00", "2026-10-25T02:00"],
        ),
        ({"times": []}, [], ["2020-01-01T00:00"]),
        ({"location": "Local"}, ["2020-01-01T00:00"], []),
    ],
)
def test_what_lies_in_an_interval(interval: dict[str, Any], inside: list[str], outside: list[str]) -> None:
    intervals = named(interval)
    assert [text for text in inside if not intervals.contains("x", at(text))] == []
    assert [text for text in outside if intervals.contains("x", at(text))] == []


def test_any_of_the_intervals_of_a_name_counts_and_none_is_never() -> None:
    night = named(times("22:00", "24:00"), times("00:00", "06:00"))
    assert [night.contains("x", at(f"2026-01-01T{hour:02}:00")) for hour in (5, 6, 21, 22)] == [
        True,
        False,
        False,
        True,
    ]
    assert not named().contains("x", 0)


@pytest.mark.parametrize(
    ("interval", "place", "said"),
    [
        (times("9:00", "10:00"), "times.0", "is not a time of day"),
        (times("24:01", "25:00"), "times.0", "is not a time of day"),
        (times("22:00", "06:00"), "times.0", "a night is two parts"),
        (times("10:00", "10:00"), "times.0", "must be before"),
        ({"times": [{"start_time": "10:00"}]}, "times.0.end_time", "is required"),
        ({"weekdays": ["funday"]}, "weekdays.0", "'funday' is not a weekday"),
        ({"weekdays": ["friday:monday"]}, "weekdays.0", "ends before it begins"),
        ({"weekdays": ["1"]}, "weekdays.0", "is not a weekday"),
        ({"weekdays": ["monday:tuesday:friday"]}, "weekdays.0", "write first:last"),
        ({"days_of_month": ["0"]}, "days_of_month.0", "0 is not a day"),
        ({"days_of_month": ["1", "32"]}, "days_of_month.1", "32 is not a day"),
        ({"days_of_month": ["-5:5"]}, "days_of_month.0", "must be negative"),
        ({"days_of_month": ["25:-10"]}, "days_of_month.0", "ends before it begins"),
        ({"days_of_month": ["1:x"]}, "days_of_month.0", "'x' is not a number"),
        ({"months": ["foo"]}, "months.0", "'foo' is not a month"),
        ({"months": ["13"]}, "months.0", "is not a month"),
        ({"months": ["may:april"]}, "months.0", "ends before"),
        ({"years": ["2022:2020"]}, "years.0", "ends before"),
        ({"location": "Mars/Olympus"}, "location", "is not a time zone"),
        ({"location": "../etc/passwd"}, "location", "is not a time zone"),
        ({"time_zone": "UTC"}, "time_zone", "unknown key"),
    ],
)
def test_every_error_has_its_place(interval: dict[str, Any], place: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        named(interval)
    text = str(caught.value)
    assert f"time_intervals.0.{place}: " in text
    assert said in text


def test_a_muted_route_says_by_what_and_in_which_zone() -> None:
    intervals = named({**times("22:00", "24:00"), "location": "Europe/Berlin"}, name="nights")
    mute = Route(key="{}", receiver="r", mute=("nights",))
    active = Route(key="{}", receiver="r", active=("nights",))
    night, noon = at("2026-01-05T21:30"), at("2026-01-05T11:00")
    assert str(intervals.muted(mute, night)) == (
        "the time interval 'nights' (22:30 in Europe/Berlin) mutes this route"
    )
    assert str(intervals.muted(active, noon)) == (
        "this route is active only in the time interval 'nights' (12:00 in Europe/Berlin)"
    )
    assert not intervals.muted(mute, noon)
    assert not intervals.muted(active, night)
    assert not intervals.muted(Route(key="{}", receiver="r"), night)


def test_both_keys_of_a_configuration_name_intervals() -> None:
    both = {
        "time_intervals": [{"name": "new", "time_intervals": [{}]}],
        "mute_time_intervals": [{"name": "old", "time_intervals": [{}]}],
    }
    intervals = Intervals.of(load_section(AlertmanagerSettings, both, "fleetowl.yml"))
    assert intervals.contains("new", 0)
    assert intervals.contains("old", 0)


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]


@st.composite
def specifications(draw: st.DrawFn) -> dict[str, Any]:
    """One interval as a dictionary of numbers, any part of it left out."""
    minute = st.integers(0, 24 * 60)
    pair = st.tuples(minute, minute).filter(lambda both: both[0] < both[1])
    days = st.tuples(st.integers(1, 31), st.integers(1, 31)).map(sorted)
    from_end = days.map(lambda both: [-both[1], -both[0]])
    some = draw(st.sets(st.sampled_from(["times", "weekdays", "days", "months", "years"])))
    return {
        "zone": draw(st.sampled_from(ZONES)),
        "times": draw(st.lists(pair, min_size=1, max_size=2)) if "times" in some else None,
        "weekdays": draw(st.tuples(st.integers(0, 6), st.integers(0, 6)).map(sorted))
        if "weekdays" in some
        else None,
        "days": draw(days | from_end) if "days" in some else None,
        "months": draw(st.tuples(st.integers(1, 12), st.integers(1, 12)).map(sorted))
        if "months" in some
        else None,
        "years": draw(st.tuples(st.integers(2024, 2028), st.integers(2024, 2028)).map(sorted))
        if "years" in some
        else None,
    }


def written(spec: dict[str, Any]) -> dict[str, Any]:
    sunday_first = [WEEKDAYS[-1], *WEEKDAYS[:-1]]
    clock = [
        {
            name: f"{minute // 60:02}:{minute % 60:02}"
            for name, minute in zip(("start_time", "end_time"), pair, strict=True)
        }
        for pair in spec["times"] or ()
    ]
    parts = {
        "times": clock if spec["times"] else None,
        "weekdays": spec["weekdays"] and [":".join(sunday_first[day] for day in spec["weekdays"])],
        "days_of_month": spec["days"] and [":".join(map(str, spec["days"]))],
        "months": spec["months"] and [":".join(MONTHS[month - 1] for month in spec["months"])],
        "years": spec["years"] and [":".join(map(str, spec["years"]))],
    }
    return {"location": spec["zone"], **{key: value for key, value in parts.items() if value}}


def oracle(spec: dict[str, Any], now: int) -> bool:
    """The same by other means: days of the month are listed one by one."""
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=now)).astimezone(
        ZoneInfo(spec["zone"])
    )
    month = []
    day = local.replace(day=1, hour=12)
    while day.month == local.month:
        month.append(day.day)
        day += timedelta(days=1)
    if spec["days"]:
        first, last = spec["days"]
        allowed = {number for number in range(first, last + 1) if number}
        if local.day not in allowed and local.day - len(month) - 1 not in allowed:
            return False
    minute = local.hour * 60 + local.minute
    return (
        (not spec["times"] or any(minute in range(*pair) for pair in spec["times"]))
        and (not spec["weekdays"] or spec["weekdays"][0] <= int(local.strftime("%w")) <= spec["weekdays"][1])
        and (not spec["months"] or spec["months"][0] <= local.month <= spec["months"][1])
        and (not spec["years"] or spec["years"][0] <= local.year <= spec["years"][1])
    )


@settings(max_examples=60, deadline=None)
@given(specifications(), st.integers(at("2025-01-01T00:00") // HOUR, at("2028-01-01T00:00") // HOUR))
def test_containing_equals_an_oracle_minute_by_minute(spec: dict[str, Any], hour: int) -> None:
    intervals, begin = named(written(spec)), hour * HOUR
    for now in range(begin, begin + 2 * HOUR, 7 * MINUTE):
        assert intervals.contains("x", now) == oracle(spec, now), datetime.fromtimestamp(now / 1000, UTC)
