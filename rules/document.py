"""YAML as rule files want it: every scalar is text, and a key that stands twice is an error."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from model.settings import ConfigurationError, Problem


class _Loader(yaml.BaseLoader):
    """BaseLoader leaves `1.0` and `on` as they were written, which is what an `expr` or a label needs."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice (line {line})", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_document(path: Path) -> Any:
    """The first document of a YAML file, scalars as text. Raises ConfigurationError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError([Problem(str(path), "", f"cannot be read: {error}")]) from error
    try:
        loader = _Loader(text)
        try:
            return loader.get_data() if loader.check_data() else None  # type: ignore[no-untyped-call]
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise ConfigurationError([_problem(path, error)]) from error


def _problem(path: Path, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error)
    return Problem(str(path), f"line {mark.line + 1}" if mark else "", f"is not valid YAML: {what}")
