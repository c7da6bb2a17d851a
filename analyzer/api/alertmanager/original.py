"""The configuration in force as an alertmanager.yml, without its secrets.

amtool reads it to show routes and to try them, and refuses keys that it does not know. So what only
Fleetowl has is left out, and a comment says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, SecretStr

from alertmanager.settings import AlertmanagerSettings
from alertmanager.settings.integrations.email import EmailConfig
from model.settings import Settings, without_userinfo

SECRET = "<secret>"  # noqa: S105 - what stands for one

_READ_HEADERS = frozenset(("From", "To", "Cc", "Reply-To", "Subject"))
_OWN_KEYS = ("external_url", "fleetowl", "config_file")
_OWN_INTEGRATIONS = ("apprise_configs", "alertmanager_configs", "console_configs", "log_configs")


def original(settings: AlertmanagerSettings) -> str:
    """The configuration as YAML."""
    document = {
        name: value
        for name in ("global", "route", "inhibit_rules", "time_intervals", "mute_time_intervals", "receivers")
        if (value := _shown(getattr(settings, _field(name)), name)) not in ({}, [])
    }
    if settings.templates:
        document["templates"] = list(settings.templates)
    left_out = _strip(document)
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    if left_out:
        text = f"# Not shown, for only Fleetowl knows them: {', '.join(left_out)}.\n{text}"
    return text


def _field(name: str) -> str:
    return "global_" if name == "global" else name


def _strip(document: dict[str, Any]) -> list[str]:
    """Take out the integrations that Alertmanager does not have; says which."""
    gone: dict[str, None] = {}
    for receiver in document.get("receivers", []):
        for key in _OWN_INTEGRATIONS:
            if receiver.pop(key, None):
                gone[f"{key} of {receiver['name']}"] = None
    return list(gone)


def _shown(value: Any, key: str) -> Any:
    """What was given, as YAML's own types; a secret is masked."""
    if isinstance(value, SecretStr):
        return _masked(value.get_secret_value(), key)
    if isinstance(value, Settings):
        return _shown_settings(value)
    if isinstance(value, Mapping):
        return {str(name): _shown(one, str(name)) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown(one, key) for one in value]
    if isinstance(value, int | float | None):
        return value
    return without_userinfo(str(value))


def _shown_settings(settings: BaseModel) -> dict[str, Any]:
    plain = settings.model_dump(mode="json", exclude_unset=True)
    shown = {}
    for name, field in type(settings).model_fields.items():
        if name not in settings.model_fields_set or name in _OWN_KEYS:
            continue
        value = getattr(settings, name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = plain[name]  # a duration or a size is written with its unit
        if isinstance(settings, EmailConfig) and name == "headers":
            value = {header: _header(header, text) for header, text in value.items()}
        if value is not None and not isinstance(value, Settings | dict):
            shown[field.alias or name] = _shown(value, name)
        elif value and (inner := _shown(value, name)):
            shown[field.alias or name] = inner
    return shown


def _header(name: str, text: str) -> str:
    """Of a mail: what a gateway wants to see may be a secret, what readers see is none."""
    return text if name.title() in _READ_HEADERS else SECRET


def _masked(secret: str, key: str) -> str:
    """A URL keeps its scheme and host: amtool takes nothing else for a URL."""
    if not key.endswith(("url", "urls")):
        return SECRET
    try:
        parts = urlsplit(secret)
    except ValueError:
        return SECRET
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}/{SECRET}" if parts.scheme and host else SECRET
