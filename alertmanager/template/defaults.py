"""The templates that configurations call by name without defining them; the texts are our own.

They say what Alertmanager's of the same names say: status and count, the group, the labels that all
alerts share, then each alert with its labels, its words and its source.
"""

from __future__ import annotations

_BASE = r"""
{{ define "__alertmanager" }}Alertmanager{{ end }}
{{ define "__alertmanagerURL" }}{{ .ExternalURL }}/api/v2/alerts?receiver={{ .Receiver | urlquery }}{{ end }}

{{ define "__subject" -}}
[{{ .Status | toUpper }}{{ if .Alerts.Firing }}:{{ .Alerts.Firing | len }}{{ end }}]
{{- range .GroupLabels.SortedPairs }} {{ .Value }}{{ end }}{{ " " }}
{{- with .CommonLabels.Remove .GroupLabels.Names }}({{ .Values | join " " }}){{ end }}
{{- end }}

{{ define "__description" }}{{ end }}

{{ define "__text_alert_list" -}}
{{ range . -}}
Labels:
{{ range .Labels.SortedPairs }} - {{ .Name }} = {{ .Value }}
{{ end -}}
{{ if .Annotations }}Annotations:
{{ range .Annotations.SortedPairs }} - {{ .Name }} = {{ .Value }}
{{ end }}{{ end -}}
{{ with .GeneratorURL }}Source: {{ . }}
{{ end }}
{{ end }}{{ end }}

{{ define "__text_alert_list_markdown" -}}
{{ range . -}}
Labels:
{{ range .Labels.SortedPairs }}  - {{ .Name }} = {{ .Value }}
{{ end }}
{{ if .Annotations }}Annotations:
{{ range .Annotations.SortedPairs }}  - {{ .Name }} = {{ .Value }}
{{ end }}{{ end }}
{{ with .GeneratorURL }}Source: {{ . }}
{{ end }}
{{ end }}{{ end }}

{{ define "__alerts" -}}
{{ with .Alerts.Firing }}Alerts Firing:
{{ template "__text_alert_list" . }}{{ end -}}
{{ with .Alerts.Resolved }}Alerts Resolved:
{{ template "__text_alert_list" . }}{{ end -}}
{{ end }}

{{ define "__alerts_markdown" -}}
{{ with .Alerts.Firing }}Alerts Firing:
{{ template "__text_alert_list_markdown" . }}{{ end -}}
{{ with .Alerts.Resolved }}Alerts Resolved:
{{ template "__text_alert_list_markdown" . }}{{ end -}}
{{ end }}

{{ define "__words" -}}
{{ .CommonAnnotations.SortedPairs.Values | join " " }}
{{ with .Alerts.Firing }}Alerts Firing:
{{ template "__text_alert_list" . }}{{ end -}}
{{ with .Alerts.Resolved }}Alerts Resolved:
{{ template "__text_alert_list" . }}{{ end -}}
{{ end }}

{{ define "__color" }}{{ if eq .Status "firing" }}danger{{ else }}good{{ end }}{{ end }}

{{ define "email.default.html" -}}
<!DOCTYPE html>
<html><head><meta name="viewport" content="width=device-width">
<title>{{ template "__subject" . }}</title></head>
<body style="font-family: sans-serif; font-size: 15px">
<h2 style="color: {{ if eq .Status "firing" }}#b3261e{{ else }}#1b6e3c{{ end }}">
{{ template "__subject" . }}</h2>
{{ with .Alerts.Firing }}<h3>Firing: {{ len . }}</h3>{{ template "__html_alert_list" . }}{{ end }}
{{ with .Alerts.Resolved }}<h3>Resolved: {{ len . }}</h3>{{ template "__html_alert_list" . }}{{ end }}
{{ if .ExternalURL }}<p><a href="{{ template "__alertmanagerURL" . }}">All alerts</a></p>{{ end }}
</body></html>
{{- end }}

{{ define "__html_alert_list" -}}
{{ range . }}<p><b>Labels</b><br>
{{ range .Labels.SortedPairs }}{{ .Name }} = {{ .Value }}<br>
{{ end }}{{ if .Annotations }}<b>Annotations</b><br>
{{ range .Annotations.SortedPairs }}{{ .Name }} = {{ .Value }}<br>
{{ end }}{{ end }}{{ if .GeneratorURL }}<a href="{{ .GeneratorURL }}">Source</a>{{ end }}</p>
{{ end }}{{ end }}

{{ define "jira.default.priority" -}}
{{ $found := "Low" }}
{{- range .Alerts.Firing }}
{{- if eq .Labels.severity "critical" }}{{ $found = "High" }}
{{- else if and (eq .Labels.severity "warning") (eq $found "Low") }}{{ $found = "Medium" }}{{ end }}
{{- end }}{{ $found }}
{{- end }}
"""

_SAME = {
    "__subject": (
        "email.default.subject",
        "slack.default.title",
        "pagerduty.default.description",
        "opsgenie.default.message",
        "victorops.default.entity_display_name",
        "pushover.default.title",
        "sns.default.subject",
        "discord.default.title",
        "msteams.default.summary",
        "msteams.default.title",
        "msteamsv2.default.title",
        "jira.default.summary",
        "rocketchat.default.title",
        "mattermost.default.title",
    ),
    "__alertmanager": (
        "slack.default.username",
        "pagerduty.default.client",
        "victorops.default.monitoring_tool",
        "rocketchat.default.alias",
        "mattermost.default.username",
    ),
    "__alertmanagerURL": (
        "slack.default.titlelink",
        "pagerduty.default.clientURL",
        "opsgenie.default.source",
        "pushover.default.url",
        "rocketchat.default.titlelink",
        "mattermost.default.titlelink",
    ),
    "__words": (
        "opsgenie.default.description",
        "victorops.default.state_message",
        "pushover.default.message",
        "wechat.default.message",
    ),
    "__alerts": (
        "sns.default.message",
        "telegram.default.message",
        "jira.default.description",
    ),
    "__alerts_markdown": (
        "discord.default.message",
        "webex.default.message",
        "msteams.default.text",
        "msteamsv2.default.text",
        "mattermost.default.text",
    ),
    "__color": ("slack.default.color", "mattermost.default.color"),
}

_EMPTY = (
    "slack.default.pretext",
    "slack.default.callbackid",
    "slack.default.iconemoji",
    "slack.default.iconurl",
    "slack.default.footer",
    "slack.default.text",
    "rocketchat.default.emoji",
    "rocketchat.default.iconurl",
    "rocketchat.default.text",
    "wechat.default.to_user",
    "wechat.default.to_party",
    "wechat.default.to_tag",
    "wechat.default.agent_id",
)

_OTHERS = r"""
{{ define "pagerduty.default.instances" }}{{ template "__text_alert_list" . }}{{ end }}
{{ define "slack.default.fallback" }}{{ template "slack.default.title" . }} | {{ template "slack.default.titlelink" . }}{{ end }}
{{ define "mattermost.default.fallback" }}{{ template "mattermost.default.title" . }} | {{ template "mattermost.default.titlelink" . }}{{ end }}
"""  # noqa: E501


def _aliases() -> str:
    lines = [
        f'{{{{ define "{alias}" }}}}{{{{ template "{name}" . }}}}{{{{ end }}}}'
        for name, aliases in _SAME.items()
        for alias in aliases
    ]
    lines += [f'{{{{ define "{name}" }}}}{{{{ end }}}}' for name in _EMPTY]
    return "\n".join(lines)


DEFAULTS = f"{_BASE}\n{_aliases()}\n{_OTHERS}"
