"""The Kubernetes API as runbooks use it: nodes are read here, and every write goes through one method.

Each write is fenced by the node's resourceVersion and UID (409 when either is no longer so), validated
strictly, bounded in time, and not sent at all while remediation is paused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from runbooks.cluster import PRIOR_ANNOTATION, RUN_ANNOTATION, NodeView
from runbooks.errors import WritesPaused
from runbooks.settings import RunbookSettings

if TYPE_CHECKING:
    from runbooks.connection import Connection


class KubeWriter:
    """Reads nodes, cordons and uncordons; its methods raise KubeError. Connects at first use."""

    def __init__(self, settings: RunbookSettings, paused: Callable[[], str] = lambda: "") -> None:
        self._settings = settings
        self._paused = paused
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()

    async def nodes(self) -> tuple[NodeView, ...]:
        """Every node of the cluster."""
        connection = await self._connected()
        return tuple(NodeView.from_object(node) for node in await connection.list_nodes())

    async def cordon(self, node: NodeView, run: str, *, dry_run: bool) -> NodeView:
        """Make the node unschedulable, in the name of a run. Raises Conflict if it is not as it was read."""
        annotations = {RUN_ANNOTATION: run, PRIOR_ANNOTATION: str(node.unschedulable).lower()}
        return await self._patch(node, annotations, unschedulable=True, dry_run=dry_run)

    async def uncordon(self, node: NodeView) -> NodeView:
        """Give the node back what it was before our cordon, and take our annotations off.

        Raises Conflict if it is not as it was read.
        """
        annotations = {RUN_ANNOTATION: None, PRIOR_ANNOTATION: None}
        return await self._patch(node, annotations, unschedulable=node.prior_unschedulable or None)

    async def close(self) -> None:
        """Close the connections."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _patch(
        self,
        node: NodeView,
        annotations: dict[str, Any],
        *,
        unschedulable: bool | None,
        dry_run: bool = False,
    ) -> NodeView:
        """The one place that writes. A merge patch, so that only what is named here is touched."""
        connection = await self._connected()
        if self._paused():
            raise WritesPaused(f"remediation is paused {self._paused()}: nothing was sent")
        body = {
            # The API server compares both: a changed or a replaced node of this name answers 409.
            "metadata": {
                "uid": node.uid,
                "resourceVersion": node.resource_version,
                "annotations": annotations,
            },
            "spec": {"unschedulable": unschedulable},
        }
        return NodeView.from_object(await connection.patch_node(node.name, body, dry_run=dry_run))

    async def _connected(self) -> Connection:
        async with self._connecting:
            if self._connection is None:
                # In a thread: the tick runs in this one, and imports and certificates would hold it up.
                self._connection = await asyncio.to_thread(_connect, self._settings)
        return self._connection


def _connect(settings: RunbookSettings) -> Connection:
    from runbooks.connection import Connection

    return Connection(settings)
