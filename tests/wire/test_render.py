"""Rendering of exposition text."""

from __future__ import annotations

from model.labels import NAME, Labels
from model.metric import Metric, Sample
from wire.render import TextRenderer

HISTOGRAM = Metric("h", "histogram", "A histogram.")


def series(name: str, **labels: str) -> Labels:
    return Labels({NAME: name, **labels})


def test_families_stand_together_under_their_header() -> None:
    renderer = TextRenderer([HISTOGRAM, Metric("g", "gauge", "back\\slash\nand line")])
    body = renderer.render(
        [(series("h_bucket", le="1.0"), 1), (series("g"), 2), (series("h_count"), 3), (series("other"), 4)]
    )
    assert body.decode() == (
        "# HELP h A histogram.\n# TYPE h histogram\n"
        'h_bucket{le="1.0"} 1.0\nh_count 3.0\n'
        "# HELP g back\\\\slash\\nand line\n# TYPE g gauge\ng 2.0\nother 4.0\n"
    )


def test_a_later_declaration_counts() -> None:
    renderer = TextRenderer()
    assert renderer.render([(series("x_sum"), 1)]) == b"x_sum 1.0\n"
    renderer.declare(Metric("x", "summary", ""))
    renderer.declare(Metric("x", "summary", ""))
    assert renderer.render([(series("x_sum"), 1)]) == b"# TYPE x summary\nx_sum 1.0\n"


def test_special_values_and_names() -> None:
    renderer = TextRenderer([Metric("a.b", "unknown", "")])
    body = renderer.render(
        [
            (Labels({NAME: "a.b", "c.d": 'e"\\\n'}), float("nan")),
            (series("x"), float("inf")),
            (series("y"), float("-inf")),
            (series("z"), 1e300),
        ]
    )
    assert body.decode() == (
        '# TYPE "a.b" untyped\n{"a.b","c.d"="e\\"\\\\\\n"} NaN\nx +Inf\ny -Inf\nz 1e+300\n'
    )


def test_own_samples() -> None:
    renderer = TextRenderer([Metric("fleetowl_x_total", "counter", "X.")])
    assert renderer.render_own([Sample("fleetowl_x_total", {"reason": "r"}, 3)]) == (
        b'# HELP fleetowl_x_total X.\n# TYPE fleetowl_x_total counter\nfleetowl_x_total{reason="r"} 3.0\n'
    )


def test_what_is_no_longer_rendered_is_forgotten() -> None:
    renderer = TextRenderer()
    for turn in range(100):
        renderer.render([(series("x", n=f"{turn}-{n}"), 1) for n in range(50)])
    assert len(renderer._cache) < 1300
