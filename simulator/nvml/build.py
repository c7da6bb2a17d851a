"""Compiles the stub driver with the machine's gcc, once for each content, into a folder of the caller's.

Variants: all calls, without some of them (an old driver: the symbols are simply not there), and a library
that has the name but is no NVML.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path

from simulator.nvml.symbols import number_of
from simulator.nvml.table import header

LIBRARY = "libnvidia-ml.so.1"
"""The name under which nvidia-ml-py looks for the driver's library."""

_FLAGS = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-fvisibility=hidden"]
_TIMEOUT_S = 120
_NO_NVML = 'const char *fleetowl_no_nvml(void) { return "not NVML"; }\n'


class CompilerMissing(Exception):
    """No C compiler on this machine; the message says what to install."""


class BuildFailed(Exception):
    """The compiler refused; the message has its words."""


def compiler() -> str:
    """Path of the C compiler: `CC` if set, else gcc, else cc. Raises CompilerMissing if there is none."""
    for name in filter(None, (os.environ.get("CC"), "gcc", "cc")):
        found = shutil.which(name)
        if found:
            return found
    raise CompilerMissing(
        "the stub NVML library is compiled when it is used: install gcc and libc6-dev, or set CC"
    )


def build(cache: Path, without: Collection[str] = (), *, wrong: bool = False) -> Path:
    """Path of the library in `cache`, compiled unless it is there; `wrong` makes one that is no NVML.

    Two processes may build the same one at once: each compiles apart, the first to finish wins.
    Raises CompilerMissing, BuildFailed, or ValueError for a call in `without` that the stub does not have.
    """
    for call in without:
        number_of(call)
    texts = {"main.c": _NO_NVML} if wrong else _sources(without)
    cc = compiler()
    folder = cache / _content_hash(texts, cc)
    if not (folder / LIBRARY).exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".building-") as name:
            _compile(cc, Path(name), texts)
            _publish(Path(name), folder)
    return folder / LIBRARY


def _sources(without: Collection[str]) -> dict[str, str]:
    texts = {"layout.h": header()}
    for source in files("simulator.nvml.source").iterdir():
        if source.name.endswith((".c", ".h")):
            texts[source.name] = source.read_text()
    if without:
        hidden = "".join(f" {call};" for call in sorted(set(without)))
        texts["hidden.map"] = f"{{ global: *; local:{hidden} }};\n"
    return texts


def _content_hash(texts: dict[str, str], cc: str) -> str:
    digest = hashlib.sha256(repr((sorted(texts.items()), cc, _FLAGS)).encode())
    return digest.hexdigest()[:16]


def _compile(cc: str, folder: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        (folder / name).write_text(text)
    command = [cc, *_FLAGS, f"-Wl,-soname,{LIBRARY}", "-o", LIBRARY]
    if "hidden.map" in texts:
        command.append("-Wl,--version-script=hidden.map")
    command += [*sorted(name for name in texts if name.endswith(".c")), "-lpthread"]
    run = subprocess.run(  # noqa: S603 - our own sources
        command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    if run.returncode:
        raise BuildFailed(f"{' '.join(command)}: {run.stderr.strip()}")


def _publish(built: Path, folder: Path) -> None:
    """Move the result to its place whole, unless another was first."""
    library = Path(tempfile.mkdtemp(dir=built))
    shutil.move(built / LIBRARY, library / LIBRARY)
    try:
        library.rename(folder)
    except OSError:
        if not (folder / LIBRARY).exists():
            raise
