"""Watchdogs of other servers, on a virtual clock."""

from __future__ import annotations

from typing import Any

import pytest

from analyzer.deadman.peers import SCHEMA, Peers
from analyzer.deadman.settings import PeerSettings
from model.alert import Alert, Tier
from model.labels import Labels
from store.database import Database
from store.durable import persist, restore

T0 = 1_795_132_800_000
MINUTE = 60_000


def watchdog(cluster: str, **labels: str) -> Alert:
    return Alert(Labels({"alertname": "Watchdog", "severity": "none", "cluster": cluster, **labels}), {}, T0)


def peers(**settings: Any) -> Peers:
    return Peers(PeerSettings.model_validate(settings))


def run(known: Peers, begin: int, end: int) -> list[Alert]:
    """What the last step says of a step a minute."""
    for now in range(begin, end, MINUTE):
        known.step(now)
    return known.step(end)


@pytest.mark.parametrize("gap", [3 * MINUTE, 10 * MINUTE, 24 * 60 * MINUTE])
def test_who_could_not_be_heard_because_we_did_not_run_is_not_silent(gap: int) -> None:
    known = peers()
    known.heard([watchdog("berlin"), watchdog("paris")], T0)
    run(known, T0, T0 + 3 * MINUTE)
    later = T0 + 3 * MINUTE + gap  # suspended, or the clock was set forward
    assert known.step(later) == []
    assert run(known, later, later + 4 * MINUTE) == []
    assert len(known.step(later + 5 * MINUTE)) == 2


def test_silence_raises_an_alert_and_a_sign_ends_it() -> None:
    known = peers()
    known.heard([watchdog("berlin"), watchdog("paris"), Alert(Labels({"alertname": "Other"}))], T0)
    assert known.step(T0 + 4 * MINUTE) == []
    known.heard([watchdog("paris")], T0 + 4 * MINUTE)
    (alert,) = known.step(T0 + 5 * MINUTE)
    assert alert.labels == Labels({"alertname": "DeadManSilent", "tier": "P1", "cluster": "berlin"})
    assert (alert.tier, alert.starts_at, alert.ends_at) == (Tier.P1, T0 + 5 * MINUTE, None)
    assert known.step(T0 + 6 * MINUTE) == [alert]  # it is repeated, or it would end
    known.heard([watchdog("berlin"), watchdog("paris")], T0 + 7 * MINUTE)
    (ended,) = known.step(T0 + 7 * MINUTE)
    assert (ended.labels, ended.ends_at) == (alert.labels, T0 + 7 * MINUTE)
    assert known.step(T0 + 8 * MINUTE) == []
    assert [one.ends_at for one in known.news] == [None, T0 + 7 * MINUTE]
    states = {sample.labels["state"]: sample.value for sample in known.samples()}
    assert states == {"heard": 2, "silent": 0}


def test_who_is_expected_counts_from_the_start_until_the_real_one_comes() -> None:
    known = peers(expect=[{"cluster": "berlin"}])
    assert known.step(T0) == []
    (alert,) = run(known, T0, T0 + 5 * MINUTE)
    assert alert.labels["cluster"] == "berlin"
    known.heard([watchdog("berlin", prometheus="k8s-0")], T0 + 6 * MINUTE)
    (ended,) = known.step(T0 + 6 * MINUTE)
    assert ended.ends_at == T0 + 6 * MINUTE
    later = T0 + 30 * 24 * 60 * MINUTE
    (silent,) = run(known, later, later + 5 * MINUTE)  # an expected one is never forgotten
    assert silent.labels["prometheus"] == "k8s-0"


def test_who_is_not_expected_is_forgotten_in_the_end() -> None:
    known = peers()
    known.heard([watchdog("berlin")], T0)
    run(known, T0, T0 + 6 * MINUTE)
    (ended,) = known.step(T0 + 8 * 24 * 60 * MINUTE)
    assert ended.ends_at is not None
    assert known.step(T0 + 9 * 24 * 60 * MINUTE) == []


def test_a_restart_keeps_the_silent_ones_and_gives_the_others_their_time() -> None:
    database = Database("sqlite://")
    database.create(SCHEMA)
    known = peers()
    known.heard([watchdog("berlin")], T0)
    known.heard([watchdog("paris")], T0 + 4 * MINUTE)
    (alert,) = known.step(T0 + 5 * MINUTE)
    assert persist(database, [known])
    later = peers()
    restore(database, [later], T0 + 60 * MINUTE)
    assert later.step(T0 + 60 * MINUTE) == [alert]
    assert len(run(later, T0 + 60 * MINUTE, T0 + 64 * MINUTE)) == 1
    assert len(later.step(T0 + 65 * MINUTE)) == 2


def test_signs_are_written_once_a_minute() -> None:
    database = Database("sqlite://")
    database.create(SCHEMA)
    known = peers()
    written = 0
    for second in range(0, 180, 10):
        known.heard([watchdog("berlin")], T0 + second * 1000)
        written += known.dirty
        persist(database, [known])
    assert written == 3


def test_matchers_choose_the_watchdogs_and_a_clock_set_back_hides_nothing() -> None:
    known = peers(matchers=['alertname="Alive"', 'cluster=~"b.*"'], tier="P0")
    alive = Alert(Labels({"alertname": "Alive", "cluster": "berlin"}))
    known.heard([alive, watchdog("paris")], T0)
    known.step(T0 - 60 * MINUTE)
    (alert,) = run(known, T0 - 60 * MINUTE, T0 - 55 * MINUTE)
    assert alert.tier is Tier.P0
