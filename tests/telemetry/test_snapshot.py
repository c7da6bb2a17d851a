"""The snapshot: equal answers after a restart; a damaged file costs history and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.labels import Labels
from model.matcher import Matcher, Op
from telemetry.bits import STALE_NAN
from telemetry.snapshot import SnapshotError, freeze, read, thaw, write
from telemetry.window import Window, WindowLimits

NOW = 1_700_000_000_000
EVERYTHING: list[Matcher] = []


def busy() -> Window:
    """Shared and own times, a NaN, a stale marker, a late sample, a hole among the ids."""
    window = Window(retention=60_000)
    window.advance(NOW)
    scraped, gone, remote = window.target("a", 5_000), window.target("gone", 1_000), window.target("rw", 0)
    names = ["plain", 'quote"', "back\\slash", "new\nline", "snow☃"]
    shared = np.array(
        [window.series(scraped, Labels({"__name__": "m", "v": name}), "gauge") for name in names]
    )
    window.series(gone, Labels({"__name__": "gone"}))
    own = np.array(
        [window.series(remote, Labels({"__name__": "r", "n": str(n)}), "counter") for n in range(3)]
    )
    for tick in range(10):
        window.append(scraped, NOW - tick * 1_000, shared, np.arange(5.0) + tick)
        window.append_each(remote, NOW + np.arange(3) * 7 + tick, own, np.full(3, np.nan))
    window.append(scraped, NOW + 1_000, shared[:2], np.array([STALE_NAN, np.inf]))
    window.drop_target("gone")
    return window


def answers(window: Window) -> list[tuple[str, bytes, bytes, bytes]]:
    found = []
    for selection in window.select(EVERYTHING):
        times, values, present = selection.range(NOW - 60_000, NOW + 60_000)
        for place, labels in enumerate(selection.labels):
            here = present[:, place]
            head = window.last(selection.ids[place : place + 1])
            found.append(
                (repr(labels), times[here, place].tobytes(), values[here, place].tobytes(), head[1].tobytes())
            )
    return sorted(found)


def test_a_restored_window_gives_equal_answers(tmp_path: Path) -> None:
    window = busy()
    write(freeze(window, NOW), tmp_path / "window")
    restored = thaw(read(tmp_path / "window"), 60_000)
    assert answers(restored) == answers(window)
    assert restored.type_of("r") == "counter"
    assert (restored.size, restored.series_count, restored.bytes) == (
        window.size, window.series_count, window.bytes,
    )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["window"]


def test_a_restored_window_goes_on_alike(tmp_path: Path) -> None:
    one = busy()
    two = thaw(freeze(one, NOW), 60_000)
    for window in (one, two):
        window.advance(NOW + 20_000)
        target = window.target("a", 5_000)
        ids = np.array([window.series(target, Labels({"__name__": "m", "n": str(n)})) for n in range(40)])
        for tick in range(30):
            window.append(target, NOW + 2_000 + tick * 600, ids, np.arange(40.0) + tick)
        window.compact(NOW + 20_000)
    assert answers(one) == answers(two)


def test_a_frozen_window_does_not_change_with_the_window(tmp_path: Path) -> None:
    window = busy()
    before, frozen = answers(window), freeze(window, NOW)
    target = window.target("a", 5_000)
    ids = np.array([window.series(target, Labels({"__name__": "new", "n": str(n)})) for n in range(9)])
    window.append(target, NOW + 5_000, ids, np.ones(9))
    window.drop_target("rw")
    write(frozen, tmp_path / "window")
    restored = thaw(read(tmp_path / "window"), 60_000)
    assert answers(restored) == before


def test_another_room_may_put_its_state_beside(tmp_path: Path) -> None:
    frozen = freeze(busy(), NOW)
    frozen.add("detectors", {"level": np.arange(3.0), "none": np.empty((0, 2), np.int64)})
    write(frozen, tmp_path / "window")
    state = read(tmp_path / "window").of("detectors")
    assert state["level"].tolist() == [0.0, 1.0, 2.0]
    assert state["none"].shape == (0, 2)
    assert read(tmp_path / "window").taken_at == NOW
    assert read(tmp_path / "window").of("rules") == {}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_seen(data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "window"
    write(freeze(busy(), NOW), path)
    whole = path.read_bytes()
    place = data.draw(
        st.integers(0, len(whole) - 1) | st.integers(0, 3_000).map(lambda n: min(n, len(whole) - 1))
    )
    if data.draw(st.booleans()):
        path.write_bytes(whole[:place])
    else:
        path.write_bytes(
            whole[:place] + bytes([whole[place] ^ data.draw(st.integers(1, 255))]) + whole[place + 1 :]
        )
    with pytest.raises(SnapshotError):
        thaw(read(path), 60_000)


def test_no_file_is_a_reason(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="cannot be read"):
        read(tmp_path / "nothing")


def test_a_file_of_another_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "window"
    write(freeze(busy(), NOW), path)
    data = bytearray(path.read_bytes())
    data[16] = 9
    path.write_bytes(data)
    with pytest.raises(SnapshotError, match="version 9, this is version 1"):
        read(path)


def test_parts_that_do_not_fit_are_refused() -> None:
    frozen = freeze(busy(), NOW)
    del frozen.arrays["series_base"]
    with pytest.raises(SnapshotError, match="do not fit"):
        thaw(frozen)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "window"
    write(freeze(busy(), NOW), path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(freeze(Window(), NOW), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["window"]


def test_a_smaller_budget_after_the_restart_refuses_growth_only() -> None:
    window = thaw(freeze(busy(), NOW), 60_000, WindowLimits(memory=1))
    target = window.target("a", 5_000)
    ids = np.array([window.series(target, Labels({"__name__": "m", "v": "plain"}))])
    assert window.append(target, NOW + 2_000, ids, np.ones(1)).accepted == 1


def test_an_empty_window_survives() -> None:
    window = thaw(freeze(Window(), NOW))
    assert (window.series_count, window.select([Matcher("a", Op.EQUAL, "b")])) == (0, [])
    target = window.target("a", 1_000)
    ids = np.array([window.series(target, Labels({"__name__": "m"}))])
    assert window.append(target, NOW, ids, np.ones(1)).accepted == 1
