"""Relabelling; cases after prometheus/prometheus model/relabel/relabel_test.go."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from model.labels import Labels
from model.settings import ConfigurationError, load_section
from telemetry.relabel import RelabelConfig, relabel

LABELS = {"a": "foo", "b": "bar", "c": "baz"}


def run(labels: dict[str, str], *configs: dict[str, Any]) -> dict[str, str] | None:
    found = relabel(Labels(labels), [load_section(RelabelConfig, config, "f.yml") for config in configs])
    return None if found is None else dict(found)


@pytest.mark.parametrize(
    ("labels", "configs", "expected"),
    [
        (
            LABELS,
            [{"source_labels": ["a"], "regex": "f(.*)", "target_label": "d", "replacement": "ch${1}-ch${1}"}],
            {**LABELS, "d": "choo-choo"},
        ),
        (
            LABELS,
            [
                {
                    "source_labels": ["a", "b"],
                    "regex": "f(.*);(.*)r",
                    "target_label": "a",
                    "replacement": "b${1}${2}m",
                },
                {
                    "source_labels": ["c", "a"],
                    "regex": "(b).*b(.*)ba(.*)",
                    "target_label": "d",
                    "replacement": "$1$2$2$3",
                },
            ],
            {"a": "boobam", "b": "bar", "c": "baz", "d": "boooom"},
        ),
        (LABELS, [{"source_labels": ["a"], "regex": ".*o.*", "action": "drop"}], None),
        ({"a": "foo"}, [{"source_labels": ["a"], "regex": "o", "action": "drop"}], {"a": "foo"}),
        (LABELS, [{"source_labels": ["a"], "regex": "no-match", "action": "keep"}], None),
        (LABELS, [{"source_labels": ["a"], "regex": "f.*", "action": "KEEP"}], LABELS),
        ({"a": "x\ny"}, [{"source_labels": ["a"], "regex": "x.y", "action": "keep"}], {"a": "x\ny"}),
        # No match leaves all as it is; a match with an empty result removes the label.
        (LABELS, [{"source_labels": ["a"], "regex": "x", "target_label": "b", "replacement": "y"}], LABELS),
        (
            LABELS,
            [{"source_labels": ["a"], "regex": "f(x)?oo", "target_label": "b"}],
            {"a": "foo", "c": "baz"},
        ),
        (LABELS, [{"target_label": "d", "replacement": "static"}], {**LABELS, "d": "static"}),
        (LABELS, [{"source_labels": ["nope"], "target_label": "b"}], {"a": "foo", "c": "baz"}),
        (
            LABELS,
            [{"source_labels": ["a", "b"], "separator": "|", "target_label": "d"}],
            {**LABELS, "d": "foo|bar"},
        ),
        # The target may be a template; what is no label name is left alone.
        (
            {"a": "some-name-value"},
            [
                {
                    "source_labels": ["a"],
                    "regex": "some-([^-]+)-([^,]+)",
                    "target_label": "${1}",
                    "replacement": "${2}",
                }
            ],
            {"a": "some-name-value", "name": "value"},
        ),
        (
            {"a": "some-na!me-value"},
            [
                {
                    "source_labels": ["a"],
                    "regex": "some-([^-]+)-(.+)",
                    "target_label": "${1}",
                    "replacement": "${2}",
                }
            ],
            {"a": "some-na!me-value"},
        ),
        (
            {"a": "x-y"},
            [
                {
                    "source_labels": ["a"],
                    "regex": "(?P<one>x)-(.)",
                    "target_label": "d",
                    "replacement": "$one$$${2}$3$2z.",
                }
            ],
            {"a": "x-y", "d": "x$y."},
        ),
        # Names.
        (LABELS, [{"regex": "(b|c)", "action": "labeldrop"}], {"a": "foo"}),
        (LABELS, [{"regex": "(b|c)", "action": "labelkeep"}], {"b": "bar", "c": "baz"}),
        (
            {"a": "1", "b1": "bar", "b2": "bar2"},
            [{"regex": "b(.*)", "replacement": "bar_${1}", "action": "labelmap"}],
            {"a": "1", "b1": "bar", "b2": "bar2", "bar_1": "bar", "bar_2": "bar2"},
        ),
        (
            {"__meta_my_bar": "aaa", "__meta_other": "o"},
            [{"regex": "__meta_(my.*)", "action": "labelmap"}],
            {"__meta_my_bar": "aaa", "__meta_other": "o", "my_bar": "aaa"},
        ),
        # Case and equality.
        (
            {"foo": "bAr123Foo"},
            [
                {"source_labels": ["foo"], "action": "uppercase", "target_label": "u"},
                {"source_labels": ["foo"], "action": "lowercase", "target_label": "l"},
            ],
            {"foo": "bAr123Foo", "l": "bar123foo", "u": "BAR123FOO"},
        ),
        (
            {"p": "1234", "q": "1234"},
            [{"source_labels": ["q"], "action": "keepequal", "target_label": "p"}],
            {"p": "1234", "q": "1234"},
        ),
        (
            {"p": "1234", "q": "5"},
            [{"source_labels": ["q"], "action": "keepequal", "target_label": "p"}],
            None,
        ),
        (
            {"p": "1234", "q": "1234"},
            [{"source_labels": ["q"], "action": "dropequal", "target_label": "p"}],
            None,
        ),
        (
            {"p": "1234", "q": "5"},
            [{"source_labels": ["q"], "action": "dropequal", "target_label": "p"}],
            {"p": "1234", "q": "5"},
        ),
        # Hashes: the values of Prometheus' own tests.
        (
            LABELS,
            [{"source_labels": ["c"], "target_label": "d", "action": "hashmod", "modulus": 1000}],
            {**LABELS, "d": "976"},
        ),
        (
            {"a": "foo\nbar"},
            [{"source_labels": ["a"], "target_label": "b", "action": "hashmod", "modulus": 1000}],
            {"a": "foo\nbar", "b": "734"},
        ),
    ],
)
def test_actions(
    labels: dict[str, str], configs: list[dict[str, Any]], expected: dict[str, str] | None
) -> None:
    assert run(labels, *configs) == expected


def test_a_hash_is_the_last_half_of_md5() -> None:
    value = int(hashlib.md5(b"foo;bar").hexdigest()[16:], 16)
    found = run(
        LABELS, {"source_labels": ["a", "b"], "target_label": "d", "action": "hashmod", "modulus": 2**63}
    )
    assert found is not None
    assert int(found["d"]) == value % 2**63


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"action": "hashmod", "target_label": "a"}, "non-zero modulus"),
        ({"action": "replace"}, "requires 'target_label'"),
        ({"action": "keepequal"}, "requires 'target_label'"),
        ({"target_label": "0a"}, "invalid 'target_label'"),
        ({"target_label": "${1}-x"}, "invalid 'target_label'"),
        ({"action": "uppercase", "target_label": "${1}"}, "invalid 'target_label'"),
        ({"action": "hashmod", "modulus": 5, "target_label": "a-b"}, "invalid 'target_label'"),
        ({"action": "lowercase", "target_label": "a", "replacement": "x"}, "'replacement' can not be set"),
        ({"action": "labelmap", "replacement": "a-b"}, "invalid 'replacement'"),
        ({"action": "labeldrop", "source_labels": ["a"]}, "requires only 'regex'"),
        ({"action": "labelkeep", "replacement": "x"}, "requires only 'regex'"),
        ({"action": "dropequal", "target_label": "a", "regex": "x"}, "requires only 'source_labels'"),
        ({"regex": "(", "target_label": "a"}, "not an RE2 regular expression"),
        ({"regex": "(?=a)", "target_label": "a"}, "not an RE2 regular expression"),
        ({"action": "explode", "target_label": "a"}, "explode"),
        ({"source_label": ["a"], "target_label": "a"}, "did you mean source_labels?"),
    ],
)
def test_what_prometheus_refuses(config: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_section(RelabelConfig, config, "f.yml")
    assert named in str(caught.value)


def test_a_number_as_an_expression() -> None:
    config = load_section(RelabelConfig, {"regex": 123, "source_labels": ["a"], "action": "drop"}, "f.yml")
    assert relabel(Labels({"a": "123"}), [config]) is None
