"""Node objects as Kubernetes keeps them: which fields there are, how patches change them, what is valid.

The three patch types differ where it hurts: a merge patch replaces every list, so it wipes the other
conditions; a strategic patch merges conditions and addresses by type, but taints stay one atomic list;
a failed JSON patch `test` is 422, while a stale metadata.resourceVersion is 409.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

Document = dict[str, Any]

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON = "application/json-patch+json"

_MERGED_BY_TYPE = {("status", "conditions"), ("status", "addresses")}
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_ANY: Document = {}
_SCHEMA: Document = {
    "apiVersion": None,
    "kind": None,
    "metadata": {
        "name": None,
        "generateName": None,
        "namespace": None,
        "uid": None,
        "resourceVersion": None,
        "generation": None,
        "creationTimestamp": None,
        "deletionTimestamp": None,
        "labels": _ANY,
        "annotations": _ANY,
        "finalizers": None,
        "ownerReferences": _ANY,
        "managedFields": _ANY,
    },
    "spec": {
        "podCIDR": None,
        "podCIDRs": None,
        "providerID": None,
        "unschedulable": None,
        "taints": {"key": None, "value": None, "effect": None, "timeAdded": None},
    },
    "status": {
        "capacity": _ANY,
        "allocatable": _ANY,
        "phase": None,
        "conditions": {
            "type": None,
            "status": None,
            "reason": None,
            "message": None,
            "lastHeartbeatTime": None,
            "lastTransitionTime": None,
        },
        "addresses": {"type": None, "address": None},
        "daemonEndpoints": _ANY,
        "nodeInfo": _ANY,
        "images": _ANY,
        "volumesInUse": None,
        "volumesAttached": _ANY,
        "runtimeHandlers": _ANY,
        "features": _ANY,
    },
}


class Refused(Exception):
    """A request that the API server refuses, with the HTTP status and the reason as Kubernetes says it."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message

    def status(self) -> Document:
        """The Status object of the answer."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }


def patched(document: Document, patch: Any, patch_type: str) -> Document:
    """A changed copy. Raises Refused (400 not a patch, 415 unknown type, 422 a JSON patch that fails)."""
    if patch_type == JSON:
        return _json_patched(document, patch)
    if patch_type not in (MERGE, STRATEGIC):
        raise Refused(415, "UnsupportedMediaType", f"the patch type {patch_type!r} is not supported")
    if not isinstance(patch, dict):
        raise Refused(400, "BadRequest", "the patch is not an object")
    result = copy.deepcopy(document)
    _merge(result, patch, (), patch_type == STRATEGIC)
    return result


def _merge(into: Document, patch: Document, path: tuple[str, ...], strategic: bool) -> None:
    for key, value in patch.items():
        here = (*path, key)
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict):
            inner = into.setdefault(key, {})
            if not isinstance(inner, dict):
                inner = into[key] = {}
            _merge(inner, value, here, strategic)
        elif strategic and here in _MERGED_BY_TYPE and isinstance(value, list):
            into[key] = _merged_by_type(into.get(key) or [], value)
        else:
            into[key] = copy.deepcopy(value)


def _merged_by_type(present: Sequence[Document], patch: Sequence[Document]) -> list[Document]:
    merged = {item["type"]: dict(item) for item in present}
    for item in patch:
        if not isinstance(item, dict) or "type" not in item:
            raise Refused(400, "BadRequest", "map does not contain the declared merge key: type")
        merged.setdefault(item["type"], {}).update(item)
    return list(merged.values())


def _json_patched(document: Document, patch: Any) -> Document:
    if not isinstance(patch, list):
        raise Refused(400, "BadRequest", "a JSON patch is a list of operations")
    result = copy.deepcopy(document)
    for operation in patch:
        try:
            _operate(result, operation)
        except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
            message = f"the operation {operation!r} cannot be applied: {error}"
            raise Refused(422, "Invalid", message) from error
    return result


def _operate(document: Document, operation: Document) -> None:
    *parents, last = (
        part.replace("~1", "/").replace("~0", "~") for part in operation["path"].lstrip("/").split("/")
    )
    holder: Any = document
    for part in parents:
        holder = holder[int(part) if isinstance(holder, list) else part]
    key: Any = last if isinstance(holder, dict) else len(holder) if last == "-" else int(last)
    match operation["op"]:
        case "test":
            if holder[key] != operation["value"]:
                raise ValueError(f"test failed, it is {holder[key]!r}")
        case "add" if isinstance(holder, list):
            holder.insert(key, operation["value"])
        case "add":
            holder[key] = operation["value"]
        case "replace" if isinstance(holder, list) or key in holder:
            holder[key] = operation["value"]
        case "remove":
            del holder[key]
        case other:
            raise ValueError(f"there is nothing to {other} at {operation['path']}")


def unknown_fields(document: Document) -> list[str]:
    """Dotted names of what no Node has, in the order met."""
    return list(_unknown(document, _SCHEMA, ""))


def _unknown(value: Any, schema: Document, path: str) -> Iterator[str]:
    for key, inner in value.items():
        here = f"{path}{key}"
        if key not in schema:
            yield here
            continue
        known = schema[key]
        if known is None or known is _ANY:
            continue
        if isinstance(inner, dict):
            yield from _unknown(inner, known, f"{here}.")
        elif isinstance(inner, list):
            for index, item in enumerate(inner):
                if isinstance(item, dict):
                    yield from _unknown(item, known, f"{here}[{index}].")


def without_unknown(document: Document) -> Document:
    """A copy without what no Node has (what the server stores unless told to be strict)."""
    return {key: _pruned(value, _SCHEMA[key]) for key, value in document.items() if key in _SCHEMA}


def _pruned(value: Any, schema: Document | None) -> Any:
    if schema is None or schema is _ANY:
        return copy.deepcopy(value)
    if isinstance(value, list):
        return [_pruned(item, schema) if isinstance(item, dict) else item for item in value]
    return {key: _pruned(inner, schema[key]) for key, inner in value.items() if key in schema}


def check(document: Document) -> None:
    """Raise Refused (422) for what a Node may not be."""
    name = document["metadata"]["name"]
    seen = set()
    for index, taint in enumerate(document["spec"].get("taints") or []):
        where = f'Node "{name}" is invalid: spec.taints[{index}]'
        if not isinstance(taint, dict) or not taint.get("key"):
            raise Refused(422, "Invalid", f"{where}.key: Required value")
        if taint.get("effect") not in _EFFECTS:
            raise Refused(422, "Invalid", f"{where}.effect: Unsupported value: {taint.get('effect')!r}")
        pair = (taint["key"], taint["effect"])
        if pair in seen:
            raise Refused(
                422, "Invalid", f"{where}: Duplicate value: taints must be unique by key and effect pair"
            )
        seen.add(pair)
    if not isinstance(document["spec"].get("unschedulable", False), bool):
        raise Refused(400, "BadRequest", "spec.unschedulable: cannot unmarshal into a bool")
    for field in ("labels", "annotations"):
        for key, value in document["metadata"].get(field, {}).items():
            if not isinstance(value, str):
                raise Refused(400, "BadRequest", f"metadata.{field}.{key}: cannot unmarshal into a string")
