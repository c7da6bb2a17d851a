"""The words of an alert: its templates, filled in with what they may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from model.labels import Labels
from wire.gotext import QueriedSample, TemplateValueError
from wire.template import Template, unexpanded


class Ask(Protocol):
    """Evaluates PromQL for the template function `query`, at a moment (ms). Raises TemplateValueError."""

    def __call__(self, expression: str, at: int) -> list[QueriedSample]:
        """The rows of the result."""
        ...


@dataclass(frozen=True, slots=True)
class Wording:
    """What all templates of the rules see beside their alert; without `ask` their `query` fails."""

    external_url: str = ""
    external_labels: Mapping[str, str] | None = None
    ask: Ask | None = None

    def fill(self, template: Template, source: Labels, value: float, at: int) -> tuple[str, str]:
        """The text and what is wrong with it: a page with a flaw is better than no page."""
        query = partial(self.ask, at=at) if self.ask is not None else None
        try:
            return template.expand(source, value, self.external_labels, self.external_url, query), ""
        except TemplateValueError as error:
            return unexpanded(error), str(error)
