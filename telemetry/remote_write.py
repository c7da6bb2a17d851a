"""The receiver of Prometheus' remote write 1.0: snappy, protobuf, and answers that the sender acts upon.

Prometheus retries on 5xx and 429, and drops the batch on any other 4xx. So a request that can never succeed
is answered with 400; what is sound in it is stored all the same. Remote write 2.0 is answered with 415, upon
which a sender falls back to 1.0. Two leniences are those of Prometheus' own receiver: labels need not be
sorted, and a label with an empty value is no label.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message

import cramjam
import numpy as np

from model.metric import Metric, Sample
from telemetry.ingest_settings import RemoteWriteSettings
from telemetry.window import LimitExceeded, Target, Window
from telemetry.write_request import Walked, parse_labels, walk
from wire.limits import beyond
from wire.protobuf import MalformedMessage, read_varint
from wire.text import types_of_family

METRICS = (
    Metric("fleetowl_remote_write_requests_total", "counter", "Requests by HTTP status.", ("status",)),
    Metric("fleetowl_remote_write_samples_total", "counter", "Samples stored."),
    Metric(
        "fleetowl_remote_write_samples_refused_total", "counter", "Samples left out, by reason.", ("reason",)
    ),
    Metric(
        "fleetowl_remote_write_last_request_timestamp_seconds",
        "gauge",
        "When a sender last came.",
        ("sender",),
    ),
    Metric("fleetowl_remote_write_skipped_total", "counter", "Histograms and exemplars left out.", ("kind",)),
)

_MOST_TYPES = 200_000  # metric names whose type is remembered
_PROTO = "prometheus.WriteRequest"


@dataclass(frozen=True, slots=True)
class Received:
    """The answer to a request: HTTP status, samples stored and refused, and why."""

    status: int
    accepted: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""


@dataclass(slots=True)
class RemoteWriteStats:
    """Counts since the start."""

    requests: Counter[int] = field(default_factory=Counter)
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)


class _Refused(Exception):
    """The whole request is refused."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class RemoteWriteReceiver:
    """The receiving end of POST /api/v1/write. Overload (429) and tokens (401) are the caller's matter."""

    def __init__(self, window: Window, settings: RemoteWriteSettings | None = None) -> None:
        self.settings = settings or RemoteWriteSettings()
        self.stats = RemoteWriteStats()
        self.last_request: dict[str, int] = {}  # by sender, ms
        self._window = window
        self._numbering = window.numbering
        self._losses = window.registry.dropped
        self._known: OrderedDict[str, dict[bytes, int]] = OrderedDict()  # by sender: label bytes -> id
        self._types: dict[str, str] = {}
        self._names: set[str] = set()  # metrics that came this way

    def receive(
        self, body: bytes, content_type: str, content_encoding: str, sender: str, now: int
    ) -> Received:
        """Store the samples of a request from `sender` (a name that stays), which came at `now` (ms)."""
        try:
            _check_media_type(content_type, content_encoding)
            data = self._inflate(body)
            answer = self._store(data, sender)
            self.last_request[sender] = now
        except _Refused as error:
            answer = Received(error.status, reason=str(error))
        except MalformedMessage as error:
            answer = Received(400, reason=f"not a write request: {error}")
        except LimitExceeded as error:
            answer = Received(400, refused={error.reason: 1}, reason=str(error))
        self.stats.requests[answer.status] += 1
        self.stats.accepted += answer.accepted
        self.stats.refused.update(answer.refused)
        return answer

    def samples(self) -> Iterator[Sample]:
        """Its own metrics, as METRICS declares them."""
        stats = self.stats
        for status, count in sorted(stats.requests.items()):
            yield Sample("fleetowl_remote_write_requests_total", {"status": str(status)}, count)
        yield Sample("fleetowl_remote_write_samples_total", {}, stats.accepted)
        for reason, count in sorted(stats.refused.items()):
            yield Sample("fleetowl_remote_write_samples_refused_total", {"reason": reason}, count)
        for sender, at in sorted(self.last_request.items()):
            yield Sample(
                "fleetowl_remote_write_last_request_timestamp_seconds", {"sender": sender}, at / 1000
            )
        for kind, count in sorted(stats.skipped.items()):
            yield Sample("fleetowl_remote_write_skipped_total", {"kind": kind}, count)

    def _inflate(self, body: bytes) -> bytes:
        """The request, after a look at the size that it claims: a bomb is refused before it goes off."""
        limit = self.settings.body_size_limit
        if len(body) > limit:
            raise _Refused(413, f"{len(body)} bytes are more than {limit}")
        size, _ = read_varint(body, 0, min(len(body), 5))
        if size > limit:
            raise _Refused(413, f"inflates to {size} bytes, more than {limit}")
        try:
            return bytes(cramjam.snappy.decompress_raw(body))
        except cramjam.DecompressionError as error:
            raise MalformedMessage(f"not snappy: {error}") from error

    def _store(self, data: bytes, sender: str) -> Received:
        target = self._window.target(f"remote-write/{sender}", 0)
        known = self._known_of(sender)
        walked = walk(data, known, lambda key: self._resolve(key, target, known))
        self._learn_types(walked.metadata)
        self.stats.skipped.update(walked.skipped)
        accepted, refused = self._append(target, walked)
        if not refused:
            return Received(204, accepted)
        what = ", ".join(f"{reason} {count}" for reason, count in sorted(refused.items()))
        return Received(400, accepted, refused, f"stored {accepted} samples, refused {what}")

    def _append(self, target: Target, walked: Walked) -> tuple[int, Counter[str]]:
        refused = walked.refused
        if not walked.ids:
            return 0, refused
        values = np.frombuffer(b"".join(walked.values), "<f8")
        times = np.array(walked.times, np.int64)
        appended = self._window.append_each(target, times, np.array(walked.ids, np.int64), values)
        refused.update(appended.refused)
        return appended.accepted, refused

    # Series.

    def _known_of(self, sender: str) -> dict[bytes, int]:
        """The sender's series, without those that the window dropped or renumbered."""
        if self._window.numbering != self._numbering:
            self._known.clear()
        elif self._window.registry.dropped != self._losses:
            self._drop_void()
        self._numbering, self._losses = self._window.numbering, self._window.registry.dropped
        known = self._known.setdefault(sender, {})
        self._known.move_to_end(sender)
        if len(self._known) > self.settings.senders:
            forgotten, _ = self._known.popitem(last=False)
            self.last_request.pop(forgotten, None)
        if len(known) > self.settings.cached_series:
            known.clear()
        return known

    def _drop_void(self) -> None:
        for sender, known in self._known.items():
            ids = np.fromiter(known.values(), np.int64, len(known))
            alive = self._window.alive(ids)
            if not alive.all():
                kept = zip(known.items(), alive.tolist(), strict=True)
                self._known[sender] = {key: sid for (key, sid), lives in kept if lives}

    def _resolve(self, key: bytes, target: Target, known: dict[bytes, int]) -> int | str:
        """The id of a series not met before, or the reason why it is refused."""
        labels = parse_labels(key)
        if isinstance(labels, str):
            return labels
        reason = beyond(self.settings, labels.pairs, len(key))
        if reason:
            return reason
        try:
            sid = self._window.series(target, labels, self._types.get(labels.name, "unknown"))
        except LimitExceeded as error:
            return error.reason
        known[key] = sid
        if len(self._names) < _MOST_TYPES:
            self._names.add(labels.name)
        return sid

    def _learn_types(self, metadata: Mapping[str, str]) -> None:
        """Metadata comes in requests of its own, mostly after the first samples."""
        for family, kind in metadata.items():
            for name, own in types_of_family(family, kind):
                if len(self._types) < _MOST_TYPES or name in self._types:
                    self._types[name] = own
                if name in self._names:
                    self._window.registry.types[name] = own


def _check_media_type(content_type: str, content_encoding: str) -> None:
    """Raises _Refused(415) for what is not remote write 1.0."""
    header = Message()
    header["Content-Type"] = content_type
    if header.get_content_type() != "application/x-protobuf":
        raise _Refused(415, f"content type {content_type!r} is not application/x-protobuf")
    proto = header.get_param("proto", _PROTO)
    if proto != _PROTO:
        raise _Refused(415, f"{proto} is not supported: send {_PROTO} (remote write 1.0)")
    if content_encoding.strip().lower() != "snappy":
        raise _Refused(415, f"content encoding {content_encoding!r} is not snappy")
