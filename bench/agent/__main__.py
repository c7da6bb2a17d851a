"""What the agent costs and how soon it speaks, with GPUs that a stub of the driver plays.

    python -m bench.agent [cost] [event] [hang] [growth]    # all four without a name
                          [--seconds 60] [--gpus 8] [--engines 8] [--interval 1s]

The agent runs as it does in production: its own processes, a 1 s interval, pushing to an analyzer that only
counts, scraping engines that answer a page like vLLM's. The peer, Debian's prometheus-node-exporter, is
scraped in the same second of the same run; it collects more host families and no GPU, and pushes nothing: the
comparison is of what watching a node costs, not of equal work. The stub answers in microseconds; what a real
driver's calls cost stands in docs/nvml.md. Memory is PSS of all processes in MB (10^6).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import tempfile
from pathlib import Path

from bench.agent import cost, growth, hang, latency

PARTS = ("cost", "event", "hang", "growth")


async def run(options: argparse.Namespace) -> bool:
    met = []
    with tempfile.TemporaryDirectory(prefix="bench-agent-") as folder:
        place = Path(folder)
        for part in options.parts or PARTS:
            if part == "cost":
                met.append(
                    await cost.bench(options.seconds, options.gpus, options.engines, place, options.interval)
                )
            elif part == "event":
                met.append(await latency.bench(options.xids, place))
            elif part == "hang":
                met.append(await hang.bench(options.hang_seconds, place))
            else:
                met.append(await growth.bench(options.hangs, place))
    return all(met)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.agent",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all without a name")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the cost measurement")
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--engines", type=int, default=8, help="engines that the agent scrapes")
    parser.add_argument("--interval", default="1s", help="of the agent in the cost measurement")
    parser.add_argument("--xids", type=int, default=20, help="XIDs of the event measurement")
    parser.add_argument("--hang-seconds", type=float, default=120.0)
    parser.add_argument("--hangs", type=int, default=100)
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown part {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    print(f"host: {os.cpu_count()} CPUs {platform.machine()}, Python {platform.python_version()}")
    sys.exit(0 if asyncio.run(run(options)) else 1)


if __name__ == "__main__":
    main()
