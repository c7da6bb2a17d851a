"""Where collectors read: the roots of procfs and sysfs, the node's name and its clock, all injectable."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from model.labels import Labels


class NoData(Exception):
    """There is nothing to read here, which is no failure. The text says why."""


class Host:
    """This node as its collectors see it. A file is read once a round, however many collectors want it."""

    def __init__(
        self,
        node: str,
        procfs: Path = Path("/proc"),
        sysfs: Path = Path("/sys"),
        rootfs: Path = Path("/"),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.node = node
        self.procfs, self.sysfs, self.rootfs = str(procfs), str(sysfs), str(rootfs)
        self.clock = clock
        self._read_this_round: dict[str, bytes] = {}

    def again(self) -> Host:
        """The same host with nothing read yet."""
        return Host(self.node, Path(self.procfs), Path(self.sysfs), Path(self.rootfs), self.clock)

    def begin_round(self) -> None:
        """Forget what was read for the round before."""
        self._read_this_round.clear()

    def proc(self, name: str) -> bytes:
        """A file under procfs. Raises NoData if it is not there, OSError if it cannot be read."""
        return self.read(f"{self.procfs}/{name}")

    def read(self, path: str) -> bytes:
        """The content of a file, kept until the next round. Raises as `proc` does."""
        known = self._read_this_round.get(path)
        if known is None:
            known = self._read_this_round[path] = _read(path)
        return known


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.readall()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoData(f"{path} is not there") from error
    except OSError as error:
        # A kernel booted with psi=0 has the files and answers this; so do devices without the property.
        if error.errno in (errno.EOPNOTSUPP, errno.ENOSYS):
            raise NoData(f"{path} is switched off in this kernel") from error
        raise


@lru_cache(maxsize=16_384)
def labelled(*pairs: tuple[str, str]) -> Labels:
    """The label set of these pairs, one object for equal pairs, so that the round stays cheap."""
    return Labels(pairs)
