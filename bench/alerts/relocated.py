"""Debian's prometheus-alertmanager where its package is only unpacked, not installed.

Its binary opens its templates at a fixed path. In the copy made here that path leads to the working
directory, whose templates `command` puts beside the configuration.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

_BUILT_IN = b"/usr/share/prometheus/alertmanager"
_RELATIVE = b"." + b"/" * (len(_BUILT_IN) - 1)


def command(folder: Path) -> str:
    """What to start with `folder` as the working directory. Raises FileNotFoundError if it is not here."""
    binary = shutil.which("prometheus-alertmanager")
    if binary is None:
        raise FileNotFoundError("prometheus-alertmanager is not here: `make peers` fetches it")
    if (Path(_BUILT_IN.decode()) / "default.tmpl").exists():
        return binary
    for template in (Path(binary).parents[1] / "share/prometheus/alertmanager").glob("*.tmpl"):
        shutil.copy(template, folder)
    return _copy(binary)


@lru_cache
def _copy(binary: str) -> str:
    folder = tempfile.mkdtemp(prefix="relocated-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copy = Path(folder) / "prometheus-alertmanager"
    copy.write_bytes(Path(binary).read_bytes().replace(_BUILT_IN, _RELATIVE))
    copy.chmod(0o755)
    return str(copy)
