"""What becomes of storms of alerts, beside the real Alertmanager in the same run.

    python -m bench.alerts [--only storm|steady|streams] [--streams DIR] [--json]

storm: 50,000 distinct alerts by API on a real `fleetowl analyzer` and on Debian's prometheus-alertmanager,
one P0 in their middle. steady: what they cost while they go on firing. streams: alerts with their true faults
(generated, or JSON lines `{at, alert, fault}` from DIR) through Fleetowl's default configuration in virtual
time and through Alertmanager, with the best configuration that we could write, in compressed real time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

from bench.alerts import comparison, steady, storm
from bench.alerts.contenders import Contender, Fleetowl, RealAlertmanager

PARTS = ("storm", "steady", "streams")
SIDES: tuple[type[Contender], ...] = (Fleetowl, RealAlertmanager)
MIB = 1 << 20


def bench_storm(variants: int) -> dict[str, Any]:
    """Print the table of each variant."""
    figures: dict[str, Any] = {}
    for number, variant in enumerate(storm.VARIANTS[:variants]):
        found = {side.name: storm.run(side, variant) for side in SIDES}
        print(f"storm: {variant.name}, by API in batches of {storm.BATCH}, group_wait 1s, group_interval 5s")
        print(f"  {'':34}{'Fleetowl':>12}{'Alertmanager':>14}   aim")
        aimed = number == 0
        rows: list[tuple[str, str, float | None]] = [
            ("accepted", "s", 5.0),
            ("first_p0", "s", 2.0),
            ("delivered", "s", 10.0),
            ("growth", "MiB", 250.0),
            ("largest", "B", 65536.0),
            ("peak_pss", "MiB", None),
            ("peak_rss", "MiB", None),
            ("idle_pss", "MiB", None),
            ("posts", "", None),
            ("posting_cpu", "s", None),
            ("cpu", "s", None),
        ]
        for name, unit, aim in rows:
            values = [getattr(one, name) for one in found.values()]
            title = f"{name} ({unit})" if unit else name
            print(f"  {title:34}{_cells(values)}   {_aim(values[0], aim, aimed)}")
            for side, value in zip(found, values, strict=True):
                figures[f"storm{number}_{side.lower()}_{name}"] = value
    return figures


def _cells(values: list[float | None]) -> str:
    words = ["never" if value is None else f"{value:,.2f}".removesuffix(".00") for value in values]
    return f"{words[0]:>12}{words[1]:>14}"


def _aim(value: float | None, aim: float | None, aimed: bool) -> str:
    if aim is None or not aimed:
        return ""
    return f"<= {aim:g}: {'met' if value is not None and value <= aim else 'MISSED'}"


def bench_steady(count: int, seconds: float) -> dict[str, Any]:
    """Print what nothing costs."""
    found = {side.name: steady.run(side, count, seconds) for side in SIDES}
    print(f"steady: {count} firing in groups of {storm.PER_GROUP}, no change, {seconds:g} s each")
    print(f"  {'':34}{'Fleetowl':>12}{'Alertmanager':>14}   aim")
    figures: dict[str, Any] = {}
    titles = {
        "silent": "CPU, nothing posted (% of a core)",
        "resent": "CPU, all posted once (%)",
        "repost": "posting them again (s)",
        "pss": "PSS (MiB)",
        "posts": "messages",
    }
    for name, title in titles.items():
        values = [getattr(one, name) for one in found.values()]
        aim = _aim(values[0], round(values[1], 2), True) if name in ("silent", "resent") else ""
        print(f"  {title:34}{_cells(values)}   {aim}")
        for side, value in zip(found, values, strict=True):
            figures[f"steady_{side.lower()}_{name}"] = value
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.alerts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", choices=PARTS, action="append", help="of the three; may come twice")
    parser.add_argument("--streams", type=Path, metavar="DIR", help="only the streams of this folder")
    parser.add_argument("--json", action="store_true", help="the last line is all figures as one object")
    parser.add_argument("--variants", type=int, default=1, help="storms: 1 is the main one, 3 all groupings")
    parser.add_argument("--alerts", type=int, default=50_000, help="of the steady measurement")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each steady measurement")
    parser.add_argument("--factor", type=float, default=comparison.FACTOR, help="compression of the replays")
    parser.add_argument("--seed", type=int, default=1, help="of the generated streams")
    parser.add_argument("--no-peer", action="store_true", help="streams without the real Alertmanager")
    parser.add_argument("--no-ablation", action="store_true", help="streams with all stages only")
    asked = parser.parse_args()
    parts = asked.only or (("streams",) if asked.streams else PARTS)
    print(f"host: {os.cpu_count()} CPUs {platform.machine()}, Python {platform.python_version()}")
    figures: dict[str, Any] = {}
    if "storm" in parts:
        figures |= bench_storm(asked.variants)
    if "steady" in parts:
        figures |= bench_steady(asked.alerts, asked.seconds)
    if "streams" in parts:
        figures |= comparison.bench(
            asked.streams, asked.seed, asked.factor, not asked.no_peer, not asked.no_ablation
        )
    if asked.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
