"""From scraped bodies to the window: labels, limits, stale markers, the series about the scrape itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from model.labels import NAME, Labels
from model.moment import MINUTE
from telemetry.ingest import REPORTS, IngestStats, TargetIngest
from telemetry.ingest_settings import IngestSettings
from telemetry.relabel import RelabelConfig
from telemetry.window import Window, WindowLimits
from wire.target_labels import with_target_labels

TARGET = Labels({"job": "j", "instance": "i:1"})
T0 = 1_700_000_000_000
STEP = 15_000

Instant = Callable[..., dict[Labels, float]]


def series(name: str, **labels: str) -> Labels:
    return Labels({**TARGET, NAME: name, **labels})


def make(window: Window | None = None, **settings: Any) -> tuple[Window, TargetIngest]:
    window = window or Window()
    return window, TargetIngest(window, "t", STEP, TARGET, IngestSettings(**settings))


def own(found: dict[Labels, float]) -> dict[Labels, float]:
    """Without the reports."""
    return {labels: value for labels, value in found.items() if labels.name not in REPORTS}


def reports(found: dict[Labels, float]) -> dict[str, float]:
    return {labels.name: value for labels, value in found.items() if labels.name in REPORTS}


def test_a_scrape_gives_each_series_the_targets_labels(instant: Instant) -> None:
    window, target = make()
    result = target.ingest(b'# TYPE x counter\nx{a="b"} 1\ny 2\n', T0, 0.25)
    assert (result.up, result.reason, result.scraped, result.kept, result.added) == (True, "", 2, 2, 2)
    found = instant(window, T0)
    assert own(found) == {series("x", a="b"): 1.0, series("y"): 2.0}
    assert reports(found) == {
        "up": 1.0,
        "scrape_duration_seconds": 0.25,
        "scrape_samples_scraped": 2.0,
        "scrape_samples_post_metric_relabeling": 2.0,
        "scrape_series_added": 2.0,
    }
    assert all(labels.only(["job", "instance"]) == TARGET for labels in found)
    assert window.type_of("x") == "counter"
    again = target.ingest(b'x{a="b"} 5\ny 6\n', T0 + STEP)
    assert again.added == 0
    assert own(instant(window, T0 + STEP)) == {series("x", a="b"): 5.0, series("y"): 6.0}


def test_all_samples_of_a_scrape_share_one_slot(read: Callable[..., Any]) -> None:
    window, target = make()
    for turn in range(3):
        target.ingest(b"x 1\ny 2\n", T0 + turn * STEP)
    times = {labels.name: [time for time, _ in rows] for labels, rows in read(window).items()}
    assert set(map(tuple, times.values())) == {(T0, T0 + STEP, T0 + 2 * STEP)}


def test_a_sample_that_comes_twice_is_counted_twice_and_stored_once(instant: Instant) -> None:
    """Prometheus 2.42 reports 3 for this body."""
    window, target = make()
    result = target.ingest(b"x 1\nx 2\ny 3\n", T0)
    assert (result.scraped, result.kept, result.refused) == (3, 3, {"duplicate": 1})
    assert own(instant(window, T0)) == {series("x"): 1.0, series("y"): 3.0}


def test_clashing_labels() -> None:
    exposed = Labels({NAME: "x", "job": "theirs", "instance": "his", "exported_job": "older"})
    assert with_target_labels(exposed, TARGET, honor_labels=False) == Labels(
        {
            NAME: "x",
            **TARGET,
            "exported_job": "older",
            "exported_exported_job": "theirs",
            "exported_instance": "his",
        }
    )
    assert with_target_labels(exposed, TARGET, honor_labels=True) == exposed
    plain = Labels({NAME: "x"})
    assert with_target_labels(plain, TARGET, True) == with_target_labels(plain, TARGET, False) == series("x")


def test_a_series_that_is_gone_ends(instant: Instant) -> None:
    window, target = make()
    target.ingest(b"x 1\ny 2\n", T0)
    target.ingest(b"x 1\n", T0 + STEP)
    assert own(instant(window, T0 + STEP)) == {series("x"): 1.0}
    assert own(instant(window, T0 + STEP - 1)) == {series("x"): 1.0, series("y"): 2.0}
    target.ingest(b"y 3\nx 1\n", T0 + 2 * STEP)
    assert own(instant(window, T0 + 2 * STEP)) == {series("x"): 1.0, series("y"): 3.0}


def test_a_missing_dcgm_value_ends_its_series(instant: Instant) -> None:
    window, target = make()
    target.ingest(b"DCGM_FI_DEV_GPU_TEMP 40\n", T0)
    result = target.ingest(b"DCGM_FI_DEV_GPU_TEMP 9223372036854775794\n", T0 + STEP)
    assert result.refused == {"sentinel": 1}
    assert own(instant(window, T0 + STEP)) == {}


@pytest.mark.parametrize("how", ["fail", "malformed", "sample_limit"])
def test_a_failed_scrape_ends_all_series_and_says_why(how: str, instant: Instant) -> None:
    window, target = make(sample_limit=3)
    target.ingest(b"x 1\ny 2\n", T0)
    if how == "fail":
        result = target.fail(T0 + STEP, "connection refused", 0.5)
        assert result.reason == "connection refused"
    elif how == "malformed":
        result = target.ingest(b"x 1\n<html>\n", T0 + STEP, 0.5)
        assert "line 2" in result.reason
    else:
        result = target.ingest(b"x 1\ny 2\nz 3\nw 4\n", T0 + STEP, 0.5)
        assert "sample_limit 3" in result.reason
        assert window.find(series("z")) is None
    assert not result.up
    found = instant(window, T0 + STEP)
    assert own(found) == {}
    assert reports(found)["up"] == 0.0
    assert reports(found)["scrape_duration_seconds"] == 0.5
    assert target.ingest(b"x 7\n", T0 + 2 * STEP).up
    assert own(instant(window, T0 + 2 * STEP)) == {series("x"): 7.0}
    assert target.stats.failed == 1


def test_a_target_that_leaves_ends_up_too(instant: Instant) -> None:
    window, target = make()
    target.ingest(b"x 1\n", T0)
    target.leave(T0 + STEP)
    assert instant(window, T0 + STEP) == {}


def test_metric_relabelling(instant: Instant) -> None:
    configs = [
        RelabelConfig(source_labels=[NAME], regex="drop_.*", action="drop"),
        RelabelConfig(source_labels=["pod"], target_label="p"),
        RelabelConfig(regex="pod", action="labeldrop"),
    ]
    window, target = make(metric_relabel_configs=configs)
    for turn in range(2):
        result = target.ingest(b'drop_me 1\nx{pod="a"} 2\n', T0 + turn * STEP)
        assert (result.scraped, result.kept) == (2, 1)
    assert own(instant(window, T0 + STEP)) == {series("x", p="a"): 2.0}
    assert window.find(series("drop_me")) is None


def test_relabelling_that_makes_two_series_one(instant: Instant) -> None:
    window, target = make(metric_relabel_configs=[RelabelConfig(regex="pod", action="labeldrop")])
    for turn in range(2):
        result = target.ingest(b'x{pod="a"} 1\nx{pod="b"} 2\n', T0 + turn * STEP)
        assert result.refused == {"duplicate": 1}
    assert own(instant(window, T0 + STEP)) == {series("x"): 1.0}


def test_relabelling_away_the_name_fails_the_scrape() -> None:
    _, target = make(metric_relabel_configs=[RelabelConfig(regex=NAME, action="labeldrop")])
    assert "without a name" in target.ingest(b"x 1\n", T0).reason


@pytest.mark.parametrize(
    ("limit", "body"),
    [
        ({"label_limit": 3}, b'x{a="1"} 1\n'),
        ({"label_name_length_limit": 8}, b'x{abcdefghi="1"} 1\n'),
        ({"label_value_length_limit": 5}, b'x{a="123456"} 1\n'),
    ],
)
def test_label_limits_fail_the_whole_scrape(limit: dict[str, Any], body: bytes) -> None:
    _, target = make(None, **limit)
    assert target.ingest(b"ok 1\n", T0).up
    result = target.ingest(b"ok 1\n" + body, T0 + STEP)
    assert not result.up
    assert next(iter(limit)) in result.reason


def test_the_sample_limit_counts_what_relabelling_left(instant: Instant) -> None:
    configs = [RelabelConfig(source_labels=[NAME], regex="drop_.*", action="drop")]
    _, target = make(sample_limit=1, metric_relabel_configs=configs)
    for turn in range(3):
        assert target.ingest(b"drop_a 1\ndrop_b 1\nx 1\n", T0 + turn * STEP).up
    assert not target.ingest(b"drop_a 1\nx 1\ny 1\n", T0 + 4 * STEP).up


def test_times_of_the_target(read: Callable[..., Any]) -> None:
    body = b"own 1 %d\nshared 2\n" % (T0 - 5000)
    window, target = make()
    assert target.ingest(body, T0).up
    target.ingest(b"shared 3\n", T0 + STEP)
    found = read(window, ["own", "shared"])
    assert found == {
        series("own"): [(T0 - 5000, 1.0)],  # and no stale marker: it is not expected in each scrape
        series("shared"): [(T0, 2.0), (T0 + STEP, 3.0)],
    }
    deaf_window, deaf = make(honor_timestamps=False)
    deaf.ingest(body, T0)
    assert read(deaf_window, ["own"]) == {series("own"): [(T0, 1.0)]}


def test_one_scrape_in_two_parts_and_one_out_of_order(read: Callable[..., Any]) -> None:
    window, target = make()
    target.ingest(b"x 1\n", T0 + STEP)
    target.ingest(b"x 0\n", T0)
    target.ingest(b"x 2\n", T0 + STEP)  # the same time again: the first stays
    assert read(window, ["x"]) == {series("x"): [(T0, 0.0), (T0 + STEP, 1.0)]}


def test_a_full_window_refuses_by_reason_and_recovers() -> None:
    window, target = make(Window(limits=WindowLimits(series=7)))
    body = b"a 1\nb 1\nc 1\nd 1\n"
    for turn in range(2):
        result = target.ingest(body, T0 + turn * STEP)
        assert result.up
        assert result.scraped == 4
        assert result.refused == {"series_limit": 2}
    assert window.series_count == 7


def test_room_that_is_made_is_used(instant: Instant) -> None:
    window, target = make(Window(limits=WindowLimits(series=12)))
    TargetIngest(window, "other", STEP, Labels({"job": "o"})).ingest(b"a 1\nb 1\nc 1\n", T0)
    body = b"w 1\nx 2\ny 3\n"
    for turn in range(3):
        result = target.ingest(body, T0 + turn * STEP)
        assert (result.up, result.refused) == (True, {"series_limit": 3})
        assert instant(window, T0 + turn * STEP)[series("up")] == 1.0
    window.drop_target("other")
    for turn in range(3, 5):
        assert target.ingest(body, T0 + turn * STEP).refused == {}
    assert len(instant(window, T0 + 4 * STEP)) == 3 + len(REPORTS)


@pytest.mark.parametrize("slack", [1.0, 0.0])
def test_a_target_that_was_away_for_longer_than_retention(slack: float, instant: Instant) -> None:
    window, target = make(Window(retention=10 * MINUTE))
    TargetIngest(window, "other", STEP, Labels({"job": "o"})).ingest(b"a 1\n", T0 + 11 * MINUTE)
    target.ingest(b"x 1\ny 1\n", T0)
    window.compact(T0 + 11 * MINUTE, slack)
    assert window.find(series("x")) is None
    assert target.ingest(b"x 2\ny 3\n", T0 + 12 * MINUTE).refused == {}
    assert own(instant(window, T0 + 12 * MINUTE, "x")) == {series("x"): 2.0}
    assert instant(window, T0 + 12 * MINUTE, "up")[series("up")] == 1.0


def test_series_that_the_window_dropped_or_renumbered_are_found_again(instant: Instant) -> None:
    window, target = make(Window(retention=10 * MINUTE))
    other = TargetIngest(window, "other", STEP, Labels({"job": "o", "instance": "o"}))
    other.ingest(b"a 1\nb 1\n", T0 - STEP)
    target.ingest(b"x 1\ny 1\nz 1\n", T0)
    later = T0 + 11 * MINUTE
    target.ingest(b"x 2\n", later)
    for slack in (1.0, 0.0):  # dropped only; then renumbered too
        window.compact(later, slack)
        later += STEP
        assert target.ingest(b"x 3\ny 4\n", later).refused == {}
        assert own(instant(window, later)) == {series("x"): 3.0, series("y"): 4.0}
        assert reports(instant(window, later))["up"] == 1.0
        target.ingest(b"x 5\n", later + 1)
        assert own(instant(window, later + 1)) == {series("x"): 5.0}
    window.drop_target("t")
    assert target.ingest(b"x 6\ny 7\n", later + 5).refused == {}
    assert own(instant(window, later + 5)) == {series("x"): 6.0, series("y"): 7.0}


def test_a_new_ingest_ends_what_an_earlier_one_left(instant: Instant) -> None:
    """After a restart with a restored window, or a reload of the configuration."""
    window, target = make()
    target.ingest(b"x 1\ny 2\n", T0)
    derived = window.series(window.target("t", STEP), series("fleetowl_anomaly_score"), "gauge")
    window.append(window.target("t", STEP), T0, [derived], [0.5])  # type: ignore[arg-type]
    _, successor = make(window)
    successor.ingest(b"x 3\n", T0 + STEP)
    found = own(instant(window, T0 + STEP))
    assert found == {series("x"): 3.0, series("fleetowl_anomaly_score"): 0.5}
    _, third = make(window)
    third.fail(T0 + 2 * STEP, "refused")
    assert series("x") not in instant(window, T0 + 2 * STEP)


def test_churn_is_survived(instant: Instant) -> None:
    window, target = make()
    for turn in range(100):
        body = b"stays 1\n" + b"".join(b'x{pod="%d-%d"} 1\n' % (turn, n) for n in range(50))
        result = target.ingest(body, T0 + turn * STEP)
        assert result.added == (51 if turn == 0 else 50)
    found = own(instant(window, T0 + 99 * STEP))
    assert len(found) == 51


def test_stats_are_shared_and_exported() -> None:
    window, stats = Window(), IngestStats()
    for name in ("a", "b"):
        target = TargetIngest(window, name, STEP, Labels({"instance": name}), stats=stats)
        target.ingest(b"x 1\nx 2\n", T0)
        target.fail(T0 + 1, "no")
    exported = {(sample.name, *sample.labels.values()): sample.value for sample in stats.samples()}
    assert exported == {
        ("fleetowl_scrapes_total", "success"): 2,
        ("fleetowl_scrapes_total", "failure"): 2,
        ("fleetowl_scrape_samples_total",): 4,
        ("fleetowl_scrape_samples_refused_total", "duplicate"): 2,
    }
