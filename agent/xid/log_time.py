"""When a line of a log was written, by what stands in front of it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_ISO = re.compile(r"\s*(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,6})?(?:Z|[+-]\d\d:?\d\d)?)")
_SYSLOG = re.compile(r"\s*(?:<\d+>)?([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)")
_DMESG = re.compile(r"\s*\[[A-Z][a-z]{2} ([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4})\]")
_UPTIME = re.compile(r"(?:^|[\s:>])\[\s*(\d{1,9}\.\d{6})\]")

_DAY = timedelta(days=1)


def uptime(line: str) -> float | None:
    """Seconds since the system booted, as in `[ 5140.900001] NVRM: ...`; None if they are not there."""
    found = _UPTIME.search(line[:120])
    return float(found[1]) if found else None


def written(line: str, now: datetime) -> float | None:
    """Seconds since the epoch, None if the line has no date. A date without a zone or year is near `now`.

    >>> written("2026-11-26T13:00:00+00:00 n1 kernel: NVRM: ...", datetime(2026, 11, 26))
    1795698000.0
    """
    try:
        if found := _ISO.match(line):
            return datetime.fromisoformat(found[1].replace(",", ".")).timestamp()
        if found := _DMESG.match(line):
            return datetime.strptime(found[1], "%b %d %H:%M:%S %Y").timestamp()
        if found := _SYSLOG.match(line):
            # The year in front, so that the 29th of February can be read.
            moment = datetime.strptime(f"{now.year} {found[1]}", "%Y %b %d %H:%M:%S")
            if moment > now.replace(tzinfo=None) + _DAY:
                moment = moment.replace(year=now.year - 1)
            return moment.timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return None
