"""Who stands out among peers, and who does not."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.contract import Moment
from detectors.peers.detector import PeerDetector
from model.labels import Labels
from telemetry.bits import Floats
from telemetry.window import IdRemap, Window

METRIC = "DCGM_FI_DEV_POWER_USAGE"
STEP = 5_000
START = 1_700_000_000_000


class Pod:
    """GPUs that share a load, and what the detector says of each, tick by tick."""

    def __init__(self, members: int, groups: int = 1) -> None:
        self.window = Window()
        target = self.window.target("gpus", STEP)
        for number in range(members * groups):
            labels = {
                "__name__": METRIC,
                "UUID": str(number),
                "pod": f"pod-{number // members}",
                "modelName": "H",
            }
            self.window.series(target, Labels(labels), "gauge")
        self.detector = PeerDetector()
        self.detector.demand(self.window, METRIC)
        self.detector.notice(self.window, 0)

    def tell(self, values: Floats, start: int = 0, every: int = 1) -> Floats:
        """Values [ticks, members]; the deviations, NaN where nothing was said."""
        told = np.full(values.shape, np.nan)
        for tick, row in enumerate(values, start):
            at = START + tick * STEP
            times = np.where(np.isnan(row), at - 10**7, at - tick % every * STEP)
            results = self.detector.step(Moment(at, times, np.ascontiguousarray(row)))
            told[tick - start, results.subjects] = results.values[:, 0]
        return told


def shared(ticks: int, members: int, noise: float = 0.01, seed: int = 1) -> Floats:
    rng = np.random.default_rng(seed)
    load = 400 + 150 * np.sin(np.arange(ticks) / 40)
    own = 1 + 0.04 * rng.normal(size=members)
    return np.asarray(load[:, None] * (own + noise * rng.normal(size=(ticks, members))))


def test_healthy_peers_are_silent_though_they_differ() -> None:
    for members in (3, 4, 8, 11):
        told = Pod(members).tell(shared(400, members))
        assert np.nanmax(np.abs(told)) < 1


@pytest.mark.parametrize("members", [3, 4, 8, 12])
@pytest.mark.parametrize("factor", [0.6, 0.85, 1.3])
def test_a_straggler_is_found_after_three_samples_with_its_sign(members: int, factor: float) -> None:
    values = shared(400, members)
    values[300:, 1] *= factor
    told = Pod(members).tell(values)
    side = np.sign(factor - 1)
    assert (side * told[303:, 1] > 1).all()
    assert (np.abs(told[300:302, 1]) < 1).all(), "persistence"
    assert (np.abs(np.delete(told, 1, axis=1)[2:]) < 1).all()


def test_two_odd_samples_are_no_straggler() -> None:
    values = shared(400, 4)
    values[300:302, 2] *= 0.5
    values[320, 2] = 0.0
    assert np.nanmax(np.abs(Pod(4).tell(values))) < 1


def test_one_that_was_always_far_off_is_found_and_one_a_little_off_is_its_nature() -> None:
    values = shared(300, 8)
    values[:, 0] *= 0.6
    values[:, 1] *= 0.9
    told = Pod(8).tell(values)
    assert (told[5:, 0] < -1).all()
    assert np.nanmax(np.abs(told[:, 1])) < 1


def test_identical_peers_are_not_told_apart_by_a_last_digit() -> None:
    values = np.full((200, 4), 1980.0)
    values[150:, 3] = 1965.0
    assert np.nanmax(np.abs(Pod(4).tell(values))) < 1
    values[150:, 3] = 1600.0
    assert (Pod(4).tell(values)[153:, 3] < -1).all()


def test_noise_that_does_not_fall_with_the_load_sets_nobody_apart() -> None:
    """The noise of a member stays what it is when the load falls to a third."""
    noise = 40 * np.random.default_rng(5).normal(size=(1_500, 32))
    values = np.where(np.arange(1_500) < 1_200, 400.0, 130.0)[:, None] + noise
    assert np.nanmax(np.abs(Pod(8, groups=4).tell(values))) < 0.9
    values[1_300:, 3] *= 0.3
    told = Pod(8, groups=4).tell(values)
    assert (told[1_310:1_400, 3] < -1).mean() > 0.8
    assert np.nanmax(np.abs(np.delete(told, 3, axis=1))) < 1


def test_a_small_loss_that_lasts_is_found_in_a_minute_and_one_of_two_samples_is_not() -> None:
    values = shared(900, 8, noise=0.005)
    values[800:, 2] *= 0.91
    told = Pod(8).tell(values)
    assert (told[816:, 2] < -1).all()
    values[802:, 2] /= 0.91
    assert np.nanmax(np.abs(Pod(8).tell(values))) < 1


def test_groups_of_fewer_than_three_fresh_members_say_nothing() -> None:
    assert np.isnan(Pod(2).tell(shared(50, 2))).all()
    pod, values = Pod(3), shared(100, 3)
    values[50:, 2] = np.nan
    told = pod.tell(values)
    assert np.isfinite(told[10:50]).all()
    assert np.isnan(told[50:]).all()


def test_what_was_said_ends_with_the_peers() -> None:
    pod, values = Pod(3), shared(20, 3)
    pod.tell(values)
    at = START + 20 * STEP
    results = pod.detector.step(Moment(at, np.array([at, at, 0]), values[0]))
    assert sorted(results.ended.tolist()) == [0, 1, 2]
    assert len(results.subjects) == 0


def test_a_group_that_idles_is_silent() -> None:
    values = shared(400, 4)
    values[300:] = [70.0, 82.0, 75.0, 60.0]
    assert np.nanmax(np.abs(Pod(4).tell(values))) < 1


def test_one_group_does_not_know_of_another() -> None:
    values = shared(100, 4)
    both = Pod(4, groups=2).tell(np.hstack([values, 3 * values[:, ::-1]]))
    assert np.array_equal(both[:, :4], Pod(4).tell(values), equal_nan=True)


def test_small_pods_of_a_deployment_are_one_group() -> None:
    pod = Pod(1, groups=4)
    values = shared(60, 4)
    values[40:, 2] *= 0.6
    assert (pod.tell(values)[45:, 2] < -1).all()


def test_what_nobody_demands_any_more_is_forgotten() -> None:
    pod = Pod(4)
    pod.tell(shared(10, 4))
    pod.detector.release(METRIC)
    assert not pod.detector.watched(4).any()
    assert pod.detector.step(Moment(START + 10**6, np.full(4, START + 10**6), np.ones(4))).subjects.size == 0


def test_a_snapshot_before_the_demand_is_said_again_is_kept() -> None:
    values = shared(300, 4)
    values[250:, 1] *= 0.8
    pod, again = Pod(4), Pod(4)
    whole = pod.tell(values)
    half = Pod(4)
    half.tell(values[:260])
    again.detector = PeerDetector()
    again.detector.restore(half.detector.snapshot(4), 4)
    again.detector.demand(again.window, METRIC)
    assert np.array_equal(again.tell(values[260:], 260), whole[260:], equal_nan=True)
    with pytest.raises(ValueError, match="below 2"):
        PeerDetector().restore(half.detector.snapshot(4), 2)


def test_renumbering_keeps_what_is_known() -> None:
    values = shared(100, 4)
    pod = Pod(4)
    pod.tell(values[:60])
    window = Window()
    target = window.target("gpus", STEP)
    for number in (3, 2, 1, 0):
        labels = {"__name__": METRIC, "UUID": str(number), "pod": "pod-0", "modelName": "H"}
        window.series(target, Labels(labels), "gauge")
    pod.detector.remap(IdRemap(np.array([3, 2, 1, 0]), 4))
    pod.detector.notice(window, 0)
    told = pod.tell(values[60:, ::-1], 60)
    assert np.array_equal(told[:, ::-1], Pod(4).tell(values)[60:], equal_nan=True)
