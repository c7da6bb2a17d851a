"""Annotation templates; expected texts are those of Prometheus' own template tests where it has one."""

from __future__ import annotations

import ast
import math
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from wire.gotext import (
    QueriedSample,
    go_float,
    go_printf,
    humanize,
    humanize1024,
    humanize_duration,
    humanize_percentage,
    humanize_timestamp,
)
from wire.template import TemplateError, compile

LABELS = {"pod": "vllm-0", "job": "engine", "n": "3"}


def fill(text: str, value: float = 1.5) -> str:
    return compile(text).render(LABELS, value, {"cluster": "eu"}, "https://owl")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain } text { 100%", "plain } text { 100%"),
        ("{{ $labels.pod }}/{{$labels.job}}", "vllm-0/engine"),
        ("{{ .Labels.pod }} {{ .Value }} {{ $.Labels.pod }}", "vllm-0 1.5 vllm-0"),
        ("{{ $labels.missing }}|", "|"),
        ("{{ $labels }}", "map[job:engine n:3 pod:vllm-0]"),
        ("{{ $externalLabels.cluster }} {{ $externalURL }}", "eu https://owl"),
        ("{{ $value }}", "1.5"),
        ("{{ $value | humanize }}", "1.5"),
        ('{{ printf "%.2f" $value }} {{ $value | printf "%.0f" }}', "1.50 2"),
        ('{{ printf "%s=%v" $labels.pod $value }}', "vllm-0=1.5"),
        ("{{ $labels.n | humanizeDuration }}", "3s"),
        ('{{ `raw \\n` }}{{ "a\\tb\\"\\u00e9" }}', 'raw \\na\tb"é'),
        ("a {{- /* gone */ -}} b", "ab"),
        ("a {{- $value -}}  b {{ $value }}", "a1.5b 1.5"),
        ("{{ with $labels.pod }}in {{ . }}{{ end }}", "in vllm-0"),
        ("x {{ with $labels.cluster -}} on {{ . }} {{- end }}.", "x ."),
        ("{{ with .Labels }}{{ .pod }} {{ $labels.job }}{{ end }}", "vllm-0 engine"),
        ("{{ with $labels.none }}a{{ else }}b{{ end }}", "b"),
        ("{{ if gt $value 1.0 }}high{{ else }}low{{ end }}", "high"),
        ('{{ if eq $labels.job "x" }}a{{ else if eq $labels.job "y" "engine" }}b{{ else }}c{{ end }}', "b"),
        ("{{ if and $labels.pod (not $labels.none) }}yes{{ end }}", "yes"),
        ("{{ if or $labels.none 0 }}yes{{ else }}no{{ end }}", "no"),
        ("{{ if le $value 1.5 }}{{ if lt $value 1.5 }}a{{ else }}b{{ end }}{{ end }}", "b"),
        ("{{ $x := $labels.pod }}{{ $x }}{{ $x = 5 }}{{ $x }}", "vllm-05"),
        ("{{ if $x := $labels.pod }}{{ $x }}{{ end }}", "vllm-0"),
        ('{{ "}}" }}', "}}"),
        ("{{ toUpper $labels.job }} {{ title $labels.pod }}", "ENGINE Vllm-0"),
        ('{{ reReplaceAll "(v)llm-(.*)" "$1:${2}" $labels.pod }}', "v:0"),
        ('{{ if match "^vllm" $labels.pod }}m{{ end }}', "m"),
        ('{{ stripPort "host:9100" }} {{ stripPort "[::1]:80" }}', "host ::1"),
        ('{{ index $labels "pod" }} {{ len "abc" }} {{ print 1 "a" true }}', "vllm-0 3 1atrue"),
        ('{{ ($value | printf "%.1f") | toUpper }}', "1.5"),
        ("{{ range $labels }}{{ . }},{{ end }}", "engine,3,vllm-0,"),
        ("{{ range $k, $v := .Labels }}{{ $k }}={{ $v }} {{ end }}", "job=engine n=3 pod=vllm-0 "),
        ("{{ range nil }}a{{ else }}b{{ end }}", "b"),
        ("{{ range $x := $labels }}{{ $.Value }}{{ $x }}{{ end }}", "1.5engine1.531.5vllm-0"),
        ("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ end }}{{ $x }}", "1"),
        ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", "2"),
        ("{{ if $x := $labels.none }}a{{ else }}({{ $x }}){{ end }}", "()"),
        ('{{ with args 1 "b" }}{{ .arg0 }}{{ .arg1 }}{{ end }}', "1b"),
        ("{{ or $labels.pod (humanize $labels.pod) }}", "vllm-0"),
        ('{{ reReplaceAll "(a)" "[$1x$$${1}]" "a" }}', "[$a]"),
        ('{{ externalURL }} {{ graphLink "a b" }}', "https://owl /graph?g0.expr=a+b&g0.tab=0"),
        ('{{ stripDomain "gpu01.example.org:9400" }} {{ stripDomain "10.0.0.1" }}', "gpu01:9400 10.0.0.1"),
    ],
)
def test_templates(text: str, expected: str) -> None:
    assert fill(text) == expected


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{{ nonsense $value }}", "'nonsense'"),
        ("{{ range $labels }}", "range"),
        ("{{ range $i, $e = $labels }}{{ end }}", "$i"),
        ("{{ $x := 1 }}{{ if $x, $e := $labels }}{{ end }}", "','"),
        ("{{ range $labels }}{{ else if true }}{{ end }}", "else if"),
        ("{{ range $x := $labels }}{{ end }}{{ $x }}", "$x"),
        ("{{ range $labels }}{{ break }}{{ end }}", "break"),
        ('{{ template "x" }}', "template"),
        ("{{ define }}", "define"),
        ("{{ $value ", "unclosed"),
        ("{{ $labels.a", "unclosed"),
        ("{{ }}", "empty"),
        ("{{ if $value }}", "without"),
        ("{{ with $value }}{{ else }}", "without"),
        ("{{ end }}", "end"),
        ("{{ else }}", "else"),
        ("{{ if $value }}{{ else what }}{{ end }}", "else what"),
        ("{{ $nope }}", "$nope"),
        ("{{ $nope = 5 }}", "$nope"),
        ("{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", "$x"),
        ("{{ .Nope }}", ".Nope"),
        ("{{ . }}", "field"),
        ("{{ humanize }}", "humanize takes"),
        ("{{ $value | humanize $value }}", "humanize takes"),
        ("{{ $value | $value }}", "no function"),
        ("{{ $value $value }}", "unexpected"),
        ("{{ (humanize $value }}", "parenthesis"),
        ('{{ "a\\q" }}', "escape"),
        ('{{ "a }}', "unclosed"),
        ("{{ $value | }}", "missing"),
        ("{{ @ }}", "'@'"),
    ],
)
def test_what_is_not_understood_is_an_error_at_load(text: str, named: str) -> None:
    with pytest.raises(TemplateError) as caught:
        compile(text)
    assert named in str(caught.value)


def test_no_pattern_runs_for_ever() -> None:
    hostile = "a" * 40 + "b"
    assert fill(f'{{{{ reReplaceAll "(a+)+$" "x" "{hostile}" }}}}') == hostile
    assert fill(f'{{{{ match "^(a|aa)+$" "{hostile}" }}}}') == "false"
    assert fill('{{ reReplaceAll "(?P<n>v)(x)?" "<${n}$2$m$9>" $labels.pod }}') == "<v>llm-0"
    assert "invalid perl operator" in fill('{{ match "(?=a)" "a" }}')  # Go knows no lookahead either


def test_what_fails_at_night_says_so_in_the_text() -> None:
    assert (
        fill("a {{ humanize $labels.pod }}") == "<error expanding template: cannot use 'vllm-0' as a number>"
    )
    for text in (
        '{{ match "(" "a" }}',
        "{{ $labels.pod.x }}",
        '{{ query "up" | first | value }}',
        "{{ len 5 }}",
        "{{ range $value }}{{ end }}",
        "{{ gt $value 1 }}",
        '{{ eq $value "1.5" }}',
        "{{ toUpper $value }}",
    ):
        assert fill(text).startswith("<error expanding template: ")


def test_query_asks_the_caller() -> None:
    asked: list[str] = []

    def query(expression: str) -> list[QueriedSample]:
        asked.append(expression)
        return [QueriedSample({"a": "b"}, 42.0)]

    text = (
        '{{ with printf "x{pod=%q}" $labels.pod | query }}'
        '{{ . | first | value }} {{ . | first | label "a" }}{{ end }}'
    )
    assert compile(text).render(LABELS, 1.0, query=query) == "42 b"
    assert asked == ['x{pod="vllm-0"}']


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "-0"),
        (1.0, "1"), (100.0, "100"), (0.1, "0.1"), (1e20, "1e+20"),
        (1e21, "1e+21"), (123456789.125, "1.23456789125e+08"), (1e6, "1e+06"), (100000.0, "100000"),
        (0.0001, "0.0001"), (0.00001, "1e-05"),
        (1.5e300, "1.5e+300"), (5e-324, "5e-324"), (math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf"),
        (-2.5, "-2.5"), (1 / 3, "0.3333333333333333"),
    ],
)  # fmt: skip
def test_go_floats(value: float, text: str) -> None:
    assert go_float(value) == text


@pytest.mark.parametrize(
    ("layout", "arguments", "text"),
    [
        ("%d%%", [5], "5%"),
        ("%5.1f|%-6s|%06.2f", [1.25, "ab", 3.14159], "  1.2|ab    |003.14"),
        ("%e %g %G", [1500.0, 1500.0, 1e-7], "1.500000e+03 1500 1E-07"),
        ("%q %t %x %v", ['a"b', True, 255, {"a": "b"}], '"a\\"b" true ff map[a:b]'),
        ("%d %s", [1.5, 2.5], "%!d(float64=1.5) %!s(float64=2.5)"),
        ("%f", ["a"], "%!f(string=a)"),
        ("%s", [], "%!s(MISSING)"),
        ("a", ["b"], "a%!(EXTRA string=b)"),
        ("%+d %.1s", [5, "abc"], "+5 a"),
        ("%.1f %.1f", [math.inf, math.nan], "+Inf NaN"),
    ],
)
def test_go_printf(layout: str, arguments: list[object], text: str) -> None:
    assert go_printf(layout, arguments) == text  # type: ignore[arg-type]


# The tables of prometheus/prometheus template/template_test.go.


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (1.0, "1"), (1234567.0, "1.235M"), (0.12, "120m"), (-1.0, "-1"), (999.0, "999"),
        (1000.0, "1k"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN"), (1e27, "1000Y"),
        (1e-6, "1u"), (0.00042, "420u"),
    ],
)  # fmt: skip
def test_humanize(value: float, text: str) -> None:
    assert humanize(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1.0, "1"), (1048576.0, "1Mi"), (0.12, "0.12"), (2048.0, "2ki"), (math.inf, "+Inf")],
)
def test_humanize1024(value: float, text: str) -> None:
    assert humanize1024(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0s"), (1.0, "1s"), (60.0, "1m 0s"), (3600.0, "1h 0m 0s"), (86400.0, "1d 0h 0m 0s"),
        (86400.0 + 3600, "1d 1h 0m 0s"), (-(86400.0 * 2 + 3600 * 3 + 60 * 4 + 5), "-2d 3h 4m 5s"),
        (0.1, "100ms"), (0.0001, "100us"), (0.12345, "123.5ms"), (12345e-9, "12.35us"), (60.1, "1m 0s"),
        (60.5, "1m 0s"), (1.2345, "1.234s"), (12.345, "12.35s"), (-1.0, "-1s"), (math.inf, "+Inf"),
    ],
)  # fmt: skip
def test_humanize_duration(value: float, text: str) -> None:
    assert humanize_duration(value) == text


def test_humanize_percentage_and_timestamp() -> None:
    assert [humanize_percentage(value) for value in (-0.22222, 0.0, 0.1234567, 1.23456)] == [
        "-22.22%", "0%", "12.35%", "123.5%",
    ]  # fmt: skip
    assert humanize_timestamp(1435065584.128) == "2015-06-23 13:19:44.128 +0000 UTC"
    assert humanize_timestamp(1435065584.0) == "2015-06-23 13:19:44 +0000 UTC"
    assert humanize_timestamp(math.inf) == "+Inf"


def test_public_rule_packs_compile(shared_data: Path) -> None:
    found = 0
    for path in sorted((shared_data / "rulepacks").rglob("*.y*ml")):
        for text in _templates(yaml.safe_load_all(path.read_text())):
            compile(text).render(LABELS, 0.5)
            found += 1
    assert found > 100


def _templates(document: Any) -> list[str]:
    if isinstance(document, str):
        return [document] if "{{" in document else []
    if isinstance(document, dict):
        kept = [value for key, value in document.items() if key not in ("expr", "source")]
        return [text for value in kept for text in _templates(value)]
    if isinstance(document, list | Iterator):
        return [text for value in document for text in _templates(value)]
    return []


# Against Prometheus itself.

VALUES = [
    0.0, 1.0, 100000.0, 1e6, 1234567.0, 123456789.125, 1e15, 1e20, 1e21, 0.0001, 0.00001, 1.5e300, -2.5,
    1 / 3, 60.5, 1.2345, 12.345, 172800.7, 0.12345, 999.95, 99999.0, 1e-7, -0.02, 3599.9, -3661.0, 0.5,
    1024.0, 1e-30,
]  # fmt: skip
TEXTS = [
    "{{ $value }} {{ .Value }} {{ $value | humanize }}",
    "{{ $value | humanize1024 }} {{ $value | humanizePercentage }}",
    '{{ printf "%g %e %G %v %.3g %8.2f" $value $value $value $value $value $value }}',
    '{{ printf "%-8.1f|%+f|%06.1f|%d|%s|%.0f" $value $value $value $value $value $value }}',
    '{{ printf "%q %v %5s|%-5s|%.2s" $labels.job $labels $labels.job "a" "abc" }}',
    '{{ printf "%x %t %d %% %c %+d" 255 true 5 65 7 }}',
    '{{ printf "%d" }} {{ printf "a" "b" }} {{ printf "%f" "a" }} {{ printf "%s" 5 }}',
    '{{ title "ab-cd e_f" }} {{ toUpper "ab" }} {{ toLower "AB" }} {{ print 1 "a" 2 3 }} {{ len "aé" }}',
    '{{ if gt $value 1.0 }}a{{ else if eq $labels.job "engine" }}b{{ end }}',
    "{{ with $labels.no }}c{{ else }}d{{ end }} {{ not $labels.no }}",
    "x {{- /* c */ -}} y {{- $v := $value -}} {{ with $labels.job -}} in {{ . }} {{- end }}",
    '{{ reReplaceAll "(e)n(.*)" "${2}-$1" $labels.job }} {{ match "^en" $labels.job }}',
    '{{ and 1 0 }} {{ or 0 "z" }} {{ eq 1 1 }} {{ true }} {{ 1.50 }} {{ 7 }}',
    '{{ stripPort "a:1" }} {{ stripPort "[::1]:80" }} {{ stripPort "plain" }} {{ index $labels "job" }}',
    '{{ "a\\"b\\u00e9" }}{{ `r"aw` }}{{ ($labels.job | toUpper) }}',
    "{{ range $labels }}<{{ . }}>{{ end }}{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}",
    "{{ $x := 1 }}{{ with $labels }}{{ $x := 2 }}{{ end }}{{ $x }}{{ if true }}{{ $x = 3 }}{{ end }}{{ $x }}",
    "{{ with args $labels.job 2 }}{{ .arg0 }}{{ .arg1 }}{{ end }}",
    '{{ graphLink "a b>1" }} {{ tableLink "a" }}',
    '{{ reReplaceAll "(e)" "[$1x$$${1}$2]" $labels.job }} {{ or $labels.job (humanize "x") }}',
    '{{ and "" (humanize "x") }}|{{ parseDuration "1h5m" }} {{ safeHtml "<" }} {{ lt "a" "b" }} {{ ne 1 2 }}',
    "{{ if $y := $labels.no }}a{{ else }}b{{ $y }}{{ end }} {{ humanizeTimestamp 1435065584.128 }}",
]
FAILING = [
    *["{{ gt $value 1 }}", '{{ eq $value "1" }}', "{{ toUpper $value }}", '{{ humanize "x" }}'],
    *['{{ parseDuration "x" }}', "{{ range $value }}{{ end }}", "{{ $labels.job.x }}", "{{ len 5 }}"],
    *['{{ match "(" "a" }}', '{{ reReplaceAll "(" "a" "b" }}', '{{ query "up ==" }}', "{{ lt true false }}"],
    *['{{ query "absent_metric" | first | value }}', '{{ index "a" "b" }}', "{{ eq $labels $labels }}"],
]


@pytest.mark.peer
def test_texts_are_those_of_prometheus(tmp_path: Path, peer_binary: Callable[[str], str]) -> None:
    """Promtool prints the annotations that it got where others were expected."""
    durations = [value for value in VALUES if abs(value) < 1e15]  # beyond, Go's conversion to int64 overflows
    annotations = {f"t{number:02d}": text for number, text in enumerate(TEXTS)}
    annotations |= {f"t{len(TEXTS) + number:02d}": text for number, text in enumerate(FAILING)}
    rule = {"alert": "A", "expr": "x", "annotations": annotations}
    timed = {
        "alert": "B",
        "expr": "x > -1e15 < 1e15",
        "annotations": {"t": "{{ $value | humanizeDuration }}"},
    }
    rules = {"groups": [{"name": "g", "rules": [rule, timed]}]}
    series = [
        {"series": f'x{{i="{number:02d}",job="engine"}}', "values": repr(value)}
        for number, value in enumerate(VALUES)
    ]
    expectations = [{"eval_time": "0m", "alertname": name, "exp_alerts": []} for name in "AB"]
    test = {"interval": "1m", "input_series": series, "alert_rule_test": expectations}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": [test]}))
    command = [peer_binary("promtool"), "test", "rules", str(tmp_path / "test.yml")]
    output = subprocess.run(command, capture_output=True, text=True, check=False)
    got = [
        [ast.literal_eval(text) for text in re.findall(r'\bt\d*=("(?:[^"\\]|\\.)*")', line)]
        for line in (output.stdout + output.stderr).splitlines()
        if "Annotations:{" in line
    ]
    assert len(got) == len(VALUES) + len(durations), output.stderr
    for number, (value, texts) in enumerate(zip(VALUES, got, strict=False)):
        labels = {"__name__": "x", "i": f"{number:02d}", "job": "engine"}
        assert [compile(text).render(labels, value) for text in TEXTS] == texts[: len(TEXTS)]
        flawed = [*texts[len(TEXTS) :], *(compile(text).render(labels, value) for text in FAILING)]
        assert {text[: text.index(":")] for text in flawed} == {"<error expanding template"}, flawed
    assert [[humanize_duration(value)] for value in durations] == got[len(VALUES) :]
