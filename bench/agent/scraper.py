"""Scrapes a URL again and again from a process of its own, so that what else the bench does is not measured.

    python -m bench.agent.scraper HOST:PORT TIMES

Prints one JSON object: median and p99 of the answers in ms, from the request to the last byte.
"""

from __future__ import annotations

import json
import sys
import time
from http.client import HTTPConnection

_PAUSE = 0.023  # seconds; no divisor of a beat, so that beats and scrapes meet


def main() -> None:
    address, times = sys.argv[1], int(sys.argv[2])
    connection = HTTPConnection(address, timeout=10)
    took = []
    for _ in range(times):
        began = time.perf_counter()
        connection.request("GET", "/metrics")
        connection.getresponse().read()
        took.append((time.perf_counter() - began) * 1000)
        time.sleep(_PAUSE)
    took.sort()
    print(json.dumps({"median": took[times // 2], "p99": took[int(0.99 * times)]}))


if __name__ == "__main__":
    main()
