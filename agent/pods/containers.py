"""Names of containers by their id, from the kubelet's log folders.

The pod-resources socket names pods and no ids, a cgroup has ids and no names; the kubelet's symbolic links
`/var/log/containers/<pod>_<namespace>_<container>-<id>.log` have both, and so have the folders
`/var/log/pods/<namespace>_<pod>_<uid>`. Kubernetes' names have no underscore. The kubelet lets any user list
the first (mode 0755), newer ones root alone the second (0750).

When it fails: distributions that close /var/log (Talos); and a name that would be longer than a file name is
cut by the kubelet, id first.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from agent.pods.cgroup import Membership
from agent.pods.owner import Owner

_LOG = re.compile(r"([^_]+)_([^_]+)_([^_]+)-([0-9a-f]{64})\.log")
_FOLDER = re.compile(r"([^_]+)_([^_]+)_([0-9a-f-]+)")
_MOST = 20_000  # entries that are read of a folder
_PAUSE = 10.0  # seconds between looks for an id that is not there


class ContainerNames:
    """Who runs in a cgroup. Looks again when it meets an id that it does not know; `timer` gives seconds."""

    def __init__(self, rootfs: Path, timer: Callable[[], float] = time.monotonic) -> None:
        self._logs = rootfs / "var/log/containers"
        self._folders = rootfs / "var/log/pods"
        self._timer = timer
        self._looked_at = float("-inf")
        self._containers: dict[str, Owner] = {}
        self._pods: dict[str, Owner] = {}

    def find(self, where: Membership) -> Owner | None:
        """The container, or the pod with an empty container where only that is known."""
        known = not where.pod_uid or where.container_id in self._containers
        if not known and self._timer() - self._looked_at >= _PAUSE:
            self._looked_at = self._timer()
            self._look()
        return self._containers.get(where.container_id) or self._pods.get(where.pod_uid)

    def _look(self) -> None:
        self._containers, self._pods = {}, {}
        for name in _entries(self._logs):
            if found := _LOG.fullmatch(name):
                self._containers[found[4]] = Owner(found[1], found[2], found[3])
        for name in _entries(self._folders):
            if found := _FOLDER.fullmatch(name):
                self._pods[found[3]] = Owner(found[2], found[1], "")


def _entries(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry, _ in zip(entries, range(_MOST), strict=False)]
    except OSError:
        return []  # no kubelet, or a node that hides its logs: the caller says that the name is not known
