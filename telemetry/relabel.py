"""Relabelling as Prometheus does it: every action, RE2 expressions anchored at both ends, `$1` expansion.

Source of the rules: prometheus/prometheus model/relabel/relabel.go (version 3), for what an action does and
for what is an error at load.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from model.labels import LABEL_NAME, Labels
from model.settings import Settings
from telemetry.matching import expand, expression

Action = Literal[
    "replace", "keep", "drop", "keepequal", "dropequal", "hashmod",
    "labelmap", "labeldrop", "labelkeep", "lowercase", "uppercase",
]  # fmt: skip

_TARGET = re.compile(r"(?:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+", re.ASCII)
_NEED_TARGET = ("replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal")
_NEED_PLAIN_TARGET = ("hashmod", "lowercase", "uppercase", "keepequal", "dropequal")
_DEFAULT_REGEX = "(.*)"
_DEFAULT_REPLACEMENT = "$1"
_DEFAULT_SEPARATOR = ";"


class RelabelConfig(Settings):
    """One step of relabelling, in Prometheus' spelling."""

    source_labels: list[str] = Field(default=[], description="Labels whose values are joined and matched.")
    separator: str = Field(_DEFAULT_SEPARATOR, description="Stands between the joined values.")
    regex: str = Field(_DEFAULT_REGEX, description="RE2 expression, anchored at both ends.")
    modulus: int = Field(0, ge=0, le=2**64 - 1, description="Modulus of the hash (action hashmod).")
    target_label: str = Field("", description="Label that is written, or compared (keepequal, dropequal).")
    replacement: str = Field(
        _DEFAULT_REPLACEMENT, description="What is written; `$1` or `${name}` are groups."
    )
    action: Action = Field("replace", description="What is done; see Prometheus' relabel_config.")

    @field_validator("action", mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("regex", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        """YAML reads `regex: 123` as a number."""
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    @field_validator("regex")
    @classmethod
    def _valid_regex(cls, value: str) -> str:
        expression(value)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problem = _problem(self)
        if problem:
            raise ValueError(problem)
        return self


def _problem(config: RelabelConfig) -> str:
    """What Prometheus would refuse in a step, "" if nothing."""
    action, target = config.action, config.target_label
    if action == "hashmod" and not config.modulus:
        return "relabel configuration for hashmod requires non-zero modulus"
    if action in _NEED_TARGET and not target:
        return f"relabel configuration for {action} action requires 'target_label' value"
    if action == "replace" and not _TARGET.fullmatch(target):
        return f"{target!r} is invalid 'target_label' for {action} action"
    if action in _NEED_PLAIN_TARGET and not LABEL_NAME.fullmatch(target):
        return f"{target!r} is invalid 'target_label' for {action} action"
    if action in ("lowercase", "uppercase") and config.replacement != _DEFAULT_REPLACEMENT:
        return f"'replacement' can not be set for {action} action"
    if action == "labelmap" and not _TARGET.fullmatch(config.replacement):
        return f"{config.replacement!r} is invalid 'replacement' for {action} action"
    return _surplus(config)


def _surplus(config: RelabelConfig) -> str:
    """Fields that an action does not use are a mistake of the writer, as in Prometheus."""
    common = (
        config.modulus == 0
        and config.separator == _DEFAULT_SEPARATOR
        and config.replacement == _DEFAULT_REPLACEMENT
    )
    if config.action in ("keepequal", "dropequal") and not (common and config.regex == _DEFAULT_REGEX):
        return f"{config.action} action requires only 'source_labels' and 'target_label', and no other fields"
    if config.action in ("labeldrop", "labelkeep") and not (
        common and not config.source_labels and not config.target_label
    ):
        return f"{config.action} action requires only 'regex', and no other fields"
    return ""


def relabel(labels: Labels, configs: Iterable[RelabelConfig]) -> Labels | None:
    """The labels after all steps; None if a step drops them."""
    current = dict(labels)
    for config in configs:
        if not _apply(config, current):
            return None
    return Labels(current)


def _apply(config: RelabelConfig, labels: dict[str, str]) -> bool:
    """One step, in place; False drops the label set. An empty value stands for "no such label"."""
    action, target = config.action, config.target_label
    if action in ("labelmap", "labeldrop", "labelkeep"):
        _apply_to_names(config, labels)
        return True
    value = config.separator.join(labels.get(name, "") for name in config.source_labels)
    if action in ("keep", "drop"):
        return (expression(config.regex).fullmatch(value) is not None) == (action == "keep")
    if action in ("keepequal", "dropequal"):
        return (labels.get(target, "") == value) == (action == "keepequal")
    if action == "replace":
        _replace(config, value, labels)
    elif action == "hashmod":
        digest = hashlib.md5(value.encode(), usedforsecurity=False).digest()
        labels[target] = str(int.from_bytes(digest[8:], "big") % config.modulus)
    else:
        labels[target] = value.lower() if action == "lowercase" else value.upper()
    return True


def _replace(config: RelabelConfig, value: str, labels: dict[str, str]) -> None:
    found = expression(config.regex).fullmatch(value)
    if found is None:
        return
    target = expand(config.target_label, found)
    if not LABEL_NAME.fullmatch(target):
        return
    result = expand(config.replacement, found)
    if result:
        labels[target] = result
    else:
        labels.pop(target, None)


def _apply_to_names(config: RelabelConfig, labels: dict[str, str]) -> None:
    names = expression(config.regex)
    for name, value in list(labels.items()):
        found = names.fullmatch(name)
        if config.action == "labelmap" and found is not None:
            labels[expand(config.replacement, found)] = value
        elif config.action != "labelmap" and (found is not None) == (config.action == "labeldrop"):
            del labels[name]
