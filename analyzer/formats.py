"""How Prometheus' HTTP API spells values, samples and errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from aiohttp import web

from model.labels import Labels
from rules.promql.frame import Floats, Integers


def format_value(value: float) -> str:
    """A sample's value as Go's FormatFloat(v, 'f', -1, 64) writes it.

    >>> format_value(1e21), format_value(0.1), format_value(float("-inf")), format_value(3.0)
    ('1000000000000000000000', '0.1', '-Inf', '3')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    if "e" in text:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")


def format_sample(labels: Labels, at: int, value: float) -> dict[str, Any]:
    """One element of a vector. `at` in ms."""
    return {"metric": dict(labels), "value": [at / 1000, format_value(value)]}


def format_series(labels: Labels, times: Integers, values: Floats) -> dict[str, Any]:
    """One element of a matrix. `times` in ms."""
    points = zip(times.tolist(), values.tolist(), strict=True)
    return {"metric": dict(labels), "values": [[at / 1000, format_value(value)] for at, value in points]}


def success(data: Any, warnings: list[str] | None = None) -> web.Response:
    """The envelope of a good answer."""
    body: dict[str, Any] = {"status": "success", "data": data}
    if warnings:
        body["warnings"] = warnings
    return web.json_response(body)


async def parameters(request: web.Request) -> Mapping[str, str]:
    """Query parameters, those of a POST form included."""
    if request.method == "POST":
        form = await request.post()
        return {**request.query, **{key: value for key, value in form.items() if isinstance(value, str)}}
    return dict(request.query)
