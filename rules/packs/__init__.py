"""The shipped rule packs: plain Prometheus rule files, with a side file where Fleetowl knows more.

Beside each `<pack>.rules.yml` lies `<pack>.test.yml`, its unit tests as promtool reads them. The files in
`profiles/` are not packs: each records the service objectives of one size of cluster, and one of them runs.
"""

from __future__ import annotations

from pathlib import Path

PROFILES = ("small", "medium", "large")
"""The sizes of clusters whose objectives are shipped: up to 64 GPUs, up to 400, above."""

_HERE = Path(__file__).parent


def shipped(profile: str = PROFILES[0]) -> list[Path]:
    """The rule files that come with Fleetowl, in a stable order, the objectives of `profile` last.

    The packs themselves assume those of the first profile, so it needs no file.
    """
    packs = sorted(_HERE.glob("*.rules.yml"))
    return packs if profile == PROFILES[0] else [*packs, _HERE / "profiles" / f"{profile}.rules.yml"]


def unit_tests() -> list[Path]:
    """The promtool unit tests of the shipped packs, in a stable order."""
    return sorted(_HERE.glob("*.test.yml"))
