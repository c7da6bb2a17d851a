"""Which series deserve a score, and whether as they are or as a rate.

Not scored: buckets (their sum and count are), creation times, info metrics (always 1), points in time (they
only grow, and their growth says nothing), what tells of the scrape itself, and Fleetowl's own.
"""

from __future__ import annotations

import re
from enum import IntEnum


class Kind(IntEnum):
    """How the samples of a metric are scored."""

    NEVER = 0
    GAUGE = 1  # as they are
    COUNTER = 2  # as rate per second


_NEVER = re.compile(
    r"(?:fleetowl_|scrape_).*|up|ALERTS|ALERTS_FOR_STATE"
    r"|.*_(?:bucket|created|info)"
    r"|.*_timestamp(?:_seconds|_ms|_milliseconds)?"
    r"|.*_(?:start|boot|completion|creation|modification|deletion|expiration)_time(?:_seconds|_ms)?"
    r"|.*_last_\w*(?:time|success|failure)_seconds|node_time_seconds"
)
_COUNTER = re.compile(r".*_(?:total|count|sum)")


def kind_of(name: str, metric_type: str) -> Kind:
    """How to score a metric of this name and type (as after `# TYPE`).

    >>> kind_of("node_load1", "gauge"), kind_of("vllm:generation_tokens_total", "counter")
    (<Kind.GAUGE: 1>, <Kind.COUNTER: 2>)
    >>> kind_of("process_start_time_seconds", "gauge")
    <Kind.NEVER: 0>
    """
    if not name or _NEVER.fullmatch(name):
        return Kind.NEVER
    if metric_type == "counter":
        return Kind.COUNTER
    # Sum and count of histograms and summaries are counters; without a type the suffix has to tell.
    if metric_type != "gauge" and _COUNTER.fullmatch(name):
        return Kind.COUNTER
    return Kind.GAUGE
