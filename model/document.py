"""YAML files: read once, errors with file and line, and a key that stands twice is one of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from model.settings import ConfigurationError, Problem


class _UniqueKeys(yaml.composer.Composer):
    """A key that stands twice is an error, not the last one's silent victory."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise yaml.composer.ComposerError(
                        None, None, f"the key {key.value!r} stands twice", key.start_mark
                    )
                seen.add((key.tag, key.value))
        return node


class _Values(_UniqueKeys, yaml.SafeLoader):
    """Scalars as the values that they look like; what looks like a date and is none stays text."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Says of what cannot be made where it stands, which PyYAML does for some of it only."""
        try:
            return super().construct_object(node, deep=deep)
        except ValueError as error:
            if node.tag == "tag:yaml.org,2002:timestamp":
                # Whoever takes the value says by its key what is wrong with it, beside all else that is.
                return node.value
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error


class _Texts(_UniqueKeys, yaml.BaseLoader):
    """Scalars as they were written, `1.0` and `on`, which is what an `expr` or a label needs."""


class _TextsOrNull(_UniqueKeys, yaml.SafeLoader):
    """Scalars as they were written, but nothing where nothing was: what Go makes of text fields."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - that is how PyYAML wants it
        first: [pair for pair in resolvers if pair[0].endswith((":null", ":merge"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_END = object()


def read_yaml(
    path: Path | Traversable, *, as_text: bool = False, nulls: bool = False, first: bool = False
) -> Any:
    """The one document of a YAML file, None if it is empty; with `as_text` every scalar stays text.

    With `first` others may follow, which are not read.

    With `nulls` too a key without a value stays one: None, where otherwise it would be "".

    Raises ConfigurationError if it cannot be read, is not YAML or has a key twice.
    """
    text = _text_of(path)
    with _told(path):
        texts = _TextsOrNull if nulls else _Texts
        loader = texts if as_text else _Values  # both build plain values only
        if first:
            return next(yaml.load_all(text, loader), None)
        return yaml.load(text, loader)  # noqa: S506


def read_documents(path: Path | Traversable) -> Iterator[Any]:
    """The documents of a YAML file one by one, without empty ones; every scalar stays text.

    Raises ConfigurationError as read_yaml does, for a document when it is its turn.
    """
    documents = yaml.load_all(_text_of(path), _Texts)
    while True:
        with _told(path):
            document = next(documents, _END)
        if document is _END:
            return
        if document not in (None, ""):
            yield document


def goes_on(path: Path | Traversable) -> bool:
    """Whether a second document follows in a YAML file; a file that cannot be read has none."""
    try:
        events = yaml.parse(_text_of(path), yaml.SafeLoader)
        return sum(isinstance(event, yaml.DocumentStartEvent) for event in events) > 1
    except (ConfigurationError, yaml.YAMLError):
        return False


def _text_of(path: Path | Traversable) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise _wrong(path, "", f"cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise _wrong(path, "", f"is not YAML: {error}") from error


@contextmanager
def _told(path: Path | Traversable) -> Iterator[None]:
    """Errors of YAML as ConfigurationError, with the line."""
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}" if mark else ""
        raise _wrong(path, place, f"is not YAML: {error.problem or error.context}") from error
    # A document nested too deeply does not raise an error of YAML's own.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _wrong(path, "", f"is not YAML: {error}") from error


def _wrong(path: Path | Traversable, place: str, message: str) -> ConfigurationError:
    return ConfigurationError([Problem(str(path), place, message)])
