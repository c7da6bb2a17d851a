"""Settings of the detectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, field_validator
from pydantic_core import ErrorDetails, InitErrorDetails

from detectors.adapters.settings import CustomSettings
from detectors.entity.settings import EntitySettings
from detectors.peers.settings import PeerSettings
from detectors.streaming.settings import StreamingSettings
from detectors.trends.settings import TrendSettings
from model.moment import SECOND
from model.settings import Duration, Settings


class DetectorSettings(Settings):
    """The section `detectors`."""

    renamed: ClassVar = {"level": "streaming"}

    streaming: StreamingSettings = Field(
        default=StreamingSettings(), description="The detectors of single series: level and cusum."
    )
    peers: PeerSettings = Field(default=PeerSettings(), description="The comparison with peers.")
    trends: TrendSettings = Field(default=TrendSettings(), description="Trends and where they end.")
    entities: EntitySettings = Field(
        default=EntitySettings(), description="The detectors of GPUs, engines and nodes as a whole."
    )
    moment_interval: Duration = Field(
        5 * SECOND, ge=SECOND, description="Time between two moments at which series are compared."
    )
    moment_grace: Duration = Field(
        2 * SECOND, ge=0, description="How long a moment waits for samples that are on their way."
    )
    enabled: bool = Field(default=True, description="Whether series are scored at all.")
    custom: tuple[CustomSettings, ...] = Field(
        default=(), description="Detectors of river and pyod, each for each series of some metrics."
    )

    @field_validator("custom", mode="wrap")
    @classmethod
    def _distinct(cls, custom: Any, check: ValidatorFunctionWrapHandler) -> tuple[CustomSettings, ...]:
        """Names that are there twice are said together with what else is wrong."""
        twice = list(_twice(custom)) if isinstance(custom, list | tuple) else []
        found: list[InitErrorDetails] = []
        checked: tuple[CustomSettings, ...] = ()
        try:
            checked = check(custom)
        except ValidationError as error:
            found = [_again(one) for one in error.errors()]
        if found or twice:
            raise ValidationError.from_exception_data(cls.__name__, [*found, *twice])
        return checked


def _twice(custom: Iterable[Any]) -> Iterator[InitErrorDetails]:
    first: dict[str, int] = {}
    for number, one in enumerate(custom):
        name = one.get("name") if isinstance(one, dict) else getattr(one, "name", None)
        if not isinstance(name, str) or not name:
            continue
        if first.setdefault(name, number) != number:
            said = f"{name!r} is the name of custom.{first[name]} already: give this one another"
            yield {
                "type": "value_error",
                "loc": (number, "name"),
                "input": name,
                "ctx": {"error": ValueError(said)},
            }


def _again(one: ErrorDetails) -> InitErrorDetails:
    return {"type": one["type"], "loc": one["loc"], "input": one["input"], "ctx": one.get("ctx", {})}
