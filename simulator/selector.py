"""Label and field selectors of list requests, as the Kubernetes API reads them."""

from __future__ import annotations

import re
from typing import Any

from simulator.node_document import Document, Refused

_SET = re.compile(r"(?P<key>\S+)\s+(?P<op>in|notin)\s+\((?P<values>[^)]*)\)")
_EQUALITY = re.compile(r"(?P<key>[^=!]+?)\s*(?P<op>==|!=|=)\s*(?P<value>[^=!]*)")
_TERMS = re.compile(r",(?![^(]*\))")


def matches_labels(selector: str, item: Document) -> bool:
    """Whether the labels of `item` satisfy every term. Raises Refused (400) for a term that is none."""
    labels = item["metadata"].get("labels", {})
    return all(_label_term(term.strip(), labels) for term in _TERMS.split(selector) if term.strip())


def _label_term(term: str, labels: dict[str, str]) -> bool:
    if found := _SET.fullmatch(term):
        inside = labels.get(found["key"]) in [value.strip() for value in found["values"].split(",")]
        return inside if found["op"] == "in" else not inside
    if found := _EQUALITY.fullmatch(term):
        equal = labels.get(found["key"]) == found["value"].strip()
        return not equal if found["op"] == "!=" else equal
    if re.fullmatch(r"!?[\w./-]+", term):
        return term.removeprefix("!") not in labels if term.startswith("!") else term in labels
    raise Refused(400, "BadRequest", f"unable to parse requirement: {term!r}")


def matches_fields(selector: str, item: Document) -> bool:
    """Whether the fields of `item` satisfy every term (`spec.nodeName=x,status.phase!=Failed`)."""
    for term in filter(None, (part.strip() for part in selector.split(","))):
        found = _EQUALITY.fullmatch(term)
        if found is None:
            raise Refused(400, "BadRequest", f"invalid field selector: {term!r}")
        equal = _field(item, found["key"]) == found["value"].strip()
        if equal == (found["op"] == "!="):
            return False
    return True


def _field(item: Any, path: str) -> str:
    for part in path.split("."):
        item = item.get(part, "") if isinstance(item, dict) else ""
    return str(item).lower() if isinstance(item, bool) else str(item)
