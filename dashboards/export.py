"""Hands out the committed dashboards; needs nothing but the files."""

from __future__ import annotations

from pathlib import Path

FLEET = Path(__file__).parent / "fleet.json"
DASHBOARDS = (FLEET,)


def write(directory: Path) -> list[Path]:
    """Copy every dashboard into `directory`, which is made if need be; returns what was written.

    For Grafana's import page or its file provisioning. Raises OSError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for source in DASHBOARDS:
        path = directory / source.name
        path.write_bytes(source.read_bytes())
        written.append(path)
    return written
