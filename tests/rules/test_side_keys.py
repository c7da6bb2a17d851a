"""What the side file adds to the life of an alert: an end of its own, flap control, kind and deadline."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.alert import Tier, deadline_of, kind_of
from model.labels import Labels
from model.moment import HOUR, MINUTE, SECOND
from model.settings import ConfigurationError, load_section
from rules.files import load_rule_files
from rules.flap import FlapControl
from rules.group import RuleGroup
from rules.sidefile import Extras, Flap
from rules.tables import METADATA, SCHEMA
from store.database import Database, Schema
from tests.rules.cluster import START, Cluster

HOT = "- {alert: Hot, expr: temp > 85, labels: {tier: P2}}"


def groups(tmp_path: Path, rules: str, side: str) -> list[RuleGroup]:
    path = tmp_path / "test.rules.yml"
    indented = "\n".join(f"    {line}" for line in rules.strip("\n").splitlines())
    path.write_text(f"groups:\n- name: test\n  interval: 1s\n  rules:\n{indented}\n")
    (tmp_path / "test.fleetowl.yml").write_text(f"test: {{Hot: {side}}}\n")
    return load_rule_files([path])


def cluster(tmp_path: Path, side: str, rules: str = HOT, started_at: int = START) -> Cluster:
    return Cluster(groups=groups(tmp_path, rules, side), started_at=started_at)


def temp(value: float, node: str = "n1") -> dict[str, float]:
    return {f'temp{{node="{node}"}}': value}


def held(it: Cluster) -> str:
    """Why the one alert is held, as /api/v1/rules says it."""
    [alert] = it.engine.document()["groups"][0]["rules"][0]["alerts"]
    return str(alert.get("fleetowl", {}).get("held", ""))


CLEAR = "{clear_expr: temp < 80}"


def test_between_the_two_limits_an_alert_goes_on(tmp_path: Path) -> None:
    it = cluster(tmp_path, CLEAR)
    now = it.run(2, lambda _: temp(90))
    now = it.run(60, lambda second: temp(82 + second % 3), now)
    assert it.names() == {"Hot"}
    assert held(it) == "its expression does not hold any more; clear_expr does not let it go yet"
    it.run(2, lambda _: temp(79), now)
    assert [alert.ends_at for alert in it.resolved] == [now]
    assert len(it.fired) == 1


def test_without_an_alert_the_band_between_means_nothing(tmp_path: Path) -> None:
    it = cluster(tmp_path, CLEAR)
    it.run(10, lambda _: temp(82))
    assert not list(it.engine.active())


def test_a_pending_alert_does_not_wait_for_the_clear_expression(tmp_path: Path) -> None:
    it = cluster(tmp_path, CLEAR, "- {alert: Hot, expr: temp > 85, for: 5s}")
    now = it.run(2, lambda _: temp(90))
    it.run(1, lambda _: temp(82), now)
    assert not list(it.engine.active())


def test_each_alert_ends_by_the_row_that_agrees_on_the_labels_that_both_have(tmp_path: Path) -> None:
    it = cluster(tmp_path, "{clear_expr: max by (node) (temp) < 80}")
    both = {'temp{node="n1", gpu="0"}': 90.0, 'temp{node="n2", gpu="0"}': 90.0}
    now = it.run(2, lambda _: both)
    it.run(2, lambda _: {'temp{node="n1", gpu="0"}': 79.0, 'temp{node="n2", gpu="0"}': 82.0}, now)
    assert [alert.labels["node"] for alert in it.resolved] == ["n1"]
    assert [alert.labels["node"] for alert in it.firing] == ["n2"]


def test_keep_firing_for_begins_where_the_clear_expression_ends(tmp_path: Path) -> None:
    it = cluster(tmp_path, CLEAR, "- {alert: Hot, expr: temp > 85, keep_firing_for: 5s}")
    now = it.run(2, lambda _: temp(90))
    now = it.run(20, lambda _: temp(82), now)
    it.run(10, lambda second: temp(79 if second == 0 else 82), now)
    assert [alert.ends_at for alert in it.resolved] == [now + 5 * SECOND]


def test_a_target_that_is_gone_ends_its_alert_after_the_look_back(tmp_path: Path) -> None:
    it = cluster(tmp_path, CLEAR)
    now = it.run(2, lambda _: {**temp(90), **temp(50, "n2")})
    now = it.run(400, lambda _: {**temp(82), **temp(50, "n2")}, now)
    assert it.names() == {"Hot"}, "while its series are there it goes on, however long"
    it.stale(now, 'temp{node="n1"}')
    it.run(310, lambda _: temp(50, "n2"), now)
    assert [alert.ends_at for alert in it.resolved] == [now + 5 * MINUTE]


def test_a_series_of_another_target_does_not_keep_an_alert_alive(tmp_path: Path) -> None:
    """Limits that are kept as a series have no label of the alert's and are always there."""
    it = cluster(tmp_path, "{clear_expr: temp < on () group_left limit}", HOT)
    now = it.run(2, lambda _: {**temp(90), 'limit{team="x"}': 80.0})
    now = it.run(2, lambda _: {**temp(82), 'limit{team="x"}': 80.0}, now)
    it.run(302, lambda _: {'limit{team="x"}': 80.0}, now)
    assert [alert.ends_at for alert in it.resolved] == [now + 5 * MINUTE - SECOND]


def test_an_alert_without_labels_lives_as_long_as_any_of_its_series(tmp_path: Path) -> None:
    it = cluster(tmp_path, "{clear_expr: max(temp) < 80}", "- {alert: Hot, expr: max(temp) > 85}")
    now = it.run(2, lambda _: temp(90))
    now = it.run(400, lambda _: temp(82), now)
    assert it.names() == {"Hot"}
    it.run(302, lambda _: {"other": 1.0}, now)
    assert not it.firing


def test_an_alert_without_series_ends_by_its_clear_expression_alone(tmp_path: Path) -> None:
    def after(seconds: int) -> str:
        return f"vector(time()) > {START // SECOND + seconds}"

    rule = f"- {{alert: Hot, expr: 'vector(time()) < {START // SECOND + 2}'}}"
    it = cluster(tmp_path, f"{{clear_expr: '{after(900)}'}}", rule)
    it.run(902, lambda _: temp(1))
    assert [alert.ends_at for alert in it.resolved] == [START + 901 * SECOND]


def test_a_clear_expression_that_fails_is_an_error_and_resolves_nothing(tmp_path: Path) -> None:
    it = cluster(tmp_path, "{clear_expr: temp * on (job) group_left temp < 5}")
    both = {**temp(90), **temp(90, "n2")}
    now = it.run(2, lambda _: both)
    it.run(2, lambda _: dict.fromkeys(both, 70.0), now)
    assert len(it.firing) == 2
    [rule] = it.engine.document()["groups"][0]["rules"]
    assert rule["health"] == "err"
    assert rule["lastError"].startswith("clear_expr failed: found duplicate series")


def test_a_clear_expression_that_fails_hinders_no_new_alert(tmp_path: Path) -> None:
    it = cluster(tmp_path, "{clear_expr: temp * on (job) group_left temp < 5}")
    now = it.run(2, lambda _: {**temp(90), **temp(50, "n2")})
    it.run(2, lambda _: {**temp(70), **temp(90, "n2")}, now)
    assert {alert.labels["node"] for alert in it.firing} == {"n1", "n2"}


def test_an_alert_lives_as_long_as_the_series_of_another_engine(tmp_path: Path) -> None:
    rule = "- {alert: Hot, expr: vllm:num_requests_waiting > 5}"
    it = cluster(tmp_path, "{clear_expr: vllm:num_requests_waiting < 2}", rule)
    now = it.run(2, lambda _: {'sglang:num_queue_reqs{pod="a"}': 10.0})
    it.run(400, lambda _: {'sglang:num_queue_reqs{pod="a"}': 4.0}, now)
    assert it.names() == {"Hot"}


FLAP = "{flap: {changes: 4, within: 30m, hold: 5m}}"


def flapping(second: int) -> dict[str, float]:
    return temp(90 if second // 30 % 2 == 0 else 70)


def test_an_alert_that_flaps_is_told_twice_and_then_held(tmp_path: Path) -> None:
    it = cluster(tmp_path, FLAP)
    now = it.run(600, flapping)
    # Fired, resolved, fired: the fourth change would be the second end, and it is held instead.
    assert (len(it.fired), len(it.resolved)) == (2, 1)
    assert "it flaps: " in held(it)
    assert "until none has come for 5m" in held(it)
    it.run(10, flapping, now)  # begins high: the last change
    counts = {sample.name: sample.value for sample in it.engine.samples()}
    assert counts["fleetowl_rule_alerts_flapping"] == 1


def test_a_held_alert_resolves_once_it_has_been_quiet(tmp_path: Path) -> None:
    it = cluster(tmp_path, FLAP)
    now = it.run(600, flapping)  # low for the last 30 s: the last change was 30 s ago
    it.run(400, lambda _: temp(70), now)
    assert [alert.ends_at for alert in it.resolved[1:]] == [now - 30 * SECOND + 5 * MINUTE]
    assert {sample.name: sample.value for sample in it.engine.samples()}["fleetowl_rule_alerts_flapping"] == 0
    it.run(60, flapping, now + 400 * SECOND)
    assert len(it.resolved) == 3, "it begins to count anew"


def test_a_held_alert_whose_expression_holds_again_is_only_let_go(tmp_path: Path) -> None:
    it = cluster(tmp_path, FLAP)
    now = it.run(600, flapping)
    now = it.run(300, lambda _: temp(90), now)
    assert "it flaps: " in held(it), "its return was a change too, so it is quiet since then"
    it.run(100, lambda _: temp(90), now)
    assert it.names() == {"Hot"}
    assert held(it) == ""
    assert len(it.resolved) == 1


def test_slow_changes_are_no_flapping(tmp_path: Path) -> None:
    it = cluster(tmp_path, "{flap: {changes: 4, within: 1m, hold: 5m}}")
    it.run(600, flapping)
    assert len(it.fired) == 10
    assert len(it.resolved) == 10


def test_a_pending_alert_that_comes_and_goes_does_not_count(tmp_path: Path) -> None:
    it = cluster(tmp_path, FLAP, "- {alert: Hot, expr: temp > 85, for: 1m}")
    it.run(600, flapping)
    assert not it.fired
    [rule] = it.engine.groups[0].rules
    assert rule.states is not None
    assert rule.states.flaps is not None
    assert not rule.states.flaps.records


@given(st.lists(st.tuples(st.integers(1, 100), st.booleans()), max_size=60))
@settings(max_examples=50, deadline=None)
def test_flap_control_never_holds_without_enough_changes(steps: list[tuple[int, bool]]) -> None:
    """Held only after N changes within D, and never longer than `hold` after the last one."""
    control = FlapControl(Flap.model_validate({"changes": 3, "within": "100ms", "hold": "50ms"}))
    labels, now, changes = Labels({"alertname": "A"}), 0, []
    for wait, changed in steps:
        now += wait
        control.forget_quiet(now)
        if changed:
            control.change(labels, now)
            changes.append(now)
        if control.holds(labels, now):
            assert now - changes[-1] < 50
            assert any(last - first < 100 for first, last in zip(changes, changes[2:], strict=False))


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path}/state.db")
    database.create(SCHEMA)
    return database


def restarted(tmp_path: Path, database: Database, before: Cluster, at: int, side: str) -> Cluster:
    with database.transaction() as tx:
        before.engine.save(tx)
    before.engine.saved()
    assert not before.engine.dirty
    after = cluster(tmp_path, side, started_at=at)
    with database.reading() as tx:
        after.engine.load(tx, at)
    after.firing = [active.alert() for active in after.engine.active()]
    return after


def test_flapping_goes_on_after_a_restart(tmp_path: Path, database: Database) -> None:
    it = cluster(tmp_path, FLAP)
    now = it.run(600, flapping)
    after = restarted(tmp_path, database, it, now, FLAP)
    now = after.run(600, flapping, now)
    assert (len(after.fired), len(after.resolved)) == (0, 0)
    after.run(400, lambda _: temp(70), now)
    assert len(after.resolved) == 1
    with database.transaction() as tx:
        after.engine.save(tx)
        assert tx.exec_driver_sql("select count(*) from rules_flapping").scalar() == 0


def test_changes_before_a_restart_count(tmp_path: Path, database: Database) -> None:
    it = cluster(tmp_path, FLAP)
    now = it.run(90, flapping)  # fired, resolved, fired
    after = restarted(tmp_path, database, it, now, FLAP)
    after.run(30, lambda _: temp(70), now)
    assert after.names() == {"Hot"}
    assert not after.resolved


def test_an_alert_in_the_band_is_restored_and_goes_on(tmp_path: Path, database: Database) -> None:
    it = cluster(tmp_path, CLEAR)
    now = it.run(2, lambda _: temp(90))
    now = it.run(10, lambda _: temp(82), now)
    after = restarted(tmp_path, database, it, now, CLEAR)
    now = after.run(700, lambda _: temp(82), now)
    assert after.names() == {"Hot"}
    assert not after.resolved
    after.run(2, lambda _: temp(79), now)
    assert [alert.ends_at for alert in after.resolved] == [now]


def test_a_rule_that_loses_its_flap_control_lets_its_alerts_go(tmp_path: Path, database: Database) -> None:
    it = cluster(tmp_path, FLAP)
    now = it.run(600, flapping)
    with database.transaction() as tx:
        it.engine.save(tx)
    it.engine.saved()
    it.engine.reload(groups(tmp_path, HOT, "{}"))
    it.run(1, lambda _: temp(70), now)
    assert not it.firing
    with database.transaction() as tx:
        it.engine.save(tx)
        assert tx.exec_driver_sql("select count(*) from rules_flapping").scalar() == 0


def test_a_reload_keeps_what_flaps(tmp_path: Path) -> None:
    it = cluster(tmp_path, FLAP)
    now = it.run(600, flapping)
    it.engine.reload(groups(tmp_path, HOT, FLAP))
    it.run(1, lambda _: temp(70), now)
    assert it.names() == {"Hot"}


def test_the_tables_of_version_1_are_brought_up_to_date(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/old.db")
    database.create(Schema("rules", 1, type(METADATA)()))
    columns = "rule VARCHAR(512), fingerprint VARCHAR(16), state VARCHAR(8), labels TEXT, source TEXT"
    with database.transaction() as tx:
        tx.exec_driver_sql(
            f"CREATE TABLE rules_alerts ({columns}, annotations TEXT, value FLOAT, active_at BIGINT, "
            "fired_at BIGINT, keep_since BIGINT, PRIMARY KEY (rule, fingerprint))"
        )
        row = 'test.rules.yml;test;Hot;1|0|firing|{"alertname":"Hot","node":"n1"}|{"node":"n1"}|{}'
        values = ", ".join(f"'{cell}'" for cell in row.split("|"))
        tx.exec_driver_sql(f"INSERT INTO rules_alerts VALUES ({values}, 90.0, {START}, {START}, 0)")
    assert database.create(SCHEMA) == "the tables of rules were moved from version 1 to version 2"
    it = cluster(tmp_path, FLAP)
    with database.reading() as tx:
        it.engine.load(tx, START)
    [active] = it.engine.active()
    assert (active.state, active.damped_since) == ("firing", 0)


def test_what_the_rule_says_travels_with_the_alert(tmp_path: Path) -> None:
    side = "{kind: trend, entity: node, runbook: cool-down}"
    it = cluster(tmp_path, side)
    now = it.run(1, lambda _: temp(90))
    [alert] = it.firing
    assert (alert.kind, alert.entity, alert.runbook) == ("trend", "node", "cool-down")
    assert alert.deadline == HOUR
    rules = "- {alert: Hot, expr: temp > 85, labels: {tier: P2, kind: anomaly}}"
    it.engine.reload(groups(tmp_path, rules, "{kind: trend, deadline: 7m}"))
    it.run(1, lambda _: temp(90), now)
    [alert] = it.firing
    assert (alert.kind, alert.deadline) == ("anomaly", 7 * MINUTE), "the label wins"


@pytest.mark.parametrize(
    ("tier", "kind", "minutes"),
    [
        (Tier.P0, "", 5),
        (Tier.P1, "", 15),
        (Tier.P2, "", 60),
        (Tier.P3, "", 120),
        (Tier.P0, "business", 3),
        (Tier.P0, "threshold", 5),
        (Tier.P1, "anomaly", 10),
        (Tier.P2, "threshold", 20),
        (Tier.P3, "trend", 60),
    ],
)
def test_the_stricter_of_tier_and_kind_is_the_deadline(tier: Tier, kind: str, minutes: int) -> None:
    assert deadline_of(tier, kind) == minutes * MINUTE


def test_a_kind_that_is_none_of_the_four_says_nothing() -> None:
    assert kind_of({"kind": "hardware"}) == ""
    assert kind_of({"kind": "hardware"}, "trend") == "trend"
    assert kind_of({"kind": "business"}, "trend") == "business"


@pytest.mark.parametrize("expr", ["fleetowl_anomaly_weight < 1", '{__name__=~"fleetowl_anomaly_.+"}'])
def test_what_people_said_ends_no_alert(expr: str) -> None:
    with pytest.raises(ConfigurationError, match="may not read fleetowl_anomaly_weight"):
        load_section(Extras, {"clear_expr": expr}, "a.fleetowl.yml")
