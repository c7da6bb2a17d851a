"""Injected faults: what is put in, into what, and when an alert is the right one."""

import numpy as np
import pytest

from bench.detection.injection.background import group, short_noise
from bench.detection.injection.episodes import LASTS, NONE, PER_GROUP, ROWS, Episode, drawn, plan
from bench.detection.injection.faults import KINDS, faulty
from bench.detection.injection.verdict import Verdict, total, verdict
from bench.detection.labelled.machines import Machine
from bench.detection.labelled.series import Series
from bench.detection.suites.quiet import quiet_rows, raised_in
from telemetry.bits import Flags

CHANCE = np.random.default_rng(3)


@pytest.fixture(scope="module")
def machine() -> Machine:
    load = 10 + np.sin(np.arange(7000) / 500)[:, None] + CHANCE.normal(0, 0.1, (7000, 6))
    load[:, 0] = 0.0  # rests: no background for a fault
    return Machine("m", load, load[:1], np.zeros(1, bool), 60_000)


def test_peers_follow_one_load_and_episodes_differ_from_it_by_their_fault(machine: Machine) -> None:
    (of, episodes), *_ = drawn({"set": [machine]}, 2, seed=1)
    assert of.values.shape[1:] == (8, 5)
    assert 0.9 < np.corrcoef(of.values[:, 0, 0], of.values[:, 5, 0])[0, 1] < 1
    assert len(episodes) == PER_GROUP
    for place, one in enumerate(episodes):
        assert one.begin == of.history + place * ROWS
        before = of.values[one.begin : one.begin + len(one.values)]
        changed = np.argwhere(one.values != before)
        if one.kind == NONE:
            assert len(changed) == 0
            continue
        assert {int(member) for member in changed[:, 1]} == {one.member}
        assert changed[:, 0].min() == one.onset
        assert len(one.values) == one.onset + LASTS


def test_the_same_seed_draws_the_same(machine: Machine) -> None:
    first, second, other = (drawn({"set": [machine]}, 1, seed)[0][1] for seed in (1, 1, 2))
    assert all(np.array_equal(one.values, two.values) for one, two in zip(first, second, strict=True))
    assert not np.array_equal(first[0].values, other[0].values)


def test_a_quarter_has_no_fault_and_rows_that_rest_are_no_background(machine: Machine) -> None:
    kinds = [kind for kinds in plan(6, np.random.default_rng(1)) for kind in kinds]
    assert kinds.count(NONE) == 9
    assert all(kinds.count(kind) >= 5 for kind in KINDS)
    resting = Machine("m", np.zeros((7000, 5)), np.zeros((1, 5)), np.zeros(1, bool), 60_000)
    assert group("set", [resting], 6480, CHANCE) is None
    assert group("set", [machine], 7001, CHANCE) is None


@pytest.mark.parametrize("kind", ["step", "ramp"])
def test_steps_and_ramps_are_3_to_6_sigma(kind: str) -> None:
    rows = np.full((120, 8), 10.0)
    moved = np.abs(faulty(rows, kind, np.full(8, 0.5), CHANCE) - rows)
    assert 2 <= (moved[-1] > 0).sum() <= 4
    assert ((moved[-1] == 0) | ((moved[-1] >= 1.5) & (moved[-1] <= 3.0))).all()
    assert (moved[0] == 0).all()


def test_a_straggler_does_less_a_stuck_one_stays_and_a_hung_one_waits() -> None:
    rows = CHANCE.uniform(5, 6, (120, 8))
    share = faulty(rows, "straggler", np.ones(8), CHANCE)[1:] / rows[1:]
    assert ((share[:, :4] >= 0.6) & (share[:, :4] <= 0.85)).all()
    assert (share[:, 4:] == 1).all()
    stuck = faulty(rows, "stuck", np.ones(8), CHANCE)
    assert ((stuck == stuck[0]).all(axis=0)).sum() >= 2
    hung = faulty(rows, "hang", np.ones(8), CHANCE)[1:]
    assert (hung[:, :4] == 0).all()
    assert (hung[:, -1] >= 2 * rows[1:, -1]).all()


def test_the_noise_is_that_from_row_to_row_not_the_load() -> None:
    noise = CHANCE.normal(0, 0.2, 5000)
    assert short_noise(noise + np.linspace(0, 100, 5000)) == pytest.approx(0.2, rel=0.1)


def flags(**raised: list[int]) -> Flags:
    found = np.zeros((240, 3), bool)
    for member, rows in raised.items():
        found[rows, int(member[1:])] = True
    return found


def test_only_an_alert_of_the_ill_member_that_begins_in_the_fault_is_true() -> None:
    episode = Episode(0, "step", 1, 120, np.zeros((240, 3, 2)))
    assert verdict(episode, flags(m1=[126, 127, 200])) == Verdict("step", 30.0, 0)
    assert verdict(episode, flags(m0=[126])) == Verdict("step", None, 1)
    assert verdict(episode, flags(m1=[*range(100, 240)])) == Verdict("step", None, 1)  # on before, and on
    assert verdict(episode, flags(m1=[10, 126], m2=[10, 100])) == Verdict("step", 30.0, 3)
    none = Episode(0, NONE, 1, 120, np.zeros((240, 3, 2)))
    assert verdict(none, flags(m1=[126])) == Verdict(NONE, None, 1)


def test_a_constant_alarm_has_no_recall_and_all_precision_is_lost() -> None:
    episode = Episode(0, "step", 1, 120, np.zeros((240, 3, 2)))
    found = total([verdict(episode, np.ones((240, 3), bool))])
    assert (found.recall, found.precision, found.false) == (0.0, 0.0, 3)


def test_quiet_rows_keep_their_distance_from_events() -> None:
    series = Series("g", "n", np.arange(100) * 300_000, np.zeros(100), ((50, 59),))
    assert np.flatnonzero(~quiet_rows(series)).tolist() == list(range(38, 72))
    scores = np.where(np.arange(100) % 10 == 5, 2.0, 0.0)
    assert raised_in(scores, quiet_rows(series), 300_000).onsets == 7
