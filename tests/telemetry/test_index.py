"""Postings and search against a plain filter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from model.labels import Labels
from model.matcher import Matcher, Op
from telemetry.index import Index
from telemetry.matching import predicate

WORDS = st.sampled_from(["", "a", "b", "ab"])
NAMES = st.sampled_from(["__name__", "x", "y"])
LABELS = st.dictionaries(NAMES, WORDS, max_size=3).map(Labels)
MATCHERS = st.builds(
    Matcher, NAMES, st.sampled_from(list(Op)), st.sampled_from(["", "a", "b|", ".*", ".+", "a."])
)


def entered(labels: list[Labels]) -> Index:
    index = Index()
    for sid, these in enumerate(labels):
        index.add(sid, these)
    return index


@given(st.lists(LABELS, max_size=12), st.lists(MATCHERS, max_size=3), st.sets(st.integers(0, 11)))
def test_search_finds_what_a_filter_finds(
    labels: list[Labels], matchers: list[Matcher], dropped: set[int]
) -> None:
    index = entered(labels)
    index.remove([(sid, labels[sid]) for sid in dropped if sid < len(labels)])
    wanted = [
        sid
        for sid, these in enumerate(labels)
        if sid not in dropped
        and these.pairs  # a series without labels cannot be entered, nor found
        and all(predicate(matcher)(these.value(matcher.name)) for matcher in matchers)
    ]
    assert index.search(matchers, labels).tolist() == wanted


def test_names_and_values_vanish_with_their_last_series() -> None:
    labels = [Labels({"x": "1"}), Labels({"x": "2", "y": "3"})]
    index = entered(labels)
    index.remove([(1, labels[1])])
    assert (index.names(), index.values("x"), index.values("y")) == (["x"], ["1"], [])
    index.remove([(0, labels[0])])
    assert index.names() == []


def test_rebuild_forgets_what_was() -> None:
    index = entered([Labels({"x": "1"})])
    index.rebuild({Labels({"y": "2"}): 7})
    assert index.names() == ["y"]
    assert index.search([Matcher("y", Op.EQUAL, "2")], []).tolist() == [7]
