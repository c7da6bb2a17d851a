"""What /metrics shows of several readings."""

from __future__ import annotations

from agent.exposition import Exposition
from agent.reading import Reading
from model.labels import NAME, Labels
from model.metric import Metric

TYPES = {"lat": "histogram", "lat_bucket": "histogram", "lat_count": "histogram", "run": "gauge"}


def engine(number: int, value: float, at: int = 0) -> Reading:
    names = ("lat_bucket", "run", "lat_count")
    series = [Labels({NAME: name, "instance": f"e{number}"}) for name in names]
    return Reading(at, series, [value, value + 1, value + 2], TYPES)


def test_a_family_of_two_engines_stands_in_one_piece() -> None:
    exposition = Exposition(lambda: [Metric("run", "gauge", "Running.")])
    assert exposition.render([engine(0, 1.0), engine(1, 5.0)]).decode() == (
        "# TYPE lat histogram\n"
        'lat_bucket{instance="e0"} 1.0\nlat_count{instance="e0"} 3.0\n'
        'lat_bucket{instance="e1"} 5.0\nlat_count{instance="e1"} 7.0\n'
        "# HELP run Running.\n# TYPE run gauge\n"
        'run{instance="e0"} 2.0\nrun{instance="e1"} 6.0\n'
    )
    assert exposition.render([]) == b""


def test_the_page_is_kept_until_a_reading_changes() -> None:
    metrics: list[Metric] = []
    exposition = Exposition(lambda: metrics)
    one, other = engine(0, 1.0), engine(1, 5.0)
    page = exposition.render([one, other])
    assert exposition.render([one, other]) is page
    newer = exposition.render([one, Reading(1, other.series, [8.0, 8.0, 8.0], TYPES)])
    assert b'run{instance="e1"} 8.0' in newer
    assert exposition.render([one]) == exposition.render([engine(0, 1.0)])
    page = exposition.render([one, other])
    metrics.append(Metric("more", "gauge", "Met later."))
    assert exposition.render([one, other]) == page
    assert b"# TYPE more" in exposition.render([Reading(0, [Labels({NAME: "more"})], [1.0], TYPES)])


def test_a_series_that_comes_later_is_declared() -> None:
    metrics: list[Metric] = []
    exposition = Exposition(lambda: metrics)
    exposition.render([Reading(0, [Labels({NAME: "run"})], [1.0], TYPES)])
    metrics.append(Metric("more", "gauge", "Met later."))
    assert b"# TYPE more" in exposition.render([Reading(0, [Labels({NAME: "more"})], [1.0], TYPES)])


def test_families_that_change_all_the_time_are_forgotten() -> None:
    own = Metric("run", "gauge", "Running.")
    exposition = Exposition(lambda: [own])
    for number in range(60):
        names = [f"m_{number}_{place}" for place in range(200)]
        series = [Labels({NAME: name}) for name in (*names, "run")]
        reading = Reading(number, series, [1.0] * 201, dict.fromkeys(names, "counter"))
        page = exposition.render([reading]).decode()
        assert page.count("# TYPE") == 201
        assert "# HELP run Running.\n# TYPE run gauge\nrun 1.0\n" in page
    assert len(exposition._declared) < 3000
    assert len(exposition._families._headers) < 3000
