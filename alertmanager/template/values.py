"""What a notification template is given: Alertmanager's data, with the fields and methods of its values.

The table of members is the one truth: what a template may write is checked against it at load, and it is
what is called when the message is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from alertmanager.template.moments import (
    HOUR_NANOSECONDS,
    MINUTE_NANOSECONDS,
    SECOND_NANOSECONDS,
    ZERO,
    Duration,
    Time,
)
from wire.gotext import TemplateValueError, go_text
from wire.template_language import Kind, entries


class KV(dict[str, str]):
    """A set of labels or annotations."""

    def sorted_pairs(self) -> Pairs:
        """By name, but the alert's name first."""
        names = sorted(self, key=lambda name: (name != "alertname", name))
        return Pairs(Pair(name, self[name]) for name in names)

    def remove(self, names: Any) -> KV:
        """Without these names."""
        if not isinstance(names, list):
            raise TemplateValueError('Remove wants a list of names: (stringSlice "a" "b")')
        return KV({name: value for name, value in self.items() if name not in names})


class Pair(NamedTuple):
    """A name and its value."""

    Name: str
    Value: str

    def __str__(self) -> str:
        return f"{{{self.Name} {self.Value}}}"


class Strings(list[Any]):
    """A list, printed as Go prints one."""

    def __str__(self) -> str:
        return "[" + " ".join(go_text(each) for each in self) + "]"


class Pairs(Strings):
    """Pairs in order."""


@dataclass(frozen=True, slots=True)
class AlertView:
    """One alert."""

    Status: str
    Labels: KV
    Annotations: KV
    StartsAt: Time
    EndsAt: Time
    GeneratorURL: str
    Fingerprint: str


class AlertViews(Strings):
    """Alerts in order."""

    def with_status(self, status: str) -> AlertViews:
        """Those that fire, or those that ended."""
        return AlertViews(alert for alert in self if alert.Status == status)


@dataclass(frozen=True, slots=True)
class Data:
    """The root of a notification's templates."""

    Receiver: str
    Status: str
    Alerts: AlertViews
    GroupLabels: KV
    CommonLabels: KV
    CommonAnnotations: KV
    ExternalURL: str
    now: int = field(default=0, compare=False)


TEXT = Kind("a text")
NUMBER = Kind("a number")
BOOL = Kind("a truth value")
TEXTS = Kind("a list of texts", element=TEXT)
DURATION = Kind(
    "a duration",
    {
        "Seconds": NUMBER,
        "Minutes": NUMBER,
        "Hours": NUMBER,
        "Milliseconds": NUMBER,
        "String": TEXT,
    },
)
_SAME: dict[str, Kind] = {}
TIME = Kind("a time", _SAME, {"Format": 1, "Sub": 1, "Add": 1, "Before": 1, "After": 1, "Equal": 1})
_SAME.update(
    dict.fromkeys(("UTC", "Local", "Add"), TIME),
    Format=TEXT,
    String=TEXT,
    Sub=DURATION,
    **dict.fromkeys(("Unix", "UnixMilli", "UnixNano", "Year", "Day", "Hour", "Minute", "Second"), NUMBER),
    **dict.fromkeys(("Month", "Weekday"), TEXT),
    **dict.fromkeys(("IsZero", "Before", "After", "Equal"), BOOL),
)
PAIR = Kind("a pair", {"Name": TEXT, "Value": TEXT})
PAIRS = Kind("a list of pairs", {"Names": TEXTS, "Values": TEXTS}, element=PAIR)
_SET: dict[str, Kind] = {"SortedPairs": PAIRS, "Names": TEXTS, "Values": TEXTS}
PAIR_SET = Kind("a set of labels", _SET, {"Remove": 1}, other=TEXT)
_SET["Remove"] = PAIR_SET
ALERT = Kind(
    "an alert",
    {
        "Status": TEXT,
        "Labels": PAIR_SET,
        "Annotations": PAIR_SET,
        "StartsAt": TIME,
        "EndsAt": TIME,
        "GeneratorURL": TEXT,
        "Fingerprint": TEXT,
    },
)
_LISTS: dict[str, Kind] = {}
ALERTS = Kind("a list of alerts", _LISTS, element=ALERT)
_LISTS.update(Firing=ALERTS, Resolved=ALERTS)
DATA = Kind(
    "the notification",
    {
        "Receiver": TEXT,
        "Status": TEXT,
        "Alerts": ALERTS,
        "GroupLabels": PAIR_SET,
        "CommonLabels": PAIR_SET,
        "CommonAnnotations": PAIR_SET,
        "ExternalURL": TEXT,
    },
)

_Methods = Mapping[str, Callable[..., Any]]
_TIME: _Methods = {
    "Format": lambda time, layout: time.format(str(layout)),
    "String": str,
    "UTC": lambda time: Time(time.milliseconds),
    "Local": lambda time: Time(time.milliseconds),
    "Unix": lambda time: time.milliseconds // 1000,
    "UnixMilli": lambda time: time.milliseconds,
    "UnixNano": lambda time: time.milliseconds * 1_000_000,
    "Year": lambda time: time.moment().year,
    "Month": lambda time: time.format("January"),
    "Weekday": lambda time: time.format("Monday"),
    "Day": lambda time: time.moment().day,
    "Hour": lambda time: time.moment().hour,
    "Minute": lambda time: time.moment().minute,
    "Second": lambda time: time.moment().second,
    "IsZero": lambda time: time.milliseconds == ZERO,
    "Add": lambda time, more: Time(time.milliseconds + _duration(more).nanoseconds // 1_000_000, time.zone),
    "Sub": lambda time, other: time.sub(_time(other)),
    "Before": lambda time, other: time.milliseconds < _time(other).milliseconds,
    "After": lambda time, other: time.milliseconds > _time(other).milliseconds,
    "Equal": lambda time, other: time.milliseconds == _time(other).milliseconds,
}
_MEMBERS: Mapping[type, _Methods] = {
    KV: {
        "SortedPairs": KV.sorted_pairs,
        "Names": lambda pairs: Strings(pair.Name for pair in pairs.sorted_pairs()),
        "Values": lambda pairs: Strings(pair.Value for pair in pairs.sorted_pairs()),
        "Remove": KV.remove,
    },
    Pairs: {
        "Names": lambda pairs: Strings(pair.Name for pair in pairs),
        "Values": lambda pairs: Strings(pair.Value for pair in pairs),
    },
    AlertViews: {
        "Firing": lambda alerts: alerts.with_status("firing"),
        "Resolved": lambda alerts: alerts.with_status("resolved"),
    },
    Time: _TIME,
    Duration: {
        "Seconds": float,
        "Minutes": lambda duration: duration.nanoseconds / MINUTE_NANOSECONDS,
        "Hours": lambda duration: duration.nanoseconds / HOUR_NANOSECONDS,
        "Milliseconds": lambda duration: duration.nanoseconds * 1000 // SECOND_NANOSECONDS,
        "String": str,
    },
}
_PLAIN = (Data, AlertView, Pair)


def member(value: Any, name: str, arguments: Sequence[Any]) -> Any:
    """A field or method of a value. Raises TemplateValueError if it has none of this name."""
    method = _MEMBERS.get(type(value), {}).get(name)
    if method is not None:
        try:
            return method(value, *arguments)
        except TypeError as error:
            raise TemplateValueError(f"{name}: wrong arguments") from error
    if arguments:
        raise TemplateValueError(f"{name} is no method of {go_text(value)}")
    if isinstance(value, Mapping):
        return value.get(name, "")
    if isinstance(value, _PLAIN) and name[:1].isupper() and hasattr(value, name):
        return getattr(value, name)
    raise TemplateValueError(f"no field {name} in {go_text(value)}")


def elements(value: Any) -> Sequence[tuple[Any, Any]]:
    """What `range` goes through; also the numbers below an int, as in Go since 1.22."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value > 10_000:
            raise TemplateValueError(f"range over {value} is too long")
        return [(number, number) for number in range(value)]
    return entries(value)


def _time(value: Any) -> Time:
    if not isinstance(value, Time):
        raise TemplateValueError(f"expected a time, not {go_text(value)}")
    return value


def _duration(value: Any) -> Duration:
    if isinstance(value, int) and not isinstance(value, bool):
        return Duration(value)
    if not isinstance(value, Duration):
        raise TemplateValueError(f"expected a duration, not {go_text(value)}")
    return value
