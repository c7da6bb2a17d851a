"""Analyzers that start fast, to be killed: one process imports everything, each life is a fork of it.

    python tests/acceptance/nursery.py CONFIGURATION < commands > pids

For each line on standard input a new analyzer starts; its process id is written when it has been forked, and
`up` when it listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

import yaml

from analyzer.central import CentralSettings
from analyzer.service import Analyzer
from model.settings import load_section


async def live(settings: CentralSettings) -> None:
    analyzer = Analyzer(settings, lambda: settings, "0.0.0")
    await analyzer.start()
    print("up", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    with open(sys.argv[1]) as file:
        settings = load_section(CentralSettings, yaml.safe_load(file), sys.argv[1])
    print("ready", flush=True)
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            with contextlib.suppress(KeyboardInterrupt):
                asyncio.run(live(settings))
            os._exit(0)
        print(child, flush=True)
        os.waitpid(child, 0)
        print("gone", flush=True)


if __name__ == "__main__":
    main()
