"""Rendering of exposition text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.labels import NAME, Labels
from model.metric import Metric, Sample
from wire.render import Families, PageRenderer, TextRenderer

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


POOL = [series(name, n=str(n)) for name in ("h_bucket", "h_sum", "h", "g", "x", "é") for n in range(3)]
LISTS = st.lists(st.lists(st.sampled_from(POOL), max_size=6), min_size=1, max_size=4)
PAGES = st.lists(
    st.tuples(st.lists(st.integers(0, 3), max_size=4, unique=True), st.booleans(), st.booleans()), max_size=6
)


@given(LISTS, PAGES, st.data())
def test_a_page_is_what_one_by_one_gives(
    lists: list[list[Labels]], pages: list[tuple[list[int], bool, bool]], data: st.DataObject
) -> None:
    """Lists come and go, are replaced by equal ones, share families, and types are learned on the way."""
    families, one_by_one = Families(), TextRenderer()
    whole = PageRenderer(families)
    for chosen, replaced, learned in pages:
        if learned:
            one_by_one.declare(HISTOGRAM)
            families.declare(HISTOGRAM)
        if replaced:
            lists[0] = data.draw(st.permutations(lists[0]))
        shown = [lists[place] for place in chosen if place < len(lists)]
        parts = [
            (part, data.draw(st.lists(st.floats(), min_size=len(part), max_size=len(part)))) for part in shown
        ]
        pairs = [pair for part, values in parts for pair in zip(part, values, strict=True)]
        assert whole.render(parts) == one_by_one.render(pairs)


def test_a_page_forgets_the_lists_that_it_no_longer_shows() -> None:
    whole = PageRenderer(Families())
    for turn in range(50):
        whole.render([([series("x", n=f"{turn}-{n}")], [1.0]) for n in range(3)])
    assert len(whole._parts) == 3


def test_a_page_wants_as_many_numbers_as_series() -> None:
    with pytest.raises(ValueError, match="as many"):
        PageRenderer(Families()).render([([series("x")], [1.0, 2.0]), ([series("y")], [])])
