"""From /proc/<pid>/cgroup to the pod and container that a process runs in.

Both cgroup versions, both drivers of the kubelet (`cgroupfs`, `systemd`) and containerd, CRI-O and Docker
spell a pod as `pod<uid>`, and its container as 64 hexadecimal digits behind it. Seen from a cgroup namespace
of its own the path begins with `/..` and may lack `kubepods`, so that word is not asked for.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# A static pod's UID is the hash of its manifest, which has no dashes; systemd's slices spell a dash as _.
_POD = re.compile(
    r"(?:^|[/-])pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?=[/:]|\.slice|$)"
)
_CONTAINER = re.compile(r"(?:^|[/:-])([0-9a-f]{64})(?=[/:]|\.scope|$)")


class Membership(NamedTuple):
    """The pod's UID with dashes, and the id of its container; both empty outside Kubernetes."""

    pod_uid: str = ""
    container_id: str = ""


def membership(text: str) -> Membership:
    """The first pod that any of the hierarchies names.

    >>> membership("0::/kubepods/burstable/pod0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0/" + 64 * "a").pod_uid
    '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0'
    >>> membership("0::/system.slice/docker-" + 64 * "a" + ".scope")
    Membership(pod_uid='', container_id='')
    """
    for line in text.splitlines():
        path = line.split(":", 2)[-1]
        # The last one: in a cluster of containers the node itself is one, perhaps in a pod.
        pods = list(_POD.finditer(path))
        if pods:
            container = _CONTAINER.search(path, pods[-1].end())
            return Membership(pods[-1][1].replace("_", "-"), container[1] if container else "")
    return Membership()
