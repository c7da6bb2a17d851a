"""Limits of a series' labels, the same for every way in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class LabelLimits(Protocol):
    """What settings of limits have in common."""

    @property
    def labels(self) -> int:
        """Labels of a series, the name included."""

    @property
    def label_name_length(self) -> int:
        """Bytes of a label's name."""

    @property
    def label_value_length(self) -> int:
        """Bytes of a label's value."""


def beyond(limits: LabelLimits, pairs: Sequence[tuple[str, str]], size: int) -> str:
    """The limit that these labels exceed, "" if none; `size`: no fewer bytes than all of them together."""
    if len(pairs) > limits.labels:
        return "label_limit"
    if size <= min(limits.label_name_length, limits.label_value_length):
        return ""  # all together are within the limit of one
    for name, value in pairs:
        if len(name.encode()) > limits.label_name_length:
            return "label_name_length_limit"
        if len(value.encode()) > limits.label_value_length:
            return "label_value_length_limit"
    return ""
