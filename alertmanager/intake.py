"""From the body of a POST to alerts: what is read, what is refused, and why.

An alert that cannot be taken does not take the others with it: they are taken, and the answer tells of
the rest. A body that is no JSON, or no UTF-8, is refused as a whole. Where Alertmanager is lenient, so is
this: half a surrogate pair becomes U+FFFD, a value of null is an empty one, an empty time is none, and a
time without a zone is UTC.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from alertmanager.fingerprints import prefill
from model.alert import Alert
from model.labels import Labels
from model.settings import format_size

LATEST = 253_370_764_800_000
"""9999-01-01, ms: moments are brought to between 1970 and this, so that each can be written as a date."""

CUT = "... [cut]"
REASONS = 10
"""So many different reasons are told; the rest is counted."""

MOST_SHARED = 1 << 17
"""So many different labels are held once for the alerts to come."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ZERO = datetime(1, 1, 2, tzinfo=UTC)  # Go's zero time is a day earlier: nobody has said a time
_MILLISECOND = timedelta(milliseconds=1)


class MalformedBody(ValueError):
    """Not an array of JSON objects; nothing of it is taken."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one POST may bring. Sizes are in bytes of UTF-8 or in characters, whichever is met first.

    `ahead` (ms) is how far in the future an alert without an end may begin: later than that it would have
    timed out before.
    """

    alerts: int = 100_000
    annotation: int = 16 * 1024
    labels: int = 128
    label: int = 4096
    ahead: int = sys.maxsize


UNLIMITED = Limits(sys.maxsize, sys.maxsize, sys.maxsize, sys.maxsize)


class Taken(NamedTuple):
    """The alerts of a body, how many were refused and why, and how many annotations were cut."""

    alerts: list[Alert]
    refused: int = 0
    reasons: tuple[str, ...] = ()
    cut: int = 0


class _Posted(msgspec.Struct):
    """An alert as it is sent; what else stands in it is ignored."""

    labels: dict[str, str]
    annotations: dict[str, str] | None = None
    startsAt: datetime | None = None
    endsAt: datetime | None = None
    generatorURL: str | None = None


class _Loose(msgspec.Struct):
    """One that only Go takes for an alert."""

    labels: dict[str, str | None]
    annotations: dict[str, str | None] | None = None
    startsAt: str | None = None
    endsAt: str | None = None
    generatorURL: str | None = None

    def posted(self) -> _Posted:
        """Raises ValidationError for a time that is none."""
        return _Posted(
            _texts(self.labels),
            _texts(self.annotations or {}),
            msgspec.convert(self.startsAt or None, datetime | None),
            msgspec.convert(self.endsAt or None, datetime | None),
            self.generatorURL,
        )


_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
"""What begins with a backslash; the group is half a surrogate pair that stands alone."""

_FAST = msgspec.json.Decoder(list[_Posted])
_ONE = msgspec.json.Decoder(_Posted)
_ONE_LOOSE = msgspec.json.Decoder(_Loose)
_RAW = msgspec.json.Decoder(list[msgspec.Raw])


class _Refused(ValueError):
    """Why one alert is not taken."""


Pairs = dict[tuple[str, str], tuple[str, str]]


class Reader:
    """Reads bodies; labels that many alerts share are held once. `cut` and `refused` count over all."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._pairs: Pairs = {}

    def posted(self, body: bytes) -> list[_Posted | str]:
        """What stands in the body; an object that is no alert is the reason. Raises MalformedBody."""
        try:
            return _decoded(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            whole = _ESCAPES.sub(_whole, body)
            if whole != body:
                return self.posted(whole)
            raise MalformedBody(f"the body is no JSON in UTF-8: {error}") from error

    def read(self, posted: Iterable[_Posted | str], now: int) -> Taken:
        """The alerts of it, as of `now` (ms)."""
        alerts: list[Alert] = []
        reasons: dict[str, None] = {}
        refused = cut = 0
        for one in posted:
            try:
                if isinstance(one, str):
                    raise _Refused(one)
                alert, shortened = self._alert(one, now)
            except _Refused as error:
                refused += 1
                if len(reasons) < REASONS:
                    reasons[str(error)] = None
            else:
                alerts.append(alert)
                cut += shortened
        prefill([alert.labels for alert in alerts])
        return Taken(alerts, refused, tuple(reasons), cut)

    def _alert(self, posted: _Posted, now: int) -> tuple[Alert, int]:
        ends_at = _moment(posted.endsAt)
        starts_at = _moment(posted.startsAt)
        if starts_at is None:
            starts_at = now if ends_at is None else min(now, ends_at)
        elif starts_at > (now + self.limits.ahead if ends_at is None else ends_at):
            raise _Refused("start time must be before end time")
        annotations, cut = posted.annotations or {}, 0
        if annotations and max(map(len, annotations.values())) > self.limits.annotation:
            annotations, cut = self._shortened(annotations)
        labels = self._labels(posted.labels)
        return Alert(labels, annotations, starts_at, ends_at, generator_url=posted.generatorURL or ""), cut

    def _labels(self, labels: Mapping[str, str]) -> Labels:
        shared = self._pairs
        pairs = [shared.setdefault(pair, pair) for pair in labels.items() if pair[1]]
        if not pairs:
            raise _Refused("at least one label pair required")
        if len(pairs) > self.limits.labels:
            raise _Refused(f"{len(pairs)} labels, and {self.limits.labels} are the most")
        if max(max(map(len, labels)), max(map(len, labels.values()))) > self.limits.label:
            raise _Refused(f"a label is longer than {format_size(self.limits.label)}")
        found = Labels(pairs)
        if not found.pairs[0][0]:
            raise _Refused('invalid label set: invalid name ""')
        if len(shared) > MOST_SHARED:
            shared.clear()  # alerts that have them keep them; others share anew
        return found

    def _shortened(self, annotations: Mapping[str, str]) -> tuple[dict[str, str], int]:
        most = self.limits.annotation
        short = {
            name: value if len(value) <= most else value[: most - len(CUT)] + CUT
            for name, value in annotations.items()
        }
        return short, sum(short[name] is not value for name, value in annotations.items())


def decode(body: bytes, now: int, limits: Limits | None = None) -> Taken:
    """The alerts of one body. Raises MalformedBody."""
    reader = Reader(limits)
    return reader.read(reader.posted(body), now)


def encode(alerts: Iterable[Alert]) -> bytes:
    """Alerts as a body that `decode` reads as the same alerts."""
    return msgspec.json.encode([_document(alert) for alert in alerts])


def _document(alert: Alert) -> dict[str, Any]:
    return {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "startsAt": _EPOCH + alert.starts_at * _MILLISECOND,
        "endsAt": None if alert.ends_at is None else _EPOCH + alert.ends_at * _MILLISECOND,
        "generatorURL": alert.generator_url,
    }


def _decoded(body: bytes) -> list[_Posted | str]:
    try:
        return list(_FAST.decode(body))
    except msgspec.ValidationError:
        return list(_one_by_one(body))


def _texts(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value or "" for name, value in values.items()}


def _whole(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape[1] else escape[0]


def _loosely(raw: msgspec.Raw, why: str) -> _Posted | str:
    try:
        return _ONE_LOOSE.decode(raw).posted()
    except msgspec.ValidationError:
        return why


def _one_by_one(body: bytes) -> Iterator[_Posted | str]:
    """After an object that is no alert: each by itself."""
    try:
        raws = _RAW.decode(body)
    except msgspec.ValidationError as error:
        raise MalformedBody(f"the body is no array of alerts: {error}") from error
    for place, raw in enumerate(raws):
        try:
            yield _ONE.decode(raw)
        except msgspec.ValidationError as error:
            yield _loosely(raw, f"alert {place}: {error}")


def _moment(moment: datetime | None) -> int | None:
    """Milliseconds, within what can be written as a date; None where nobody has said a time."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if moment < _ZERO:
        return None
    return min(max((moment - _EPOCH) // _MILLISECOND, 0), LATEST)
