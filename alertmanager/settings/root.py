"""The whole section."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from alertmanager.settings.common import Place, Text
from alertmanager.settings.consistency import Names, wrong_in
from alertmanager.settings.fleetowl import FleetowlSettings
from alertmanager.settings.global_ import GlobalSettings
from alertmanager.settings.inhibit import InhibitRuleSettings
from alertmanager.settings.integrations.own import LogConfig
from alertmanager.settings.intervals import TimeIntervalSettings
from alertmanager.settings.nulls import without_nulls
from alertmanager.settings.receivers import ReceiverSettings
from alertmanager.settings.route import RouteSettings
from model.settings import Settings, did_you_mean, without_userinfo

Part = TypeVar("Part", bound=Settings)


NOTICES = RouteSettings.model_validate(
    {
        # One that says nothing of its severity is P3 too, but nobody has said that it may wait.
        "matchers": ['tier="P3"', 'severity!=""'],
        "group_by": ["tier"],
        "group_wait": "1m",
        "group_interval": "1h",
        "repeat_interval": "1w",
    }
)
"""Of a configuration that names no route: notices come together, once an hour at most."""


def _shareable(url: str) -> str:
    if url != without_userinfo(url):
        raise ValueError("holds a name or a password, which every link would show: write it without")
    return url


class AlertmanagerSettings(Settings):
    """Who is notified of what, and how often."""

    model_config = ConfigDict(populate_by_name=False)

    config_file: Path | None = Field(
        None,
        description="An alertmanager.yml instead of keys here; beside it only external_url and fleetowl.",
    )
    global_: GlobalSettings = Field(GlobalSettings(), alias="global", description="What holds for all.")
    external_url: Annotated[Text, AfterValidator(_shareable)] = Field(
        "", description="Where people reach this analyzer; links point there."
    )
    route: RouteSettings = Field(
        RouteSettings(receiver="log", group_by=("incident",), routes=(NOTICES,)),
        description="The root of the route tree.",
    )
    templates: tuple[Text, ...] = Field((), description="Files (globs) of notification templates.")
    inhibit_rules: tuple[InhibitRuleSettings, ...] = Field((), description="Which alerts hold back others.")
    time_intervals: tuple[TimeIntervalSettings, ...] = Field((), description="Named time intervals.")
    mute_time_intervals: tuple[TimeIntervalSettings, ...] = Field(
        (), description="Deprecated spelling of time_intervals."
    )
    receivers: tuple[ReceiverSettings, ...] = Field(
        (ReceiverSettings(name="log", log_configs=(LogConfig(),)),), description="Who can be notified."
    )
    fleetowl: FleetowlSettings = Field(FleetowlSettings(), description="What Alertmanager does not have.")

    _plain: bool = PrivateAttr(False)

    def of_file(self, path: Path, *, plain: bool) -> Self:
        """These settings as those of an alertmanager.yml."""
        own = self.model_copy(update={"config_file": path})
        own._plain = plain
        return own

    @property
    def plain(self) -> bool:
        """Whether this is Alertmanager's own model alone: a file without a part `fleetowl`."""
        return self._plain

    @model_validator(mode="wrap")
    @classmethod
    def _whole(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Each part by itself, then the parts together; what is wrong is said at once."""
        if isinstance(data, cls):
            return data  # it was complete when it was made
        data = without_nulls(data)
        wrong: list[InitErrorDetails] = []
        if isinstance(data, dict) and "config_file" in data:
            message = "is read with the whole file: it cannot stand in settings that are given as such"
            wrong.append(_line(("config_file",), message))
        settings = None
        try:
            settings = handler(data)
        except ValidationError as error:
            wrong += map(_again, error.errors())
        parts = _Parts(data if isinstance(data, dict) else {}, settings)
        wrong += (_line(place, message) for place, message in parts.wrong())
        if wrong or settings is None:
            raise ValidationError.from_exception_data(cls.__name__, wrong)
        # The settings are frozen for their readers; this is still their making.
        object.__setattr__(settings, "receivers", tuple(parts.inherited))
        return settings


class _Parts:
    """What can be read of a section, also where some of it cannot."""

    def __init__(self, data: dict[str, Any], settings: AlertmanagerSettings | None) -> None:
        self._data, self._settings = data, settings
        self.inherited: list[ReceiverSettings] = []

    def wrong(self) -> Iterator[tuple[Place, str]]:
        """What does not fit together; fills `inherited`."""
        yield from wrong_in(self._route(), Names(self._named("receivers"), self._intervals()))
        yield from self._strange_rates()
        common = self._common()
        if common is None:
            return
        for position, receiver in self._receivers():
            whole, missing = receiver.inherit(common)
            self.inherited.append(whole)
            yield from ((("receivers", position, *place), message) for place, message in missing)

    def _strange_rates(self) -> Iterator[tuple[Place, str]]:
        own = self._data.get("fleetowl")
        rates = own.get("rates") if isinstance(own, dict) else None
        names = {name for _, name in self._named("receivers")}
        for name in rates if isinstance(rates, dict) and names else ():
            if name not in names:
                hint = did_you_mean(str(name), names, "receivers")
                yield ("fleetowl", "rates", str(name)), f"{name!r} is no receiver: {hint}"

    def _route(self) -> Any:
        if self._settings is not None:
            return self._settings.route.model_dump(by_alias=True)
        return self._data.get("route")

    def _common(self) -> GlobalSettings | None:
        if self._settings is not None:
            return self._settings.global_
        return _valid(GlobalSettings, self._data.get("global", {}))

    def _receivers(self) -> Iterator[tuple[int, ReceiverSettings]]:
        if self._settings is not None:
            yield from enumerate(self._settings.receivers)
            return
        for position, data in enumerate(_items(self._data, "receivers")):
            receiver = _valid(ReceiverSettings, data)
            if receiver is not None:
                yield position, receiver

    def _intervals(self) -> list[tuple[Place, str]]:
        return [*self._named("mute_time_intervals"), *self._named("time_intervals")]

    def _named(self, key: str) -> list[tuple[Place, str]]:
        if self._settings is not None:
            parts = enumerate(getattr(self._settings, key))
            return [((key, position, "name"), part.name) for position, part in parts]
        return [
            ((key, position, "name"), str(item["name"]))
            for position, item in enumerate(_items(self._data, key))
            if isinstance(item, dict) and "name" in item
        ]


def _items(data: dict[str, Any], key: str) -> list[Any]:
    items = data.get(key)
    return items if isinstance(items, list) else []


def _valid(model: type[Part], data: Any) -> Part | None:
    try:
        return model.model_validate(data)
    except ValidationError:
        return None


def _again(error: Any) -> InitErrorDetails:
    """An error of pydantic's, to be raised with others."""
    kind = PydanticCustomError(error["type"], "{said}", {"said": error["msg"]})
    return InitErrorDetails(type=kind, loc=error["loc"], input=error["input"])


def _line(place: Place, message: str) -> InitErrorDetails:
    return InitErrorDetails(
        type=PydanticCustomError("value_error", "{said}", {"said": message}), loc=place, input=None
    )
