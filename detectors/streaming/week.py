"""The rhythm of the week of one series: what each of its 168 hours is by, and whether it needs one at all.

A *profile* is a row of WIDTH numbers beside the state of a series. It is read and written when an hour of the
series is over, so it costs the single sample nothing: while it is in use it stands in for the season of the
hour of day, and all that judges a value stays as it is.

An odd week must not become the expectation, so an hour moves towards the median of what it is known as,
what it was a week ago, and what it is now: once is an accident, twice is a new rhythm. The profile is used
while the mean error of its hours, taken before they are learned, is clearly less than that of their means
over the days, which is what a rhythm of the day that is as old would say.
"""

from __future__ import annotations

import math

from detectors.compiled import compiled
from detectors.streaming.choose import halves, joined, short

HOURS = 168
(PROFILE, LAST, STATUS, LESSONS, TRIED, DAY_ERROR, WEEK_ERROR, BEGAN, SEEN, DAY_REST, WEEK_REST) = (
    0,  # what each hour is by, two in a number; NaN: not known yet
    HOURS // 2,  # and what it was by a week ago
    HOURS,  # NONE, TRIAL, USED or BACK
    HOURS + 1,  # hours that were learned
    HOURS + 2,  # hours that were known before and so tell who is right
    HOURS + 3,  # mean distance of an hour from what the same hour of all days was by
    HOURS + 4,  # and from what the same hour of the week was by
    HOURS + 5,  # the season that the hour which is on began with
    HOURS + 6,  # and the samples that the series had then; -1: not known
    HOURS + 7,  # signed distances over the last day: the level of the rest would follow these
    HOURS + 8,
)
WIDTH = HOURS + 9
"""Numbers of a profile: 708 bytes."""
NONE, TRIAL, USED, BACK = 0.0, 1.0, 2.0, 3.0
"""No profile; one that is not used yet; one that is; one that is of no use and given back."""

_FOLLOW = 1.0 / 24.0  # of an hour: what lasts for a day is no rhythm but a level
_MEMORY = 336.0  # hours: errors are those of the last two weeks
_LEAST_TRIED = 120.0  # hours: with the week before them and two days of the series, a history of 14 days
_TRIAL = 504.0  # hours: a profile that is of no use after three weeks is given back
_GAIN = 0.7  # it is used when it leaves less than this part of the error,
_LOSS = 0.9  # until it leaves more than this one
_MOVE = 0.5  # of the way to the median; the median alone does not smooth
_OUTLIER = 4.0  # an error counts as at most so many mean errors: an outage tells nothing of either
_SETTLED = 168.0  # hours after which it does
# A series is asked whether it wants a profile in these days of its history, and again every eight weeks.
_FIRST_DAY, _LAST_DAY, _AGAIN = 2.0, 8.0, 56.0


@compiled()
def wanted(days, plain_error, season_error, gain):  # type: ignore[no-untyped-def]
    """Whether a series with a history of `days` shall get a profile: where a rhythm of the day explains.

    A working week has one, too, and most series have none, so few are tried in vain.
    """
    return _FIRST_DAY <= days % _AGAIN < _LAST_DAY and season_error < gain * plain_error


@compiled()
def begin(profile):  # type: ignore[no-untyped-def]
    """Nothing is known of any hour."""
    profile[:] = 0.0
    profile[:STATUS] = joined(math.nan, math.nan)
    profile[STATUS], profile[SEEN] = TRIAL, -1.0


@compiled()
def _get(profile, start, hour):  # type: ignore[no-untyped-def]
    even, odd = halves(profile[start + hour // 2])
    return odd if hour % 2 else even


@compiled()
def _put(profile, start, hour, value):  # type: ignore[no-untyped-def]
    even, odd = halves(profile[start + hour // 2])
    kept = joined(even, short(value)) if hour % 2 else joined(short(value), odd)
    profile[start + hour // 2] = kept


@compiled()
def enter(profile, hour, season, count):  # type: ignore[no-untyped-def]
    """An hour of the week begins after `count` samples: its own season if that is used, else the day's."""
    if profile[STATUS] == USED:
        known = _get(profile, PROFILE, hour)
        if not math.isnan(known):
            season = known
    profile[BEGAN], profile[SEEN] = season, count
    return season


@compiled()
def leave(profile, hour, day, season, count, pace):  # type: ignore[no-untyped-def]
    """An hour of the week is over after `count` samples: learn from it, and decide on the profile.

    `day` is what its hour of day was by before, `season` what the recipe has made of what `enter` gave; a
    sample has moved that by `pace` at least, see recipe._learn_season. Returns what the hour of day is by
    now, and what the level of the rest moves by because the season is another from now on.
    """
    samples = count - profile[SEEN]
    if profile[SEEN] < 0.0 or samples <= 0.0:  # the series has begun anew meanwhile
        return season, 0.0
    weight = min(max(pace, 1.0 / (1.0 + (count - samples / 2.0) / 24.0)), 1.0)
    share = 1.0 - (1.0 - weight) ** samples
    offset = profile[BEGAN] + (season - profile[BEGAN]) / share  # the mean of its values, from the far level
    before = profile[STATUS]
    day_now = day + share * (offset - day) if before == USED else season
    known = _learn(profile, hour, offset)
    _decide(profile)
    if (profile[STATUS] == USED) == (before == USED):
        return day_now, 0.0
    own = known if profile[STATUS] == USED and not math.isnan(known) else day_now
    return day_now, season - own


@compiled()
def _learn(profile, hour, offset):  # type: ignore[no-untyped-def]
    """Returns what the hour was known as before."""
    known, last = _get(profile, PROFILE, hour), _get(profile, LAST, hour)
    if math.isnan(known):
        after = offset
    else:
        _compare(profile, offset - _mean(profile, hour), offset - known)
        if math.isnan(last):
            after = 0.5 * (known + offset)
        else:
            middle = max(min(known, last), min(max(known, last), offset))
            after = known + _MOVE * (middle - known)
        _put(profile, LAST, hour, offset)
    _put(profile, PROFILE, hour, after)
    profile[LESSONS] += 1.0
    return known


@compiled()
def _mean(profile, hour):  # type: ignore[no-untyped-def]
    """Of this hour over all days: what a rhythm of the day would say that is as old as that of the week."""
    total, days = 0.0, 0.0
    for day in range(7):
        known = _get(profile, PROFILE, (hour + 24 * day) % HOURS)
        if not math.isnan(known):
            total, days = total + known, days + 1.0
    return total / days


@compiled()
def _compare(profile, day, week):  # type: ignore[no-untyped-def]
    profile[TRIED] += 1.0
    day_error, week_error = abs(day - profile[DAY_REST]), abs(week - profile[WEEK_REST])
    profile[DAY_REST] += _FOLLOW * (day - profile[DAY_REST])
    profile[WEEK_REST] += _FOLLOW * (week - profile[WEEK_REST])
    if profile[TRIED] > _SETTLED:
        most = _OUTLIER * profile[DAY_ERROR]
        day_error, week_error = min(day_error, most), min(week_error, most)
    weight = max(1.0 / _MEMORY, 1.0 / profile[TRIED])
    profile[DAY_ERROR] += weight * (day_error - profile[DAY_ERROR])
    profile[WEEK_ERROR] += weight * (week_error - profile[WEEK_ERROR])


@compiled()
def _decide(profile):  # type: ignore[no-untyped-def]
    if profile[TRIED] >= _LEAST_TRIED:
        part = _LOSS if profile[STATUS] == USED else _GAIN
        profile[STATUS] = USED if profile[WEEK_ERROR] < part * profile[DAY_ERROR] else TRIAL
    if profile[STATUS] == TRIAL and profile[LESSONS] >= _TRIAL:
        profile[STATUS] = BACK
