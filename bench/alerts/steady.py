"""What 50,000 alerts that go on firing cost while nothing changes: silent, and said again each minute."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.agent.processes import usage
from bench.alerts.contenders import Contender, Poster
from bench.alerts.storm import MIB, VARIANTS, batches, contender, stamped
from bench.alerts.webhook import Webhook

QUIET = 12.0
"""Until the groups have been told and nothing is due, s."""


@dataclass(frozen=True)
class Steady:
    """CPU in percent of a core, PSS in MiB, seconds."""

    silent: float
    resent: float
    """With every alert posted again once in `seconds` (asked for: a minute)."""
    repost: float
    """How long posting all of them again takes."""
    pss: float
    posts: int
    """Messages during the two measurements: there is nothing to say."""


def run(kind: type[Contender], count: int, seconds: float) -> Steady:
    """`seconds` of silence, then as long with one round of re-posts, as Prometheus does each minute."""
    bodies = [stamped(body) for body in batches(count)]
    with (
        tempfile.TemporaryDirectory(prefix="bench-steady-") as folder,
        Webhook() as hook,
        contender(kind, Path(folder), hook.url, VARIANTS[0]) as process,
    ):
        poster = process.connection()
        for body in bodies:
            poster.post(body)
        time.sleep(QUIET)
        posts = hook.count()
        silent, _ = _share(process, seconds, poster, [])
        resent, took = _share(process, seconds, poster, bodies)
        poster.close()
        return Steady(silent, resent, took, usage(process.pid).pss_mb * 1e6 / MIB, hook.count() - posts)


def _share(process: Contender, seconds: float, poster: Poster, bodies: list[bytes]) -> tuple[float, float]:
    before, began = process.cpu(), time.monotonic()
    for body in bodies:
        poster.post(body)
    took = time.monotonic() - began
    time.sleep(max(0.0, seconds - took))
    return 100 * (process.cpu() - before) / (time.monotonic() - began), took
