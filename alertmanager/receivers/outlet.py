"""What all integrations of a configuration share: templates, the cap, our address, connections."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from alertmanager.fitting import fitted_body
from alertmanager.notification import Notification
from alertmanager.receivers.authorizing import Session
from alertmanager.receivers.payload import Writer
from alertmanager.template.data import data_of
from alertmanager.template.library import Library
from alertmanager.template.printers import ESCAPES, LINKS
from alertmanager.template.values import Data
from alertmanager.text import body, incidents_of, title
from model.alert import Tier
from model.settings import read_secret
from wire.gotext import TemplateValueError
from wire.template import unexpanded

Fill = Callable[[Notification], str]
"""Makes a text of a notification; it raises nothing."""


@dataclass(slots=True)
class Outlet:
    """The way out of the house; `cap` (bytes, 0: none) holds for every message."""

    library: Library
    writer: Writer
    session: Session
    external_url: str = ""
    cap: int = 0
    _last: tuple[Notification, Data] | None = None

    def fill(self, template: str, markup: str = "text") -> Fill:
        """A field of the configuration. Raises TemplateError."""
        if "{{" not in template:
            return lambda _: template
        render = self.library.compile(template, markup)

        def filled(notification: Notification) -> str:
            try:
                return render(self._data(notification))
            except (TemplateValueError, RecursionError) as error:
                return unexpanded(TemplateValueError(str(error)))

        return filled

    def human(self, config: BaseModel, name: str, own: Fill, markup: str = "text") -> Fill:
        """A field that people read: our own words unless it is configured. Raises TemplateError."""
        given = str(getattr(config, name))
        if given == type(config).model_fields[name].default:
            return own
        return self.fill(given, markup)

    def title(self, markup: str = "text", limit: int = 200) -> Fill:
        """Our own first line."""
        escape = ESCAPES[markup]
        return lambda notification: escape(title(notification)[:limit])

    def body(self, markup: str = "text", limit: int = 0) -> Fill:
        """Our own words below it, in at most `limit` bytes (0: as the cap has it)."""
        escape, link, most = ESCAPES[markup], LINKS[markup], self.most(limit)
        return lambda notification: body(notification, self.external_url, most, quote=escape, link=link)

    def most(self, limit: int) -> int:
        """The smaller of a service's limit and half of the cap: JSON needs room for its escapes."""
        sizes = [size for size in (limit, self.cap // 2) if size]
        return min(sizes, default=0)

    def tree(self, value: Any, markup: str = "text") -> Callable[[Notification], Any]:
        """A value of YAML in which every text is a template. Raises TemplateError."""
        if isinstance(value, str):
            return self.fill(value, markup)
        if isinstance(value, Mapping):
            inner = {name: self.tree(each, markup) for name, each in value.items()}
            return lambda notification: {name: each(notification) for name, each in inner.items()}
        if isinstance(value, list | tuple):
            items = [self.tree(each, markup) for each in value]
            return lambda notification: [each(notification) for each in items]
        return lambda _: value

    def part(self, model: BaseModel, markup: str = "text") -> Callable[[Notification], dict[str, Any]]:
        """The given fields of a part of a message, by their names. Raises TemplateError."""
        return self.tree(model.model_dump(by_alias=True, exclude_defaults=True), markup)

    def json(self, message: Mapping[str, Any]) -> bytes:
        """The body of a message, cut where it is larger than the cap."""
        return fitted_body(dict(message), self.cap)

    def _data(self, notification: Notification) -> Data:
        if self._last is None or self._last[0] is not notification:
            self._last = notification, data_of(notification, self.external_url)
        return self._last[1]


def given(message: Mapping[str, Any]) -> dict[str, Any]:
    """What is not empty of a message."""
    return {name: value for name, value in message.items() if value not in ("", None, [], {})}


def group_hash(notification: Notification) -> str:
    """By this a service knows a matter again: SHA-256 of the group's key, as Alertmanager makes it.

    Pages about one incident share a key with the group that is exactly this incident: the update, the
    escalation and the end are one matter.
    """
    key = notification.group_key
    about = incidents_of(notification)
    whole = [*notification.group_labels.items()] == [("incident", about[0] if about else "")]
    if (notification.is_page or whole) and len(about) == 1:
        key = f"incident:{about[0]}"
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()


def secret(value: SecretStr | None, file: Path | None) -> str:
    """A secret, from the configuration or its file. Raises OSError or ValueError (no UTF-8)."""
    return read_secret(value, file) or ""


def severity(tier: Tier) -> str:
    """A tier in the words of paging services."""
    return ("critical", "error", "warning", "info")[tier]
