"""The configuration as /api/v2/status shows it: what in it may be a secret is not shown."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from analyzer.api.alertmanager.original import original
from model.settings import ConfigurationError
from tests.analyzer.conftest import settings_of

WITH_SECRETS = {
    "global": {
        "http_config": {"proxy_url": "http://u:s3cret@proxy:3128"},
        "pagerduty_url": "https://u:s3cret@pager/",
        "opsgenie_api_url": "https://s3cret@genie/",
    },
    "route": {"receiver": "r"},
    "receivers": [
        {
            "name": "r",
            "email_configs": [
                {
                    "to": "a@b",
                    "from": "c@d",
                    "smarthost": "h:25",
                    "headers": {"subject": "Alert", "X-Auth": "s3cret"},
                }
            ],
        }
    ],
}


def test_no_secret_is_shown(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, alertmanager=WITH_SECRETS)
    shown = original(settings.alertmanager)
    assert "s3cret" not in shown
    document = yaml.safe_load(shown)
    assert document["global"]["http_config"]["proxy_url"] == "http://xxxxx@proxy:3128"
    [mail] = document["receivers"][0]["email_configs"]
    assert {name.title(): text for name, text in mail["headers"].items()} == {
        "Subject": "Alert",
        "X-Auth": "<secret>",
    }
    assert "u:s3cret" not in repr(settings)
    assert "s3cret@" not in str(settings)


def test_an_external_url_has_no_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="which every link would show") as caught:
        settings_of(tmp_path, alertmanager={"external_url": "https://u:s3cret@mon/"})
    assert "s3cret" not in str(caught.value)
