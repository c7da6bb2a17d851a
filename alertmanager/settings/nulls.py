"""Keys without a value, as Alertmanager takes them: as if they were not there.

In Fleetowl's own part a null says something: that there is no such limit.
"""

from __future__ import annotations

from typing import Any

_REGEXPS = frozenset({"match_re", "source_match_re", "target_match_re"})
_OWN = "fleetowl"
_TEXTS = frozenset({"match", "source_match", "target_match"})


def without_nulls(data: Any) -> Any:
    """`data` without its empty keys. An empty equality is one with "", an empty regular expression stays."""
    if isinstance(data, list):
        return [without_nulls(item) for item in data]
    if not isinstance(data, dict):
        return data
    clean = {}
    for key, value in data.items():
        if key in _TEXTS and isinstance(value, dict):
            clean[key] = {name: "" if text is None else text for name, text in value.items()}
        elif key == _OWN or key in _REGEXPS:
            clean[key] = {} if value is None else value
        elif value is not None:
            clean[key] = without_nulls(value)
    return clean
