"""How well the detectors find what is labelled or injected, beside controls and other libraries' detectors.

    python -m bench.detection --data DIR [--suite nab] [--suite smd] ... [--json] [--seed N] [--jobs 2]

DIR is the parent of nab/, smd/, asd/ and mscloud/; any directory in the same format does, whatever its
files are called and however many and long they are. Without --suite all suites run. Every threshold is the
product's own, a score above 1, fixed before anything is scored; what is picked on the scored data stands
beside it and is called `optimised`, `*` or `oracle`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.detection.labelled.source import BadData
from bench.detection.suites import injected, machines, mscloud, nab, quiet
from bench.detection.table import Figures
from bench.detection.workers import MOST

Suite = Callable[[Path, list[int], int], Figures]
SUITES: dict[str, Suite] = {
    "nab": nab.run,
    "smd": machines.smd,
    "asd": machines.asd,
    "mscloud": mscloud.run,
    "injected": injected.run,
    "quiet": quiet.run,
}
SEEDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.detection",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--suite", choices=SUITES, action="append", help="may come several times")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="the parent of nab/, smd/, ..."
    )
    parser.add_argument("--json", action="store_true", help="the last line is all figures as one object")
    parser.add_argument("--seed", type=int, default=1, help=f"the first of {SEEDS}")
    parser.add_argument(
        "--jobs", type=int, default=2, choices=range(1, MOST + 1), help=f"processes, at most {MOST}"
    )
    asked = parser.parse_args()
    print(f"host: {os.cpu_count()} CPUs {platform.machine()}, Python {platform.python_version()}")
    figures: Figures = {}
    for name in asked.suite or SUITES:
        begun = time.monotonic()
        try:
            figures |= SUITES[name](asked.data, list(range(asked.seed, asked.seed + SEEDS)), asked.jobs)
        except BadData as problem:
            print(f"bench.detection: {problem}", file=sys.stderr)
            sys.exit(2)
        print(f"\n{name}: {time.monotonic() - begun:.0f} s")
    if asked.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
