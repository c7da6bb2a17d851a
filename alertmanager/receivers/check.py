"""What can be known to be wrong with receivers before anything is sent, all of it at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from alertmanager.receivers.apprise_urls import library, scheme, urls_of
from alertmanager.receivers.outlet import Fill, Outlet
from alertmanager.receivers.payload import LEAST
from alertmanager.receivers.sender import build, outlet_of
from alertmanager.receivers.sns import keys_of
from alertmanager.settings import AlertmanagerSettings, AppriseConfig, IntegrationConfig
from alertmanager.settings.integrations.sns import SNSConfig
from alertmanager.settings.support import NOT_SENT
from alertmanager.template.library import Library, load_library
from model.settings import Problem, format_size
from wire.template import TemplateError

_Wrong = Iterator[tuple[str, str, str]]
"""Key, what is wrong with it, and the way out."""

_SUBSET = "see docs/alerting.md for what templates may hold"


def problems_of_receivers(settings: AlertmanagerSettings, file: str, key: str = "") -> list[Problem]:
    """Templates, secret files, apprise URLs, and what has no equivalent here."""
    prefix = f"{key}." if key else ""
    library, wrong = load_library(settings.templates)
    found = [Problem(file, f"{prefix}templates", f"{place}: {why}", _SUBSET) for place, why in wrong]
    if 0 < settings.fleetowl.max_payload < LEAST:
        hint = f"at least {format_size(LEAST)}, or 0 for no limit"
        message = "is too small: the frame of a message needs room too"
        found.append(Problem(file, f"{prefix}fleetowl.max_payload", message, hint))
    for index, receiver in enumerate(settings.receivers):
        for kind, position, config in receiver.integrations():
            place = f"{prefix}receivers.{index}.{kind}_configs.{position}"
            problems = [*_wrong(config), *_unfilled(kind, config, library, settings, receiver.name)]
            found += [Problem(file, _joined(place, name), message, hint) for name, message, hint in problems]
    return found


def _wrong(config: IntegrationConfig) -> _Wrong:
    unreadable = list(_unreadable(config))
    yield from unreadable
    if isinstance(config, AppriseConfig) and not unreadable:
        yield from _not_understood(config)
    if isinstance(config, SNSConfig):
        yield from _not_signed(config)


def _unreadable(model: BaseModel, place: str = "") -> _Wrong:
    """Every file that the settings name, however deep."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        key = _joined(place, field.alias or name)
        if isinstance(value, Path):
            try:
                value.read_bytes()
            except OSError as error:
                hint = "check the path and its permissions"
                yield key, f"{value} cannot be read: {error.strerror}", hint
        elif isinstance(value, BaseModel):
            yield from _unreadable(value, key)


def _not_understood(config: AppriseConfig) -> _Wrong:
    apprise = library()
    for position, url in enumerate(urls_of(config)):
        if not apprise.Apprise().add(url):
            message = f"the URL ({scheme(url)}://…) is none that apprise understands"
            yield f"urls.{position}", message, "see the list of services in apprise's documentation"


def _not_signed(config: SNSConfig) -> _Wrong:
    for name in ("profile", "role_arn"):
        if getattr(config.sigv4, name):
            message = "is not supported: it needs AWS' own library"
            yield f"sigv4.{name}", message, "give sigv4.access_key and secret_key of a user that may publish"
            return
    if not keys_of(config)[0]:
        hint = "give sigv4.access_key and secret_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        yield "sigv4", "has no keys", hint


class _Checking(Outlet):
    """Compiles every field as the real one does, and goes on where one cannot be understood."""

    def __init__(self, outlet: Outlet) -> None:
        super().__init__(outlet.library, outlet.writer, outlet.session, outlet.external_url, outlet.cap)
        self.wrong: dict[str, str] = {}

    def fill(self, template: str, markup: str = "text") -> Fill:
        """Notes what is wrong with a template."""
        try:
            return super().fill(template, markup)
        except TemplateError as error:
            self.wrong[template] = str(error)
            return lambda _: ""


def _unfilled(
    kind: str, config: IntegrationConfig, library: Library, settings: AlertmanagerSettings, receiver: str
) -> _Wrong:
    """Fields whose templates cannot be understood, or call one that is not there."""
    if kind in NOT_SENT:
        return  # said elsewhere, with its reason

    def no_session() -> Any:
        raise RuntimeError("nothing is sent while a configuration is checked")

    checking = _Checking(outlet_of(settings, library, no_session))
    try:
        build(kind, config, checking, settings, receiver)
    except (ValueError, OSError) as error:
        yield "", str(error), ""
    for template, why in checking.wrong.items():
        yield _place_of(config, template) or "", why, _SUBSET


def _place_of(value: Any, template: str) -> str | None:
    """The keys that lead to a template in the settings."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value == template:
        return ""
    inner: Any = ()
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        inner = ((fields[name].alias or name, getattr(value, name)) for name in fields)
    elif isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list | tuple):
        inner = enumerate(value)
    for name, each in inner:
        found = _place_of(each, template)
        if found is not None:
            return _joined(str(name), found)
    return None


def _joined(place: str, name: str) -> str:
    return ".".join(part for part in (place, name) if part)
