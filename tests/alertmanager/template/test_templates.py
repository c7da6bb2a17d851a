"""What templates make of a notification; the texts with a mark `AM` were printed by Alertmanager 0.25."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from alertmanager.template.data import data_of
from alertmanager.template.library import Library, load_library
from alertmanager.template.values import Data
from model.alert import Alert
from model.labels import Labels
from tests.alertmanager.receivers.told import GONE, LOST, T0, told
from wire.gotext import TemplateValueError
from wire.template import TemplateError

DATA = data_of(told(), "https://owl.example/")
TWO = data_of(
    told(
        [
            Alert(Labels({"alertname": "A", "x": "2"}), {"s": "two"}, 1_795_000_000_500),
            Alert(Labels({"alertname": "A", "x": "<b>&"}), {"s": "<i>"}, 1_795_000_000_000),
        ],
        group_labels=Labels({"alertname": "A"}),
    ),
    "http://vm",
)


def filled(text: str, data: Data = DATA, markup: str = "text", files: str = "") -> str:
    library = Library()
    library.add(files, "t.tmpl")
    return library.compile(text, markup)(data)


def test_times_labels_and_pairs_print_as_in_alertmanager() -> None:
    """AM."""
    text = (
        '{{ range .Alerts }}{{ .StartsAt }}|{{ .StartsAt.Format "2006-01-02 15:04" }}|'
        '{{ .EndsAt.Sub .StartsAt }}|{{ .Labels.SortedPairs.Values | join "," }}|{{ .Labels.nope }}|'
        "{{ .Labels }}|{{ .Labels.SortedPairs }}|{{ .Labels.Names }}{{ end }}|{{ .Receiver }}|"
        "{{ .GroupLabels.SortedPairs }}"
    )
    assert filled(text, TWO) == (
        "2026-11-18 11:06:40.5 +0000 UTC|2026-11-18 11:06|-2562047h47m16.854775808s|A,2||"
        "map[alertname:A x:2]|[{alertname A} {x 2}]|[alertname x]"
        "2026-11-18 11:06:40 +0000 UTC|2026-11-18 11:06|-2562047h47m16.854775808s|A,<b>&||"
        "map[alertname:A x:<b>&]|[{alertname A} {x <b>&}]|[alertname x]|team|[{alertname A}]"
    )


def test_default_texts_say_what_alertmanagers_say() -> None:
    """AM: victorops' state_message and the subject, but for line breaks."""
    words = filled('{{ template "victorops.default.state_message" . }}', TWO)
    assert [line for line in words.splitlines() if line.strip()] == [
        "Alerts Firing:",
        "Labels:",
        " - alertname = A",
        " - x = 2",
        "Annotations:",
        " - s = two",
        "Labels:",
        " - alertname = A",
        " - x = <b>&",
        "Annotations:",
        " - s = <i>",
    ]
    assert filled('{{ template "__subject" . }}', TWO) == "[FIRING:2] A "
    assert filled('{{ template "__subject" . }}') == "[FIRING:1] INC-20261120-0001 (n1)"
    assert filled('{{ template "slack.default.color" . }}') == "danger"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ .Status | toUpper }} {{ len .Alerts }} {{ .Alerts.Firing | len }}", "FIRING 2 1"),
        (
            "{{ range $i, $a := .Alerts }}{{ $i }}={{ $a.Labels.alertname }} {{ end }}",
            "0=GpuLost 1=EngineGone ",
        ),
        ("{{ range $k, $v := .CommonLabels }}{{ $k }}:{{ $v }}{{ end }}", "node:n1"),
        ("{{ range .Alerts.Resolved }}{{ .Labels.pod }}{{ else }}none{{ end }}", "vllm-1"),
        ("{{ (index .Alerts 0).Labels.gpu }} {{ index .CommonLabels `node` }}", "3 n1"),
        ("{{ (index .Alerts.Firing 0).Annotations.summary | title }}", "GPU 3 Has Fallen Off The Bus"),
        ('{{ with .CommonLabels.Remove (stringSlice "node") }}x{{ else }}empty{{ end }}', "empty"),
        ('{{ if and (eq .Status "firing") (gt (len .Alerts) 1) }}many{{ end }}', "many"),
        ('{{ if not (or (eq .Status "x") false) }}no{{ else if true }}yes{{ end }}', "no"),
        ("{{- /* nothing */ -}} a {{- /* nothing */ -}} b", "ab"),
        ("{{ $n := 0 }}{{ range .Alerts }}{{ $n = len .Labels }}{{ end }}{{ $n }}", "4"),
        (
            '{{ printf "%s has %d %v" .Receiver (len .Alerts) .GroupLabels.Values }}',
            "team has 2 [INC-20261120-0001]",
        ),
        (
            '{{ reReplaceAll "(n)(\\\\d)" "$2$1" .CommonLabels.node }} {{ match "^n" .CommonLabels.node }}',
            "1n true",
        ),
        ('{{ .CommonLabels.Names | join ", " }} {{ " x " | trimSpace }}', "node x"),
        ("{{ (index .Alerts 1).EndsAt.Sub (index .Alerts 1).StartsAt | humanizeDuration }}", "30s"),
        ("{{ since (index .Alerts 0).StartsAt }} {{ humanizeDuration 3661.0 }}", "1m0s 1h 1m 1s"),
        (
            '{{ (index .Alerts 0).StartsAt | tz "Europe/Berlin" | date "Mon, 02 Jan 15:04 MST" }}',
            "Wed, 18 Nov 12:06 CET",
        ),
        ('{{ "a%20b+c" | urlUnescape }} {{ safeUrl "x" }} {{ urlquery "a b" }}', "a b c x a+b"),
        (
            "{{ (index .Alerts 1).Labels | toJson }}",
            '{"alertname":"EngineGone","node":"n1","pod":"vllm-1","tier":"P2"}',
        ),
        (
            "{{ (index .Alerts 0).Fingerprint }} {{ (index .Alerts 0).GeneratorURL }}",
            f"{LOST.fingerprint:016x} http://analyzer/graph",
        ),
        ('{{ template "two" .Alerts }}', "GpuLostEngineGone"),
        ("{{ .ExternalURL }}", "https://owl.example"),
        ("{{ (index .Alerts 0).StartsAt.Unix }} {{ (index .Alerts 0).EndsAt.IsZero }}", f"{T0 // 1000} true"),
        ('{{ slice "abcdef" 1 3 }} {{ index (list 7 8) 1 }} {{ (dict "a" 5).a }}', "bc 8 5"),
    ],
)
def test_templates(text: str, expected: str | None) -> None:
    files = (
        '{{ define "two" }}{{ range . }}{{ .Labels.alertname }}{{ end }}{{ end }}{{ define "none" }}{{ end }}'
    )
    if expected is None:
        with pytest.raises(TemplateError, match="block_free"):
            filled(text, files=files)
    else:
        assert filled(text, files=files) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{{ template "nope" . }}', "template 'nope' is not defined"),
        ("{{ .Alert }}", r"the notification has no field Alert \(it has Alerts, "),
        ("{{ range .Alerts }}{{ .Label.x }}{{ end }}", "an alert has no field Label "),
        ('{{ template "typed" .Alerts }}', r"template 'typed' in t.tmpl: an alert has no field Nope"),
        ("{{ (index .Alerts 0).StartsAt.Formt `x` }}", "a time has no field Formt"),
        ("{{ .StartsAt.Format }}", "no field StartsAt"),
        ("{{ (index .Alerts 0).StartsAt.Format }}", "Format takes 1 arguments, not 0"),
        ("{{ .Status.x }}", "a text has no field x"),
        ("{{ humanise 1 }}", "function 'humanise' is not supported"),
        ("{{ if .Status }}", "without {{ end }}"),
        ("{{ break }}", "break is not supported"),
        ('{{ template "loop" . }}', "calls itself"),
        ("{{ $x }}", "undefined variable"),
        ("{{ toUpper }}", "takes 1 arguments"),
        ("{{ end }}", "unexpected"),
    ],
)
def test_what_is_not_understood_is_an_error_at_load(text: str, message: str) -> None:
    files = (
        '{{ define "typed" }}{{ range . }}{{ .Nope }}{{ end }}{{ end }}'
        '{{ define "loop" }}{{ template "loop" . }}{{ end }}'
    )
    with pytest.raises(TemplateError, match=message):
        filled(text, files=files)


def test_files_are_named_with_all_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "a.tmpl").write_text(
        '{{ define "a" }}{{ nosuch . }}{{ end }}{{ define "b" }}{{ .X }}{{ end }}'
    )
    (tmp_path / "b.tmpl").write_text('{{ define "c" }}{{ if . }}')
    (tmp_path / "c.tmpl").write_bytes(b"\xff\xfe")
    (tmp_path / "d.tmpl").write_text('{{ define "slack.default.title" }}mine{{ end }}')
    library, wrong = load_library([str(tmp_path / "*.tmpl"), str(tmp_path / "none*")])
    assert [(Path(file).name, why.split("/")[0]) for file, why in wrong] == [
        ("b.tmpl", '{{ define "c" }} without {{ end }}'),
        ("c.tmpl", "cannot be read: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        ("a.tmpl", "template 'a' in "),
    ]
    assert library.compile('{{ template "slack.default.title" . }}')(DATA) == "mine"


def test_what_fails_at_night_names_the_reason() -> None:
    with pytest.raises(TemplateValueError, match="index out of range: 7"):
        filled("{{ (index .Alerts 7).Status }}")
    with pytest.raises(TemplateValueError, match="unknown time zone Mars"):
        filled('{{ (index .Alerts 0).StartsAt | tz "Mars" }}')


def test_a_template_in_a_value_is_text_and_stays_it() -> None:
    nasty = Alert(Labels({"alertname": "{{ .ExternalURL }}"}), {"s": '{{ template "x" }}'}, T0)
    data = data_of(told([nasty, GONE]), "https://owl.example")
    text = "{{ range .Alerts }}{{ .Labels.alertname }}{{ .Annotations.s }} {{ end }}"
    assert filled(text, data) == '{{ .ExternalURL }}{{ template "x" }} EngineGone '


PAGES = [
    ("<b>{{ .Status }}</b>", "<b>&lt;i&gt;</b>"),
    ('<a href="{{ .Status }}">', '<a href="%3Ci%3E">'),
    ("<a title='{{ .Status }}'>", "<a title='&lt;i&gt;'>"),
    ('<p style="color: {{ .Status }}">', '<p style="color: ZgotmplZ">'),
    ("<title>{{ .Status }}</title><b>", "<title>&lt;i&gt;</title><b>"),
    ("<style>a{{ .Status }}</style>", "<style>aZgotmplZ</style>"),
    ("{{ .Status | safeHtml }}", "<i>"),
    ("<!-- <a href= --> {{ .Status }}", "<!-- <a href= --> &lt;i&gt;"),
    ("a < b {{ .Status }}", "a < b &lt;i&gt;"),
    ('<br/><img alt="x">{{ .Status }}', '<br/><img alt="x">&lt;i&gt;'),
    ('<a href="/?q={{ .Status }}&amp;r={{ .Status }}">', '<a href="/?q=%3Ci%3E&amp;r=%3Ci%3E">'),
    (
        '<td style="color: {{ if .Status }}red{{ else }}blue{{ end }}">{{ .Status }}',
        '<td style="color: red">&lt;i&gt;',
    ),
    ('<a href="{{ if .Status }}{{ end }}x">', '<a href="x">'),
    ('<a href="{{ if .Alerts }}https://{{ end }}{{ .Status }}">', '<a href="https://%3Ci%3E">'),
]


@pytest.mark.parametrize(("page", "expected"), PAGES)
def test_html_escapes_by_the_place(page: str, expected: str) -> None:
    assert filled(page, replace(DATA, Status="<i>"), "html") == expected


def test_a_script_in_a_link_is_refused() -> None:
    for url in ("javascript:alert(1)", " JavaScript:x", "data:text/html,x", "vbscript:x"):
        page = filled('<a href="{{ .Status }}">', replace(DATA, Status=url), "html")
        assert page == '<a href="#ZgotmplZ">'
    page = filled('<a href="{{ .Status }}">', replace(DATA, Status='https://x/?a="b"&c=d e'), "html")
    assert page == '<a href="https://x/?a=%22b%22&amp;c=d%20e">'
    page = filled("<a title={{ .Status }}>", replace(DATA, Status="x onclick=y"), "html")
    assert page == "<a title=x&#32;onclick&#61;y>"


LINKS = [
    '<a href=" {{ .Status }}">',
    '<a href="\n&#32;{{ .Status }}">',
    '<a href="{{ if .Alerts }}{{ end }}{{ .Status }}">',
    '<a href="{{ .Receiver }}{{ .Status }}">',
    '<a xlink:href="{{ .Status }}">',
    '<img srcset="a.png 1x, {{ .Status }} 2x">',
    '<animate attributeName="href" values="{{ .Status }}">',
]


@pytest.mark.parametrize("page", LINKS)
@pytest.mark.parametrize(("before", "url"), [("", "javascript:alert(1)"), ("java", "script:alert(1)")])
def test_no_way_around_leads_to_a_script(page: str, before: str, url: str) -> None:
    shown = filled(page, replace(DATA, Receiver=before, Status=url), "html")
    assert "script:" not in shown


def test_a_link_of_several_values_still_leads_there() -> None:
    data = replace(DATA, Receiver="", Status="https://x/a:b")
    assert filled('<a href="{{ .Receiver }}{{ .Status }}">', data, "html") == '<a href="https://x/a:b">'
    assert (
        filled('<a href="/{{ .Receiver }}?t={{ .Status }}">', data, "html") == '<a href="/?t=https://x/a:b">'
    )


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<script>{{ .Status }}</script>", "inside of <script>"),
        ("<a {{ .Status }}>", "inside of a tag"),
        ('<a onclick="{{ .Status }}">', "attribute onclick"),
        ("<!-- {{ .Status }} -->", "inside of a comment"),
        ('<iframe srcdoc="{{ .Status }}">', "attribute srcdoc"),
        ('<meta http-equiv=refresh content="0;url={{ .Status }}">', "attribute content"),
        ('{{ if .Status }}<a href="{{ end }}', "end in different places"),
    ],
)
def test_where_no_value_may_stand_in_html(page: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        filled(page, markup="html")
