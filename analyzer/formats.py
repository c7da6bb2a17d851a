"""How Prometheus' HTTP API spells values, moments, series and answers.

Sources: prometheus/prometheus util/jsonutil and web/api/v1/json_codec.go, rules (FormatFloat 'e').
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from aiohttp import web

from model.labels import Labels
from model.moment import SECOND, format_moment
from telemetry.bits import Floats

NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time: what Prometheus writes for a moment that has not come yet."""

encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""Compact JSON; one encoder, for building one costs more than encoding a label set."""


def format_value(value: float) -> str:
    """A sample's value: Go's FormatFloat(v, 'f', -1, 64), and with 'e' below 1e-6 and from 1e21 on.

    >>> format_value(1e21), format_value(1e20), format_value(1.5e-5), format_value(1e-7), format_value(3.0)
    ('1e+21', '100000000000000000000', '0.000015', '1e-07', '3')
    """
    text = repr(value)
    if text.endswith(".0"):
        return text[:-2]
    if "e" in text:
        return format(Decimal(text), "f") if 1e-6 <= abs(value) < 1e21 else text
    return _SPECIAL.get(text, text)


_SPECIAL = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}


def format_seconds(milliseconds: int) -> str:
    """A sample's time.

    >>> format_seconds(4000), format_seconds(4050), format_seconds(-1)
    ('4', '4.050', '-0.001')
    """
    sign, rest = ("-", -milliseconds) if milliseconds < 0 else ("", milliseconds)
    whole, fraction = divmod(rest, SECOND)
    return f"{sign}{whole}.{fraction:03d}" if fraction else f"{sign}{whole}"


def format_when(milliseconds: int) -> str:
    """A moment as RFC 3339; 0 is never."""
    return format_moment(milliseconds) if milliseconds else NEVER


def format_metric(labels: Labels) -> str:
    """A label set as a JSON object."""
    return encode(dict(labels.pairs))


def format_sample(labels: Labels, at: str, value: float) -> str:
    """One element of a vector, as JSON; `at` as format_seconds spells it."""
    return f'{{"metric":{format_metric(labels)},"value":[{at},"{format_value(value)}"]}}'


def format_series(labels: Labels, heads: Sequence[str], values: Floats) -> str:
    """One element of a matrix, as JSON. `heads` are what stands before the values, as `head` makes them."""
    sizes = np.abs(values)
    plain = ((sizes >= 1e-4) & (sizes < 1e16)) | (sizes == 0)
    # repr and Go agree on such numbers but for the fraction of what is whole: it goes all at once.
    write = repr if plain.all() else format_value
    pairs = zip(heads, values.tolist(), strict=True)
    points = ",".join([f'{before}{write(value)}"]' for before, value in pairs]).replace('.0"', '"')
    return f'{{"metric":{format_metric(labels)},"values":[{points}]}}'


def head(at: int) -> str:
    """What stands before the value of a point: the same for all series of a range query."""
    return f'[{format_seconds(at)},"'


def success(data: Any) -> web.Response:
    """A good answer around small data."""
    return web.json_response({"status": "success", "data": data}, dumps=encode)
