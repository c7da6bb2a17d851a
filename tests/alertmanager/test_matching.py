from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alertmanager.matching import (
    LabelMatch,
    Mode,
    format_matcher,
    in_order,
    parse_matcher,
    parse_matchers,
    parse_utf8_matcher,
)
from model.matcher import Matcher, Op


def rows(shared_data: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((shared_data / "alertmanager" / name).read_text())
    return found


def reading(text: str, mode: Mode, one: bool = False) -> tuple[list[list[str]] | None, str | None]:
    try:
        found = [parse_utf8_matcher(text)] if one else parse_matchers(text, mode)
    except ValueError as error:
        return None, str(error)
    return [[matcher.op.value, matcher.name, matcher.value] for matcher in found], None


def test_the_table_of_the_utf8_syntax(shared_data: Path) -> None:
    for row in rows(shared_data, "matchers_utf8_parse.json"):
        got = reading(row["input"], "utf8", one=row["fn"] == "matcher")
        assert got == (row["want"], row["error"]), row["name"]


def test_the_table_of_both_syntaxes(shared_data: Path) -> None:
    for row in rows(shared_data, "matchers_classic_vs_utf8.json"):
        text = row["input"]
        assert reading(text, "fallback") == (row["want"], row["classic_error"]), text
        classic, utf8 = reading(text, "classic"), reading(text, "utf8")
        if classic[0]:  # for {} Alertmanager distinguishes no matchers from none at all
            assert (classic[0] != utf8[0]) == row["classic_and_utf8_disagree"], text


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("}", "0:1: }: expected opening brace"),
        ("{foo=bar  ", "0:8: end of input: expected close brace"),
        ("{}}", "2:3: }: expected end of input"),
        ("foo=bar,,", "8:9: unexpected ,: expected a matcher or close brace after comma"),
        ("foo", "end of input: expected an operator such as '=', '!=', '=~' or '!~'"),
        ("foo=", "end of input: expected label value"),
        ("foo==bar", "4:5: unexpected =: expected label value"),
        ("foo!", "3:4: unexpected end of input, expected one of '=~'"),
        ("foo!x", "3:4: !: expected one of '=~'"),
        ('{"foo', '1:5: "foo: missing end "'),
        ('{"🙂"="a', '5:7: "a: missing end "'),
        (r"{foo=bar\n}", r"8:9: \: invalid input: expected a comma or close brace"),
        ('"foo"="\\400"', r'6:12: "\400": invalid input'),
        ('"foo"="\\ud800"', r'6:14: "\ud800": invalid input'),
        ('"foo"="a\nb"', '6:11: "a\nb": invalid input'),
        ("foo=~(", "failed to create matcher: error parsing regexp: missing closing ): `^(?:()$`"),
    ],
)
def test_errors_of_the_utf8_syntax_name_their_columns(text: str, error: str) -> None:
    said = reading(text, "utf8")[1]
    assert said is not None
    assert said.startswith(error)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('tier="P0"', ['tier="P0"']),
        (' tier =~ "P0|P1" ', ['tier=~"P0|P1"']),
        ('a="x,y}"', ['a="x,y}"']),
        (r'a="q\"uo\\te\n"', [r'a="q\"uo\\te\n"']),
        ('a=""', ['a=""']),
        ("a=", ['a=""']),
        ("1a=b", ['1a="b"']),
        ('"foo🙂 bar"=x', ['"foo🙂 bar"="x"']),
        ('{a="b"', ['a="b"']),
        ("{}", []),
        ("", []),
    ],
)
def test_the_default_mode_takes_what_either_syntax_takes(text: str, expected: list[str]) -> None:
    assert [format_matcher(matcher) for matcher in parse_matchers(text)] == expected


def test_one_matcher_has_no_braces() -> None:
    assert parse_matcher("a=b") == Matcher("a", Op.EQUAL, "b")
    for text, said in (("{a=b}", "unexpected open or close brace"), ("a=b,c=d", "expected 1"), ("", "no ")):
        with pytest.raises(ValueError, match=said):
            parse_matcher(text, "utf8")


def test_where_the_syntaxes_differ_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            parse_matchers(r"said_once=bar\n")
            parse_matchers(r'said_once="\t"')
    assert [record.message for record in caplog.records] == [
        r"matchers 'said_once=bar\\n' are not in the UTF-8 syntax (13:14: \: invalid input: expected a comma "
        r'or close brace; read in the classic syntax): write {said_once="bar\n"}',
        r"""matchers 'said_once="\\t"' can be read in two ways: {said_once="\\t"}, which is taken, """
        'or {said_once="\t"}: put values in double quotes',
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.sampled_from([Op.EQUAL, Op.NOT_EQUAL]),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_what_is_written_is_read_again(name: str, op: Op, value: str) -> None:
    matcher = Matcher(name, op, value)
    if all(character.isalnum() or character == "_" for character in name):
        assert parse_matchers(format_matcher(matcher), "utf8") == [matcher]
    assert parse_matchers(f'"{escaped(name)}"{op.value}"{escaped(value)}"', "utf8") == [matcher]


def escaped(text: str) -> str:
    return "".join(f"\\U{ord(character):08x}" for character in text)


@settings(max_examples=100, deadline=None)
@given(st.text('{}=!~,"\\ab \n🙂'))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert reading(text, "classic") != (None, "")
    assert reading(text, "utf8") != (None, "")


def test_the_order_is_name_value_operator() -> None:
    matchers = parse_matchers('b="1",a=~"x",a="x",a!="b"')
    assert [str(matcher) for matcher in in_order(matchers)] == ['a!="b"', 'a="x"', 'a=~"x"', 'b="1"']


def test_matching_is_anchored_and_a_missing_label_is_empty() -> None:
    def matches(text: str, **labels: str) -> bool:
        return LabelMatch(parse_matchers(text))(labels)

    assert matches('a=~"b.d"', a="b\nd")
    assert not matches('a=~"b"', a="bb")
    assert matches('a!~"b"', a="bb")
    assert matches('a=""')
    assert matches('a!="b"')
    assert matches('a=~".*"')
    assert not matches('a=~".+"')
    assert matches('a="b",c="d"', a="b", c="d")
    assert not matches('a="b",c="d"', a="b")


@pytest.mark.parametrize("text", ["{foo", "foo}"])
def test_a_brace_that_is_missing_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"^bad matcher format: foo .*brace of .* is missing"):
        parse_matchers(text)
