"""Remote write 1.0: decoding, answers, and everything a sender can get wrong."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.labels import NAME, Labels
from model.moment import MINUTE
from telemetry.bits import STALE_BITS
from telemetry.ingest_settings import RemoteWriteSettings
from telemetry.remote_write import Received, RemoteWriteReceiver
from telemetry.window import Window, WindowLimits

T0 = 1_700_000_000_000
TYPE = "application/x-protobuf"

X = Labels({NAME: "x", "a": "b"})
Y = Labels({NAME: "y", "job": "j"})
Read = Callable[..., dict[Labels, list[tuple[int, float]]]]


class Peer:
    """A sender and its receiver."""

    def __init__(self, protobuf: Any, window: Window | None = None, **limits: int) -> None:
        self.protobuf = protobuf
        self.window = window or Window()
        self.receiver = RemoteWriteReceiver(self.window, RemoteWriteSettings(**limits))

    def send(self, *fields: bytes, sender: str = "s") -> Received:
        body = self.protobuf.snappy(b"".join(fields))
        return self.receiver.receive(body, TYPE, "snappy", sender, T0)

    def raw(self, body: bytes, content_type: str = TYPE, encoding: str = "snappy") -> Received:
        return self.receiver.receive(body, content_type, encoding, "s", T0)


@pytest.fixture
def peer(protobuf: Any) -> Peer:
    return Peer(protobuf)


def test_samples_arrive(peer: Peer, read: Read) -> None:
    for turn in range(3):  # unknown, then known
        at = T0 + turn * 1000
        answer = peer.send(peer.protobuf.series(X, (turn + 0.5, at)), peer.protobuf.series(Y, (0.0, at)))
        assert (answer.status, answer.accepted, answer.refused) == (204, 2, {})
    assert read(peer.window) == {
        X: [(T0 + turn * 1000, turn + 0.5) for turn in range(3)],
        Y: [(T0 + turn * 1000, 0.0) for turn in range(3)],
    }
    assert peer.receiver.stats.accepted == 6


def test_several_samples_of_a_series(peer: Peer, read: Read) -> None:
    rows = [(float(turn), T0 + turn) for turn in range(5)]
    for _ in range(2):
        assert peer.send(peer.protobuf.series(X, *rows)).status == 204
    assert read(peer.window) == {X: [(moment, value) for value, moment in rows]}


def test_batches_out_of_order_are_all_readable(peer: Peer, read: Read) -> None:
    """Prometheus' shards send over several connections."""
    order = [3, 1, 4, 0, 2]
    for turn in order:
        parts = [peer.protobuf.series(X, (float(turn), T0 + turn * 1000))]
        assert peer.send(*parts).status == 204
    assert read(peer.window) == {X: [(T0 + turn * 1000, float(turn)) for turn in range(5)]}


def test_one_scrape_split_over_two_requests(peer: Peer, read: Read) -> None:
    peer.send(peer.protobuf.series(X, (1.0, T0)))
    peer.send(peer.protobuf.series(Y, (2.0, T0)))
    assert read(peer.window) == {X: [(T0, 1.0)], Y: [(T0, 2.0)]}


def test_a_resent_batch_is_no_error_a_contradiction_is(peer: Peer, read: Read) -> None:
    assert peer.send(peer.protobuf.series(X, (1.0, T0))).status == 204
    assert peer.send(peer.protobuf.series(X, (1.0, T0))).status == 204
    answer = peer.send(peer.protobuf.series(X, (2.0, T0)), peer.protobuf.series(Y, (5.0, T0)))
    assert (answer.status, answer.accepted, answer.refused) == (400, 1, {"duplicate": 1})
    assert "duplicate 1" in answer.reason
    assert read(peer.window) == {X: [(T0, 1.0)], Y: [(T0, 5.0)]}


def test_too_old_and_too_far_ahead(peer: Peer) -> None:
    peer.window.advance(T0)
    old, ahead = T0 - 16 * MINUTE, T0 + 11 * MINUTE
    answer = peer.send(peer.protobuf.series(X, (1.0, old), (2.0, T0), (3.0, ahead)))
    assert (answer.status, answer.accepted) == (400, 1)
    assert answer.refused == {"too_old": 1, "too_far_ahead": 1}


def test_no_bit_of_a_nan_is_lost(peer: Peer) -> None:
    stale = struct.pack("<Q", STALE_BITS)
    plain = struct.pack("<Q", 0x7FF8000000000001)
    for at, raw in ((T0, b"\0" * 7 + b"\x40"), (T0 + 1, stale), (T0 + 2, plain), (T0 + 3, stale)):
        body = peer.protobuf.labels(X) + peer.protobuf.sample(raw, at)
        assert peer.send(peer.protobuf.message(1, body)).status == 204
        sid = peer.window.find(X)
        assert sid is not None
        _, (value,) = peer.window.last(np.array([sid]))
        assert struct.pack("<d", value) == raw


# The shape of the message.


def varied(peer: Peer, *parts: bytes) -> Received:
    return peer.send(peer.protobuf.message(1, b"".join(parts)))


def test_fields_in_any_order_and_unknown_fields(peer: Peer, read: Read) -> None:
    pb = peer.protobuf
    name, a = pb.label(NAME, "x"), pb.label("a", "b")
    unknown = [pb.message(15, b"new"), b"\x98\x01\x05", b"\xa1\x01" + bytes(8), b"\xa5\x01" + bytes(4)]
    layouts = [
        [pb.sample(0.0, T0), name, a],
        [name, pb.sample(1.0, T0 + 1), a],
        [*unknown, a, *unknown, name, *unknown, pb.sample(2.0, T0 + 2), *unknown],
        [name, a, pb.message(2, b"\x10" + pb.varint(T0 + 3) + b"\x09" + struct.pack("<d", 3.0))],
        [
            name,
            a,
            pb.message(2, b"\x09" + struct.pack("<d", 4.0) + b"\x10" + pb.varint(T0 + 4) + b"\x18\x07"),
        ],
    ]
    for _ in range(2):
        for layout in layouts:
            assert varied(peer, *layout).status == 204
    assert read(peer.window) == {X: [(T0 + turn, float(turn)) for turn in range(5)]}
    assert peer.send(b"".join(unknown), pb.series(X, (5.0, T0 + 5)), *unknown).status == 204


def test_a_label_that_looks_like_a_sample_is_a_label(peer: Peer, read: Read) -> None:
    """The last 18 bytes of the labels have the form of a sample: the series has no sample at all."""
    pb = peer.protobuf
    likeness = pb.sample(1.0, T0)
    assert len(likeness) == 18
    tricky = Labels({NAME: "x", "z": "prefix" + likeness.decode("latin-1")})
    body = pb.label(NAME, "x") + pb.label("z", b"prefix" + bytes(byte & 0x7F for byte in likeness))
    peer.send(pb.series(Labels({NAME: "x"}), (1.0, T0)))
    assert varied(peer, body).accepted == 0
    assert varied(peer, body, pb.sample(7.0, T0)).accepted == 1
    assert tricky not in read(peer.window)
    assert len(read(peer.window)) == 2


def test_an_unknown_field_that_looks_like_a_sample_is_none(peer: Peer) -> None:
    pb = peer.protobuf
    peer.send(pb.series(X, (1.0, T0)))
    lookalike = pb.message(15, pb.sample(2.0, T0 + 1)[2:])
    assert len(lookalike) == 18
    assert varied(peer, pb.labels(X), lookalike).accepted == 0
    assert varied(peer, pb.labels(X), pb.message(15, pb.sample(0.0, T0 + 1)[2:])).accepted == 0


def test_series_in_odd_layouts_are_remembered_by_their_labels_alone(peer: Peer) -> None:
    pb = peer.protobuf
    for turn in range(50):
        assert varied(peer, pb.sample(float(turn), T0 + turn), pb.labels(X)).status == 204
    assert len(peer.receiver._known["s"]) == 1


def test_odd_times(peer: Peer, read: Read) -> None:
    pb = peer.protobuf
    answer = varied(peer, pb.labels(X), pb.sample(1.0, -5), pb.sample(2.0, 0), pb.sample(3.0, 300))
    assert answer.accepted == 3
    assert read(peer.window) == {X: [(-5, 1.0), (0, 2.0), (300, 3.0)]}


def test_histograms_and_exemplars_are_skipped_and_counted(peer: Peer, read: Read) -> None:
    pb = peer.protobuf
    exemplar = pb.message(3, pb.label("trace_id", "1") + b"\x11" + bytes(8))
    histogram = pb.message(4, b"\x08\x05\x40\x01")
    assert varied(peer, pb.labels(X), pb.sample(1.0, T0), exemplar, exemplar).status == 204
    assert varied(peer, pb.labels(Y), histogram).status == 204
    assert read(peer.window) == {X: [(T0, 1.0)]}
    assert peer.receiver.stats.skipped == {"exemplar": 2, "native_histogram": 1}


def test_metadata_gives_types_before_and_after_the_samples(peer: Peer) -> None:
    pb = peer.protobuf
    names = ["req_total", "lat_bucket", "lat_sum", "temp", "later_total"]
    for name in names[:-1]:
        peer.send(pb.series(Labels({NAME: name}), (1.0, T0)))
    assert peer.window.type_of("req_total") == "unknown"
    kinds = {"req": 1, "lat": 3, "temp": 2, "later": 1, "strange": 99}
    assert peer.send(*[pb.metadata(family, kind, "help") for family, kind in kinds.items()]).status == 204
    peer.send(pb.series(Labels({NAME: "later_total"}), (1.0, T0)))
    assert [peer.window.type_of(name) for name in names] == [
        "counter", "histogram", "histogram", "gauge", "counter",
    ]  # fmt: skip


# Labels.


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([], "no_metric_name"),
        ([("a", "b")], "no_metric_name"),
        ([(NAME, "")], "no_metric_name"),
        ([(NAME, "x"), ("a", "1"), ("a", "2")], "duplicate_label"),
        ([(NAME, "x"), (NAME, "y")], "duplicate_label"),
        ([(NAME, "x"), ("", "1")], "empty_label_name"),
        ([(NAME, "x"), ("a", b"\xff")], "invalid_utf8"),
        ([(NAME, "x"), (b"\xff", "a")], "invalid_utf8"),
        ([(NAME, "x"), *[(f"l{n}", "1") for n in range(9)]], "label_limit"),
        ([(NAME, "x"), ("n" * 21, "1")], "label_name_length_limit"),
        ([(NAME, "x"), ("a", "v" * 31)], "label_value_length_limit"),
    ],
)
def test_bad_labels_are_refused_and_the_rest_stored(
    protobuf: Any, pairs: list[tuple[Any, Any]], reason: str
) -> None:
    peer = Peer(protobuf, labels=9, label_name_length=20, label_value_length=30)
    bad = protobuf.message(
        1, b"".join(protobuf.label(*pair) for pair in pairs) + protobuf.sample(1.0, T0) * 2
    )
    for turn in range(2):
        answer = peer.send(bad, protobuf.series(X, (1.0, T0 + turn)))
        assert (answer.status, answer.accepted, answer.refused) == (400, 1, {reason: 2})
        assert reason in answer.reason


def test_labels_are_sorted_and_empty_values_dropped_as_in_prometheus(peer: Peer, read: Read) -> None:
    pb = peer.protobuf
    unsorted = pb.label("a", "b") + pb.label(NAME, "x") + pb.label("empty", "")
    assert varied(peer, unsorted, pb.sample(1.0, T0)).status == 204
    assert read(peer.window) == {X: [(T0, 1.0)]}


# Answers.


@pytest.mark.parametrize(
    ("content_type", "encoding", "status"),
    [
        ("application/x-protobuf", "snappy", 204),
        ("application/x-protobuf;proto=prometheus.WriteRequest", "snappy", 204),
        ('Application/X-Protobuf; proto="prometheus.WriteRequest"; charset=utf-8', "Snappy", 204),
        ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "snappy", 415),
        ("application/json", "snappy", 415),
        ("", "snappy", 415),
        ("application/x-protobuf", "gzip", 415),
        ("application/x-protobuf", "", 415),
    ],
)
def test_media_types(peer: Peer, content_type: str, encoding: str, status: int) -> None:
    body = peer.protobuf.snappy(peer.protobuf.series(X, (1.0, T0)))
    assert peer.raw(body, content_type, encoding).status == status
    assert peer.receiver.stats.requests == {status: 1}


def test_a_snappy_bomb_is_refused_before_it_goes_off(peer: Peer) -> None:
    bomb = peer.protobuf.snappy(bytes(200_000_000))
    began = time.perf_counter()
    answer = peer.raw(bomb)
    assert answer.status == 413
    assert "200000000" in answer.reason
    claimed = peer.protobuf.varint(2**32 - 1) + b"\0"
    assert peer.raw(claimed).status == 413
    assert time.perf_counter() - began < 0.1


def test_sizes_at_the_limit(protobuf: Any) -> None:
    body = protobuf.series(X, (1.0, T0))
    assert Peer(protobuf, body_size_limit=len(body) + 20).send(body).status == 204
    assert Peer(protobuf, body_size_limit=len(body) - 1).send(body).status == 413
    assert Peer(protobuf, body_size_limit=100).raw(bytes(101)).status == 413


def test_ten_megabytes_of_one_label(peer: Peer) -> None:
    answer = peer.send(peer.protobuf.series({**X, "z": "v" * 10_000_000}, (1.0, T0)))
    assert (answer.status, answer.refused) == (400, {"label_value_length_limit": 1})


def test_a_cut_off_request_stores_nothing(peer: Peer, read: Read) -> None:
    whole = peer.protobuf.series(X, (1.0, T0)) + peer.protobuf.series(Y, (2.0, T0))
    first = len(peer.protobuf.series(X, (1.0, T0)))
    peer.send(peer.protobuf.series(X, (1.0, T0 - 1)), peer.protobuf.series(Y, (1.0, T0 - 1)))
    for cut in range(1, len(whole)):
        if cut != first:
            assert peer.send(whole[:cut]).status == 400
    assert read(peer.window) == {X: [(T0 - 1, 1.0)], Y: [(T0 - 1, 1.0)]}
    packed = peer.protobuf.snappy(whole)
    for cut in range(len(packed)):
        assert peer.raw(packed[:cut]).status in (400, 413)


@given(st.binary(max_size=200))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_noise_is_answered(peer: Peer, noise: bytes) -> None:
    assert peer.raw(noise).status in (204, 400, 413)
    assert peer.send(noise).status in (204, 400)


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_byte_never_reaches_another_series(peer: Peer, read: Read, place: int, change: int) -> None:
    """Whatever a flipped bit makes of a message: what was stored before stays as it was."""
    pb = peer.protobuf
    peer.send(pb.series(X, (1.0, T0)), pb.series(Y, (2.0, T0)))
    body = bytearray(pb.series(X, (3.0, T0 + 1)) + pb.series(Y, (0.0, T0 + 1)))
    body[place % len(body)] ^= change
    assert peer.send(bytes(body)).status in (204, 400)
    found = read(peer.window)
    assert (T0, 1.0) in found[X]
    assert (T0, 2.0) in found[Y]


def test_a_full_window_is_a_reason(protobuf: Any) -> None:
    peer = Peer(protobuf, Window(limits=WindowLimits(series=1)))
    answer = peer.send(protobuf.series(X, (1.0, T0)), protobuf.series(Y, (1.0, T0)))
    assert (answer.status, answer.accepted, answer.refused) == (400, 1, {"series_limit": 1})


# What is remembered.


def test_series_that_the_window_dropped_or_renumbered_are_found_again(protobuf: Any, read: Read) -> None:
    peer = Peer(protobuf, Window(retention=10 * MINUTE))
    z = Labels({NAME: "z"})
    peer.send(protobuf.series(z, (1.0, T0)), protobuf.series(X, (1.0, T0)), protobuf.series(Y, (1.0, T0)))
    later = T0 + 11 * MINUTE
    peer.send(protobuf.series(X, (2.0, later)))
    for slack in (1.0, 0.0):
        peer.window.compact(later, slack)
        later += 1000
        both = [protobuf.series(X, (3.0, later)), protobuf.series(Y, (4.0, later))]
        assert peer.send(*both).status == 204
        found = read(peer.window)
        assert found[X][-1] == (later, 3.0)
        assert found[Y][-1] == (later, 4.0)
        later += 11 * MINUTE
        peer.send(protobuf.series(X, (5.0, later)))


def test_what_is_remembered_is_bounded(protobuf: Any) -> None:
    peer = Peer(protobuf, senders=3, cached_series=10)
    for turn in range(20):
        labels = [Labels({NAME: "x", "n": f"{turn}-{n}"}) for n in range(4)]
        peer.send(*[protobuf.series(one, (1.0, T0)) for one in labels], sender=f"s{turn % 5}")
    known = peer.receiver._known
    assert len(known) == 3
    assert max(map(len, known.values())) <= 14
    assert len(peer.receiver.last_request) == 3


def test_two_senders_of_one_series(peer: Peer, read: Read) -> None:
    """A pair of Prometheus servers without replica labels."""
    for turn in range(4):
        for sender in ("a", "b"):
            assert peer.send(peer.protobuf.series(X, (float(turn), T0 + turn)), sender=sender).status == 204
    assert read(peer.window) == {X: [(T0 + turn, float(turn)) for turn in range(4)]}


def test_own_metrics(peer: Peer) -> None:
    peer.send(peer.protobuf.series(X, (1.0, T0), (2.0, T0)))
    exported = {(sample.name, *sample.labels.values()): sample.value for sample in peer.receiver.samples()}
    assert exported == {
        ("fleetowl_remote_write_requests_total", "400"): 1,
        ("fleetowl_remote_write_samples_total",): 1,
        ("fleetowl_remote_write_samples_refused_total", "duplicate"): 1,
        ("fleetowl_remote_write_last_request_timestamp_seconds", "s"): T0 / 1000,
    }
