"""What a YAML file with rules holds: a plain Prometheus rule file, or PrometheusRule objects of Kubernetes.

Which of these it is shows in its content, never in its name.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.document import read_documents
from model.settings import ConfigurationError, Problem, did_you_mean

log = logging.getLogger("fleetowl.rules")

OBJECT = "PrometheusRule"
_LISTS = ("List", f"{OBJECT}List")
_OBJECT_KEYS = ("apiVersion", "kind", "metadata", "spec", "status")


@dataclass(frozen=True, slots=True)
class RuleDocument:
    """The part of a file that has `groups`. `origin` names it: the file, and the object if it has several."""

    origin: str
    groups: Mapping[str, Any]
    kubernetes: bool = False


class UnitTests(ConfigurationError):
    """The file holds promtool's unit tests of rules and no rules."""

    def __init__(self, path: Path) -> None:
        hint = f"run `fleetowl rules test {path}`"
        super().__init__([Problem(str(path), "", "is a file of unit tests, no rule file", hint)])


def read_rule_documents(path: Path) -> list[RuleDocument]:
    """What the file holds. Raises ConfigurationError, and UnitTests if it holds tests of rules."""
    documents = read_documents(path)
    first = next(documents, None)
    if first is None:
        raise _wrong(path, "", "is empty", "a rule file starts with `groups:` and a list")
    if not isinstance(first, dict):
        raise _wrong(path, "", "is no rule file", "it starts with `groups:` and a list")
    if "kind" in first and "groups" not in first:
        return _objects(path, [first, *documents])
    if holds_tests(first):
        raise UnitTests(path)
    _check_plain(path, first)
    if _has_more(documents):
        log.warning("%s: only the first YAML document is read, as Prometheus does; others follow it", path)
    return [RuleDocument(str(path), first)]


def holds_tests(document: Any) -> bool:
    """Whether a document is a file of promtool's unit tests."""
    keys = document if isinstance(document, dict) else {}
    return "groups" not in keys and ("tests" in keys or "rule_files" in keys)


def _has_more(documents: Iterator[Any]) -> bool:
    try:
        return next(documents, None) is not None
    except ConfigurationError:
        return True


def _check_plain(path: Path, document: Mapping[str, Any]) -> None:
    """Raises ConfigurationError for keys that a rule file does not have."""
    if document and "groups" not in document:
        keys = ", ".join(sorted(map(str, document)))
        slip = did_you_mean(str(next(iter(document))), ["groups"], "keys") if len(document) == 1 else ""
        hint = slip if slip.startswith("did") else "a rule file starts with `groups:` and a list"
        raise _wrong(path, "", f"is no rule file, it has {keys}", hint)
    problems = [
        Problem(str(path), str(key), "unknown key", "known keys: groups")
        for key in document
        if key != "groups"
    ]
    if problems:
        raise ConfigurationError(problems)


def _objects(path: Path, documents: list[Any]) -> list[RuleDocument]:
    """The PrometheusRule objects among Kubernetes objects; lists of them are opened."""
    objects = [item for document in documents for item in _flattened(document)]
    rules = [item for item in objects if item.get("kind") == OBJECT]
    if not rules:
        kinds = ", ".join(sorted({str(item.get("kind") or "an object without kind") for item in objects}))
        hint = f"`kind: {OBJECT}` or a plain rule file is needed"
        raise _wrong(path, "", f"is no rule file, it holds {kinds or 'an empty list'}", hint)
    return [_of_object(path, item, single=len(rules) == 1) for item in rules]


def _flattened(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict) and document.get("kind") in _LISTS:
        items = document.get("items")
        for item in items if isinstance(items, list) else []:
            yield from _flattened(item)
    elif isinstance(document, dict):
        yield document


def _of_object(path: Path, item: Mapping[str, Any], single: bool) -> RuleDocument:
    metadata = item.get("metadata")
    named = metadata if isinstance(metadata, dict) else {}
    name = ".".join(str(named[key]) for key in ("namespace", "name") if named.get(key))
    origin = str(path) if single else f"{path}#{name or 'unnamed'}"
    problems = [
        Problem(origin, str(key), "unknown key", f"known keys of {OBJECT}: {', '.join(_OBJECT_KEYS)}")
        for key in item
        if key not in _OBJECT_KEYS
    ]
    spec = item.get("spec")
    if not isinstance(spec, dict):
        problems.append(Problem(origin, "spec", "is required", "`spec: {groups: [...]}`"))
        spec = {}
    problems += [
        Problem(origin, f"spec.{key}", "unknown key", "known keys: groups") for key in spec if key != "groups"
    ]
    if problems:
        raise ConfigurationError(problems)
    return RuleDocument(origin, spec, kubernetes=True)


def _wrong(path: Path, key: str, message: str, hint: str) -> ConfigurationError:
    return ConfigurationError([Problem(str(path), key, message, hint)])
