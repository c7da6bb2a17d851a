"""Readings become frames that say the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.reading import Naming, Outgoing, Reading, Stream
from model.labels import NAME, Labels
from model.metric import Sample
from wire.frames import decode_stream, unpack_schema, unpack_values

BOOT = b"b" * 16


def _reading(series: dict[str, float], types: dict[str, str] | None = None) -> Reading:
    labels = [Labels({"__name__": name, "node": "n"}) for name in series]
    return Reading(0, labels, list(series.values()), types or {})


def _read(frame: Outgoing) -> dict[str, float]:
    (schema_frame,) = decode_stream(frame.schema)
    schema = unpack_schema(schema_frame.payload)
    (values_frame,) = decode_stream(frame.data)
    assert values_frame.schema_hash == frame.key == schema.schema_hash
    values = unpack_values(values_frame.payload, len(schema.series))
    return {
        labels.name: value for labels, value in zip(schema.series, values, strict=True) if value is not None
    }


NAMES = st.sampled_from([f"m{number}" for number in range(12)])


@given(st.lists(st.tuples(*[st.dictionaries(NAMES, st.floats(allow_nan=False))] * 2), max_size=15))
def test_a_frame_says_what_the_readings_said(ticks: list[tuple[dict[str, float], dict[str, float]]]) -> None:
    stream = Stream("n", 1000, BOOT)
    for sequence, (one, other) in enumerate(ticks):
        frame = stream.frame({0: _reading(one), 1: _reading(other)}, sequence * 1000, sequence)
        assert _read(frame) == {**one, **other}


LISTS = st.lists(st.lists(NAMES, max_size=6, unique=True), min_size=2, max_size=5)


@given(LISTS, st.lists(st.dictionaries(st.integers(0, 2), st.integers(0, 4)), max_size=20), st.data())
def test_lists_that_stay_and_change_hands_say_the_same(
    lists: list[list[str]], ticks: list[dict[int, int]], data: st.DataObject
) -> None:
    """Sources keep their lists of series over ticks, swap them, and fall silent; columns lie anyhow."""
    kept = [[Labels({NAME: name, "node": "n"}) for name in names] for names in lists]
    stream = Stream("n", 1000, BOOT)
    for sequence, tick in enumerate(ticks):
        readings, said = {}, dict[str, float]()
        for source, which in tick.items():
            series = kept[which % len(kept)]
            values = data.draw(st.lists(st.floats(0, 9), min_size=len(series), max_size=len(series)))
            readings[source] = Reading(0, series, values)
            said.update(zip([labels.name for labels in series], values, strict=True))
        assert _read(stream.frame(readings, sequence * 1000, sequence)) == said


def test_a_reading_wants_as_many_values_as_series() -> None:
    series = [Labels({NAME: "a"})]
    with pytest.raises(ValueError, match="as many"):
        Stream("n", 1000, BOOT).frame({0: Reading(0, series, [1.0, 2.0])}, 0, 1)


SAMPLES = st.lists(st.tuples(NAMES, st.sampled_from(["", "a", "b"]), st.floats(0, 9)), max_size=8)


@given(st.lists(SAMPLES, max_size=8), st.booleans())
def test_samples_are_named_alike_whether_they_were_met_before(
    ticks: list[list[tuple[str, str, float]]], same_objects: bool
) -> None:
    naming, before = Naming({"node": "n"}), (list[Labels](), list[Labels]())
    pool = {mount: Labels({"mount": mount}) for mount in ("", "a", "b")}
    for rows in ticks:
        samples = [
            Sample(name, pool[mount] if same_objects else Labels({"mount": mount}), value)
            for name, mount, value in rows
        ]
        found = naming.reading(samples, {}, 5)
        assert [*found.values] == [value for _, _, value in rows]
        pushed = [Labels({NAME: name, "mount": mount, "node": "n"}) for name, mount, _ in rows]
        exported = [labels.without("node") for labels in pushed]
        assert ([*found.series], [*(found.exported or ())]) == (pushed, exported)
        if (pushed, exported) == before:
            again = naming.reading(samples, {}, 6)
            assert again.series is found.series, "one object while nothing changes"
        before = (pushed, exported)


def test_samples_of_one_name_are_told_apart_by_their_labels() -> None:
    naming = Naming({"node": "n"})
    first = naming.reading([Sample("m", Labels({"mount": "a"}), 1.0)], {}, 5)
    then = naming.reading([Sample("m", Labels({"mount": "b"}), 1.0)], {}, 6)
    assert [labels["mount"] for labels in (*first.series, *then.series)] == ["a", "b"]


def test_the_schema_stays_while_series_stay() -> None:
    stream = Stream("n", 1000, BOOT)
    reading = _reading({"a": 1.0, "b": 2.0}, {"a": "counter"})
    first = stream.frame({0: reading}, 0, 1)
    again = stream.frame({0: Reading(0, reading.series, [3.0, 4.0])}, 0, 2)
    gone = stream.frame({0: _reading({"a": 1.0})}, 0, 3)
    assert first.key == again.key == gone.key, "one that is absent keeps its column"
    assert stream.frame({0: _reading({"c": 1.0})}, 0, 4).key != first.key
    schema = unpack_schema(decode_stream(first.schema)[0].payload)
    assert dict(schema.types) == {"a": "counter", "b": "unknown"}


def test_columns_that_nobody_uses_are_dropped_in_time() -> None:
    stream = Stream("n", 1000, BOOT)
    stream.frame({0: _reading({f"old{number}": 1.0 for number in range(50)})}, 0, 0)
    reading = _reading({"new": 1.0})
    for sequence in range(1, 250):
        frame = stream.frame({0: reading}, 0, sequence)
    schema = unpack_schema(decode_stream(frame.schema)[0].payload)
    assert [labels.name for labels in schema.series] == ["new"]


def test_columns_do_not_pile_up_until_then_where_names_change_all_the_time() -> None:
    stream = Stream("n", 1000, BOOT)
    for turn in range(12):
        stream.frame({0: _reading({f"x{turn}_{number}": 1.0 for number in range(4000)})}, 0, turn)
        assert len(stream._columns) <= 4 * 4000 + 20_000 + 4000


def test_a_reading_that_is_not_aligned_is_an_error_and_shifts_nobody() -> None:
    stream = Stream("n", 1000, BOOT)
    reading = _reading({"a": 1.0, "b": 2.0})
    stream.frame({0: reading, 1: _reading({"c": 3.0})}, 0, 1)
    with pytest.raises(ValueError, match="not as many values"):
        stream.frame({0: Reading(0, reading.series, [1.0]), 1: _reading({"c": 3.0})}, 0, 2)


def test_values_stand_under_their_series_whatever_the_order_they_came_in() -> None:
    stream = Stream("n", 1000, BOOT)
    stream.frame({0: _reading({"a": 1.0, "b": 2.0}), 1: _reading({"c": 3.0})}, 0, 1)
    frame = stream.frame({0: _reading({"b": 5.0, "d": 6.0, "a": 4.0}), 1: _reading({"c": 7.0})}, 0, 2)
    assert _read(frame) == {"a": 4.0, "b": 5.0, "c": 7.0, "d": 6.0}
