"""The Kubernetes API, through lightkube: nodes are read here, and every write goes through one method.

Each write is fenced by the node's resourceVersion and UID (409 when either is no longer so), validated
strictly, bounded in time, and not sent at all while remediation is paused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from model.moment import SECOND, format_duration
from runbooks.cluster import FIELD_MANAGER, PRIOR_ANNOTATION, RUN_ANNOTATION, NodeView
from runbooks.settings import RunbookSettings

if TYPE_CHECKING:
    from httpx2 import Response
    from lightkube import AsyncClient

_PAGE = 500

Reply = TypeVar("Reply")


class KubeError(Exception):
    """The API server refused, and a repetition would be refused too (403, 404, 422)."""


class Conflict(KubeError):
    """The node is no longer as it was read (409)."""


class Unanswered(KubeError):
    """No certain answer: a timeout, a lost connection, 429 or 5xx. What was asked may have been done."""


class WritesPaused(KubeError):
    """Remediation is paused; nothing was sent."""


class KubeWriter:
    """Reads nodes, cordons and uncordons. Connects at first use."""

    def __init__(self, settings: RunbookSettings, paused: Callable[[], str] = lambda: "") -> None:
        self._settings = settings
        self._paused = paused
        self._client: AsyncClient | None = None

    async def nodes(self) -> tuple[NodeView, ...]:
        """Every node of the cluster. Raises KubeError."""

        async def read() -> tuple[NodeView, ...]:
            from lightkube.resources.core_v1 import Node

            found = self._connected().list(Node, chunk_size=_PAGE)
            return tuple([NodeView.from_object(node.to_dict()) async for node in found])

        return await self._ask("list nodes", read)

    async def cordon(self, node: NodeView, run: str, *, dry_run: bool) -> NodeView:
        """Make the node unschedulable, in the name of a run, if it is still as it was read.

        Raises KubeError; Conflict if it is not.
        """
        annotations = {RUN_ANNOTATION: run, PRIOR_ANNOTATION: str(node.unschedulable).lower()}
        return await self._patch(node, annotations, unschedulable=True, dry_run=dry_run)

    async def uncordon(self, node: NodeView) -> NodeView:
        """Give the node back what it was before our cordon, and take our annotations off.

        Raises KubeError; Conflict if it is no longer as it was read.
        """
        annotations = {RUN_ANNOTATION: None, PRIOR_ANNOTATION: None}
        return await self._patch(node, annotations, unschedulable=node.prior_unschedulable or None)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _patch(
        self,
        node: NodeView,
        annotations: dict[str, Any],
        *,
        unschedulable: bool | None,
        dry_run: bool = False,
    ) -> NodeView:
        """The one place that writes. A merge patch, so that only what is named here is touched."""
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

        async def write() -> NodeView:
            from lightkube.resources.core_v1 import Node
            from lightkube.types import PatchType

            patched = await self._connected().patch(
                Node, node.name, body, patch_type=PatchType.MERGE, dry_run=dry_run
            )
            return NodeView.from_object(patched.to_dict())

        return await self._ask(f"patch node {node.name}", write)

    async def _ask(self, what: str, request: Callable[[], Awaitable[Reply]]) -> Reply:
        """The answer to a request, its failure as one sentence."""
        import httpx2
        from lightkube import ConfigError

        limit = self._settings.timeout
        try:
            async with asyncio.timeout(limit / SECOND):
                return await request()
        except (TimeoutError, httpx2.TimeoutException) as error:
            waited = format_duration(limit)
            raise Unanswered(f"{what}: the API server did not answer within {waited}") from error
        except httpx2.HTTPStatusError as error:
            raise _refusal(what, error.response.status_code, _message(error.response)) from error
        except httpx2.TransportError as error:
            raise Unanswered(f"{what}: the API server cannot be reached ({error})") from error
        except (ConfigError, httpx2.HTTPError, OSError, KeyError, ValueError) as error:
            raise KubeError(f"{what}: {type(error).__name__}: {error}") from error

    def _connected(self) -> AsyncClient:
        if self._client is None:
            self._client = _connect(self._settings)
        return self._client


def _message(response: Response) -> str:
    """What a Kubernetes Status says; the start of anything else, a proxy's page for example."""
    try:
        return str(response.json()["message"])
    except (ValueError, LookupError, TypeError):
        return response.text.strip()[:80] or "no text"


def _refusal(what: str, status: int, message: str) -> KubeError:
    sentence = f"{what}: the API server answered {status} ({message})"
    if status == 409:
        return Conflict(sentence)
    if status == 429 or status >= 500:
        return Unanswered(sentence)
    return KubeError(sentence)


def _connect(settings: RunbookSettings) -> AsyncClient:
    import httpx2
    from lightkube import AsyncClient, KubeConfig
    from lightkube.config.client_adapter import verify_cluster
    from lightkube.config.models import User

    found = (
        KubeConfig.from_file(settings.kubeconfig)
        if settings.kubeconfig is not None
        else KubeConfig.from_service_account()
    )
    config = found.get(settings.context)
    if config is None:
        raise ValueError("the kubeconfig has no current context: set runbooks.context")
    user = config.user or User()
    config = config._replace(user=user)
    tls = verify_cluster(config.cluster, user, config.abs_file)

    class Strict(httpx2.AsyncHTTPTransport):
        """Adds to every write what lightkube has no parameter for: an unknown field is an error."""

        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            if request.method != "GET":
                request.url = request.url.copy_merge_params({"fieldValidation": "Strict"})
            return await super().handle_async_request(request)

    limit = httpx2.Timeout(settings.timeout / SECOND)
    return AsyncClient(config, timeout=limit, field_manager=FIELD_MANAGER, transport=Strict(verify=tls))
