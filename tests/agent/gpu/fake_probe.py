"""A probe of a few lines, for the tests of the client: speaks the protocol and misbehaves as told.

Its arguments are names of faults, with a number where one is wanted.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any


def say(message: Mapping[str, Any]) -> None:
    """One line on stdout."""
    os.write(1, json.dumps(message).encode() + b"\n")


def main(faults: Mapping[str, float]) -> int:
    """Answer until told otherwise."""
    if "complain" in faults:
        os.write(2, b"ImportError: no pynvml\n")
        return 1
    if "chatter" in faults:
        os.write(1, b"a library prints on stdout\n" * 3)
    for count, line in enumerate(sys.stdin):
        request = json.loads(line)
        if request["do"] == "sweep":
            status = sweep(count, request["number"], faults)
            if status is not None:
                return status
        elif "stubborn" not in faults:
            say({"say": "released", "reason": ""})
            return 0
    return 0


def sweep(count: int, number: int, faults: Mapping[str, float]) -> int | None:
    """Answer, or not; a status to exit with."""
    if count >= faults.get("status-after", 1e9):
        return int(faults["status"])
    if count >= faults.get("silent-after", 1e9):
        return None
    if count >= faults.get("crash-after", 1e9):
        os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(faults.get("slow", 0.0))
    if "event" in faults:
        say({"say": "event", "kind": "xid", "uuid": "GPU-0", "code": int(faults["event"])})
    say({"say": "sweep", "number": number, "state": "ready"})
    return None


def linger() -> None:
    """As a probe whose thread is in a driver call: deaf to SIGTERM, and there when the agent is gone."""
    for _ in range(400):
        time.sleep(0.05)


if __name__ == "__main__":
    told = (argument.partition("=") for argument in sys.argv[1:])
    faults = {name: float(number or 1) for name, _, number in told}
    if "stubborn" in faults:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    status = main(faults)
    if "stubborn" in faults:
        linger()
    sys.exit(status)
