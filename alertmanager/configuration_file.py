"""A whole `alertmanager.yml`, with Alertmanager's own defaults, read as Alertmanager reads it.

In fleetowl.yml it is named by `alertmanager: {config_file: PATH}`. Without a part `fleetowl:` (in the file
or beside config_file) it is plain: what Alertmanager does not have is off. With one, that part holds, with
Fleetowl's defaults; the waits of the route stay Alertmanager's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from alertmanager.settings import AlertmanagerSettings
from alertmanager.settings.nulls import without_nulls
from model.document import goes_on, read_yaml
from model.settings import ConfigurationError, Problem, load_section
from model.sound import Sound, sound_part

log = logging.getLogger("fleetowl.alertmanager")

KEYS = frozenset(
    {
        "global",
        "route",
        "receivers",
        "inhibit_rules",
        "templates",
        "time_intervals",
        "mute_time_intervals",
    }
)
"""The top level of an alertmanager.yml."""

OFF: Mapping[str, Any] = {
    "urgent_first": False,
    "resolve_wait": None,
    "topology": False,
    "flap": False,
    "max_payload": 0,
}
"""What Alertmanager does not have."""

_OF_RECEIVERS = ("global", "templates", "receivers", "fleetowl", "external_url")
_WAITS = {"group_wait": "30s", "group_interval": "5m", "repeat_interval": "4h"}
_BESIDE = ("external_url", "fleetowl")
# Their keys are the user's own: one that ends in _file is no file.
_FREE = frozenset(
    {
        "attributes",
        "custom_fields",
        "details",
        "fields",
        "headers",
        "match",
        "match_re",
        "payload",
        "props",
        "source_match",
        "source_match_re",
        "target_match",
        "target_match_re",
        "endpoint_params",
    }
)
# What may hold values other than texts.
_FLAGS = frozenset(
    {
        "continue",
        "enable_http2",
        "follow_redirects",
        "insecure_skip_verify",
        "proxy_from_environment",
        "require_tls",
        "send_resolved",
    }
)
_TYPED = {"webhook_configs": "payload", "pagerduty_configs": "details", "jira_configs": "fields"}


def is_alertmanagers(data: Mapping[str, Any]) -> bool:
    """Whether a document is an alertmanager.yml, by its top-level keys."""
    return bool(KEYS & data.keys())


def load_file(path: Path, beside: Mapping[str, Any] | None = None, where: str = "") -> AlertmanagerSettings:
    """The settings in an alertmanager.yml.

    `beside` is what stands beside config_file (`external_url`, `fleetowl`) in the file `where`. Relative
    paths in the file are meant from its own folder. Raises ConfigurationError with all that is wrong.
    """
    whole, plain, problems = _document(path, beside or {}, where)
    try:
        settings = load_section(AlertmanagerSettings, whole, str(path))
    except ConfigurationError as error:
        problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return settings.of_file(path, plain=plain)


def load_sound(path: Path, beside: Mapping[str, Any] | None = None) -> Sound[AlertmanagerSettings] | None:
    """What can be read of an alertmanager.yml in which something is wrong; None if it is nothing."""
    try:
        whole, plain, _ = _document(path, beside or {}, "")
    except ConfigurationError:
        return None
    found = sound_part(AlertmanagerSettings, routed_somewhere(whole))
    return found and replace(found, settings=found.settings.of_file(path, plain=plain))


def routed_somewhere(section: Mapping[str, Any]) -> dict[str, Any]:
    """A section without all that only names receivers, for a check of the receivers alone."""
    receivers = section.get("receivers")
    names = (
        [one.get("name") for one in receivers if isinstance(one, dict)] if isinstance(receivers, list) else []
    )
    kept = {key: section[key] for key in _OF_RECEIVERS if key in section}
    return {**kept, "route": {"receiver": names[0]}} if names else kept


def _document(
    path: Path, beside: Mapping[str, Any], where: str
) -> tuple[dict[str, Any], bool, list[Problem]]:
    """The section that a file means, whether it is plain, and what stands in the wrong place."""
    data = _read(path)
    problems = [*_misplaced(data, path), *_twice(data, beside, where), *_misquoted(path)]
    part = {**_own(data), **_own(beside)}
    whole = _with_waits({"route": {}, "receivers": [], **data})
    whole |= part or {"fleetowl": dict(OFF)}
    whole |= {key: beside[key] for key in ("external_url",) if key in beside}
    return whole, not part, problems


def load_named(section: Mapping[str, Any], where: str) -> AlertmanagerSettings:
    """The settings of a section `alertmanager` with `config_file`; `where` is the file that it stands in.

    Raises ConfigurationError with everything that is wrong in both.
    """
    problems = [
        Problem(
            where,
            f"alertmanager.{key}",
            "cannot stand beside config_file",
            f"write it into {section['config_file']}",
        )
        for key in section
        if key not in ("config_file", *_BESIDE)
    ]
    try:
        beside = {key: section[key] for key in _BESIDE if key in section}
        settings = load_file(Path(str(section["config_file"])), beside, where)
    except ConfigurationError as error:
        problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return settings


def _read(path: Path) -> dict[str, Any]:
    """The document, every scalar a text as Go takes it, but where anything may stand; paths absolute."""
    data = read_yaml(path, as_text=True, nulls=True, first=True)
    if not isinstance(data, dict):
        raise ConfigurationError([Problem(str(path), "", "is no configuration", "start with `route:`")])
    if goes_on(path):
        log.warning("%s: only the first document is read, as Alertmanager does", path)
    if any(_typed(data)):
        values = read_yaml(path, first=True)
        for (config, key), (same, _) in zip(_typed(data), _typed(values), strict=True):
            config[key] = same[key]
    whole: dict[str, Any] = without_nulls(_resolved(data, path.absolute().parent))
    return whole


def _misquoted(path: Path) -> Iterator[Problem]:
    for key in _quoted_flags(read_yaml(path, first=True)):
        yield Problem(str(path), key, "must be true or false, got a text", "leave the quotes out")


def _quoted_flags(values: Any, place: str = "") -> Iterator[str]:
    """Where a text stands for true or false, which neither Alertmanager nor amtool takes."""
    if isinstance(values, list):
        for position, item in enumerate(values):
            yield from _quoted_flags(item, f"{place}.{position}")
    elif isinstance(values, dict):
        for name, value in values.items():
            if name in _FLAGS and isinstance(value, str):
                yield f"{place}.{name}".lstrip(".")
            elif name not in _FREE:
                yield from _quoted_flags(value, f"{place}.{name}")


def _typed(data: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Where anything may stand: the mapping and its key, in the order of the file."""
    for receiver in _mappings(data, "receivers"):
        for kind, key in _TYPED.items():
            for config in _mappings(receiver, kind):
                if key in config:
                    yield config, key


def _mappings(data: Mapping[str, Any], key: str) -> Iterator[dict[str, Any]]:
    items = data.get(key)
    yield from (item for item in items if isinstance(item, dict)) if isinstance(items, list) else ()


def _resolved(data: Any, folder: Path, key: str = "") -> Any:
    """Relative files are meant from the folder of the file that names them."""
    if isinstance(data, dict):
        return {
            name: value if name in _FREE else _resolved(value, folder, str(name))
            for name, value in data.items()
        }
    if isinstance(data, list):
        return [_resolved(item, folder, key) for item in data]
    if isinstance(data, str) and data and (key.endswith("_file") or key in ("templates", "files")):
        return str(folder / data)
    return data


def _with_waits(data: dict[str, Any]) -> dict[str, Any]:
    route = data["route"]
    return {**data, "route": {**_WAITS, **route}} if isinstance(route, dict) else data


def _own(data: Mapping[str, Any]) -> dict[str, Any]:
    return {"fleetowl": data["fleetowl"]} if "fleetowl" in data else {}


def _misplaced(data: dict[str, Any], path: Path) -> Iterator[Problem]:
    for key in ("config_file", "external_url"):
        if data.pop(key, None) is not None:
            hint = "it stands in fleetowl.yml, in the section alertmanager"
            yield Problem(str(path), key, "cannot stand here", hint)


def _twice(data: Mapping[str, Any], beside: Mapping[str, Any], where: str) -> Iterator[Problem]:
    if "fleetowl" in data and "fleetowl" in beside:
        hint = "keep the one in the alertmanager.yml, or this one"
        yield Problem(where, "alertmanager.fleetowl", "stands in both files", hint)


def summary(settings: AlertmanagerSettings) -> Iterator[str]:
    """What a configuration holds, in a few lines."""
    kinds = [kind for receiver in settings.receivers for kind, _, _ in receiver.integrations()]
    used = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    yield f"receivers: {len(settings.receivers)}" + (f" ({used})" if used else "")
    yield f"routes: {sum(1 for _ in _nodes(settings.route))}"
    yield f"inhibit rules: {len(settings.inhibit_rules)}"
    yield f"time intervals: {len(settings.time_intervals) + len(settings.mute_time_intervals)}"


def _nodes(route: Any) -> Iterator[Any]:
    yield route
    for child in route.routes:
        yield from _nodes(child)
