"""The kubelet's list of pods read as engines: those whose annotations ask for it.

Anybody who may make a pod may write its annotations. So they choose a port and a path of their own pod, never
a host; redirects of it are not followed, and it is sent no credentials.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from agent.engines.found import DiscoveryFailed, Findings, Found, Refused
from agent.engines.settings import EngineSettings

OURS, PROMETHEUS = "fleetowl.io/", "prometheus.io/"
"""Prefixes of the annotations `scrape`, `port`, `path`, `scheme` and `job`; ours win."""

_NAME_LABELS = ("app.kubernetes.io/name", "app")
_VERSION_LABEL = "app.kubernetes.io/version"
_LONGEST = 200
_PATH = re.compile(r"/[!-~]*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_NO_VERSION = ("", "latest")


class _Unfit(Exception):
    """The pod asks to be scraped, but not so that it can be."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason


def engines_of(body: bytes) -> Findings:
    """The engines in a PodList. Raises DiscoveryFailed if it is none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DiscoveryFailed("malformed", "no JSON") from error
    pods = document.get("items") if isinstance(document, dict) else None
    if not isinstance(pods, list):
        raise DiscoveryFailed("malformed", "no list of pods")
    engines, refused = [], []
    for pod in pods:
        try:
            found = _engine_of(_map(pod))
        except _Unfit as unfit:
            refused.append(Refused(_who(_map(pod)), unfit.reason, str(unfit)))
        else:
            engines += [found] if found is not None else []
    return Findings(tuple(engines), tuple(refused))


def _engine_of(pod: Mapping[str, Any]) -> Found | None:
    """None if it asks for nothing, or does not run."""
    metadata, spec, status = _map(pod.get("metadata")), _map(pod.get("spec")), _map(pod.get("status"))
    notes = _map(metadata.get("annotations"))
    if _note(notes, "scrape").lower() != "true" or status.get("phase") != "Running":
        return None
    containers = [_map(each) for each in _list(spec.get("containers"))]
    port = _port(notes, containers)
    first = containers[0] if containers else {}
    container = next((each for each in containers if port in _ports(each)), first)
    url = f"{_scheme(notes)}://{_address(status)}:{port}{_path(notes)}"
    labels = _map(metadata.get("labels"))
    service = next((labels[name] for name in _NAME_LABELS if labels.get(name)), "")
    name = str(container.get("name", ""))
    own = {
        "namespace": metadata.get("namespace"),
        "pod": metadata.get("name"),
        "container": name,
        "service": service,
        "replica": metadata.get("name"),
        "version": labels.get(_VERSION_LABEL) or _tag(str(container.get("image", ""))),
    }
    try:
        settings = EngineSettings(
            job=_text(_note(notes, "job") or service or name or "pods"),
            url=url,
            labels={key: _text(value) for key, value in own.items() if value},
            follow_redirects=False,
            trusted=False,
        )
    except ValidationError as error:
        raise _Unfit("invalid", f"{url} cannot be scraped") from error
    return Found(("pod", str(metadata.get("uid")), port), settings, _started(status, name))


def _note(notes: Mapping[str, Any], name: str) -> str:
    value = notes.get(OURS + name, notes.get(PROMETHEUS + name, ""))
    return value.strip() if isinstance(value, str) else ""


def _port(notes: Mapping[str, Any], containers: Iterable[Mapping[str, Any]]) -> int:
    """The annotated port, else the only one that the pod declares."""
    text = _note(notes, "port")
    if text:
        if not (_PORT.fullmatch(text) and int(text) <= 65_535):
            raise _Unfit("invalid_port", f"its annotation port is {text[:40]!r}: write a number")
        return int(text)
    declared = [port for container in containers for port in _ports(container)]
    if len(declared) != 1:
        raise _Unfit("no_port", f"it declares {len(declared)} ports: annotate {PROMETHEUS}port")
    return declared[0]


def _ports(container: Mapping[str, Any]) -> list[int]:
    declared = [_map(each) for each in _list(container.get("ports"))]
    return [
        each["containerPort"]
        for each in declared
        if each.get("protocol", "TCP") == "TCP" and isinstance(each.get("containerPort"), int)
    ]


def _scheme(notes: Mapping[str, Any]) -> str:
    scheme = _note(notes, "scheme").lower() or "http"
    if scheme not in ("http", "https"):
        raise _Unfit("invalid", f"its annotation scheme is {scheme[:40]!r}: write http or https")
    return scheme


def _path(notes: Mapping[str, Any]) -> str:
    path = _note(notes, "path") or "/metrics"
    path = path if path.startswith("/") else f"/{path}"
    if not _PATH.fullmatch(path) or len(path) > 1000:
        raise _Unfit("invalid", f"its annotation path is {path[:80]!r}")
    return path


def _address(status: Mapping[str, Any]) -> str:
    text = str(status.get("podIP") or "")
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise _Unfit("no_address", "it has no address yet") from error
    return f"[{address}]" if address.version == 6 else str(address)


def _started(status: Mapping[str, Any], container: str) -> float | None:
    for each in map(_map, _list(status.get("containerStatuses"))):
        if each.get("name") == container:
            text = _map(_map(each.get("state")).get("running")).get("startedAt")
            try:
                return datetime.fromisoformat(str(text)).timestamp()
            except ValueError:
                return None
    return None


def _tag(image: str) -> str:
    """The tag of an image.

    >>> _tag("registry:5000/vllm/vllm-openai:v0.32.0@sha256:ab"), _tag("registry:5000/x"), _tag("x:latest")
    ('v0.32.0', '', '')
    """
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    return "" if tag in _NO_VERSION else tag


def _who(pod: Mapping[str, Any]) -> str:
    metadata = _map(pod.get("metadata"))
    return _text(f"{metadata.get('namespace')}/{metadata.get('name')}")


def _text(value: object) -> str:
    return "".join(sign for sign in str(value) if sign.isprintable())[:_LONGEST]


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
