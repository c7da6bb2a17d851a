"""Names that a page may not give its series: with this node's label they would pass for what others measured.

Whoever may make a pod may have its page scraped. A lost GPU or an XID told by such a page would raise an
alert about a neighbour's hardware.
"""

from __future__ import annotations

_OURS = ("fleetowl_", "scrape_")
_UP = "up"
_OF_THE_NODE = ("DCGM_", "node_", "kube_", "ALERTS")
_RECORDED = ("engine:", "gpu:", "instance:", "nvswitch:", "pod:")
"""What the rules that come with Fleetowl record."""


def reserved(name: str, trusted: bool) -> bool:
    """Whether a page may not show this name. The agent's own are nobody else's, trusted or not.

    >>> reserved("up", True), reserved("DCGM_FI_DEV_GPU_UTIL", True), reserved("node_load1", False)
    (True, False, True)
    """
    if name == _UP or name.startswith(_OURS):
        return True
    return not trusted and name.startswith((*_OF_THE_NODE, *_RECORDED))
