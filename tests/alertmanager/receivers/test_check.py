"""Everything that can be known before sending is said at once, with the place and the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alertmanager.receivers.check import problems_of_receivers
from tests.alertmanager.night import settings_of


def problems(receiver: dict[str, Any], **sections: Any) -> list[str]:
    settings = settings_of(receivers=[{"name": "team", **receiver}], **sections)
    return [str(problem) for problem in problems_of_receivers(settings, "a.yml")]


def test_all_at_once(tmp_path: Path) -> None:
    (tmp_path / "t.tmpl").write_text('{{ define "mine" }}{{ nosuch }}{{ end }}')
    found = problems(
        {
            "slack_configs": [
                {
                    "api_url": "http://x/s3cret",
                    "title": '{{ template "gone" . }}',
                    "fields": [{"title": "a", "value": "{{ .Nope }}"}],
                }
            ],
            "webhook_configs": [
                {"url": "http://x/{{ .Bad }}/s3cret"},
                {
                    "url_file": str(tmp_path / "none"),
                    "http_config": {"authorization": {"credentials_file": str(tmp_path / "gone")}},
                },
            ],
            "email_configs": [
                {
                    "to": "a@b.c",
                    "from": "d@e.f",
                    "smarthost": "h:25",
                    "html": "<script>{{ .Status }}</script>",
                }
            ],
            "sns_configs": [{"phone_number": "1", "sigv4": {"profile": "p", "region": "r"}}],
        },
        templates=[str(tmp_path / "*.tmpl")],
        fleetowl={"max_payload": "1KiB"},
    )
    text = "\n".join(found)
    for place in (
        f"a.yml: templates: {tmp_path}/t.tmpl: template 'mine' in {tmp_path}/t.tmpl: function 'nosuch'",
        "a.yml: fleetowl.max_payload: is too small",
        "a.yml: receivers.0.slack_configs.0.title: template 'gone' is not defined",
        "a.yml: receivers.0.slack_configs.0.fields.0.value: the notification has no field Nope",
        "a.yml: receivers.0.webhook_configs.0.url: the notification has no field Bad",
        f"a.yml: receivers.0.webhook_configs.1.url_file: {tmp_path}/none cannot be read",
        "a.yml: receivers.0.webhook_configs.1.http_config.authorization.credentials_file: ",
        "a.yml: receivers.0.email_configs.0.html: a value inside of <script> is not supported",
        "a.yml: receivers.0.sns_configs.0.sigv4.profile: is not supported",
    ):
        assert place in text
    assert len(found) == 9
    assert "s3cret" not in text


def test_defaults_are_in_order() -> None:
    from tests.alertmanager.receivers.test_channels import CONFIGS

    for kind, config in CONFIGS.items():
        assert problems({f"{kind}_configs": [config("http://x/")]}) == [], kind
    mail = {"to": "a@b.c", "from": "d@e.f", "smarthost": "h:25"}
    assert problems({"email_configs": [mail]}) == []
