"""One connection to an API server through lightkube: two requests, and every failure as a sentence.

Importing this and connecting take up to a second, so kubernetes.py does both in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from lightkube import AsyncClient, ConfigError, KubeConfig
from lightkube.config.client_adapter import verify_cluster
from lightkube.config.models import User
from lightkube.resources.core_v1 import Node
from lightkube.types import PatchType

from model.moment import SECOND, format_duration
from runbooks.cluster import FIELD_MANAGER
from runbooks.errors import Conflict, KubeError, Unanswered
from runbooks.settings import RunbookSettings

_PAGE = 500


class Connection:
    """An open client. Its methods raise KubeError."""

    def __init__(self, settings: RunbookSettings) -> None:
        self._timeout = settings.timeout
        with _said("connect", self._timeout):
            self._client = _client(settings)

    async def list_nodes(self) -> list[dict[str, Any]]:
        """Every node object."""
        with _said("list nodes", self._timeout):
            async with asyncio.timeout(self._timeout / SECOND):
                return [node.to_dict() async for node in self._client.list(Node, chunk_size=_PAGE)]

    async def patch_node(self, name: str, body: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
        """Merge `body` into a node; returns the node as it is then (or would be)."""
        with _said(f"patch node {name}", self._timeout):
            async with asyncio.timeout(self._timeout / SECOND):
                node = await self._client.patch(Node, name, body, patch_type=PatchType.MERGE, dry_run=dry_run)
                return node.to_dict()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


class _Strict(httpx2.AsyncHTTPTransport):
    """Adds to every write what lightkube has no parameter for: an unknown field is an error."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method != "GET":
            request.url = request.url.copy_merge_params({"fieldValidation": "Strict"})
        return await super().handle_async_request(request)


def _client(settings: RunbookSettings) -> AsyncClient:
    config = _kubeconfig(settings).get(settings.context)
    if config is None:
        raise ValueError("the kubeconfig has no current context: set runbooks.context")
    user = config.user or User()
    tls = verify_cluster(config.cluster, user, config.abs_file)
    return AsyncClient(
        config._replace(user=user),
        timeout=httpx2.Timeout(settings.timeout / SECOND),
        field_manager=FIELD_MANAGER,
        transport=_Strict(verify=tls),
    )


def _kubeconfig(settings: RunbookSettings) -> KubeConfig:
    if settings.kubeconfig is None:
        return KubeConfig.from_service_account()
    try:
        return KubeConfig.from_file(settings.kubeconfig)
    except (AttributeError, TypeError) as error:  # YAML of another shape
        raise ValueError(f"{settings.kubeconfig} is not a kubeconfig") from error


@contextmanager
def _said(what: str, timeout: int) -> Iterator[None]:
    """Every failure as a KubeError whose message is one sentence."""
    try:
        yield
    except (TimeoutError, httpx2.TimeoutException) as error:
        waited = format_duration(timeout)
        raise Unanswered(f"{what}: the API server did not answer within {waited}") from error
    except httpx2.HTTPStatusError as error:
        raise _refusal(what, error.response) from error
    except httpx2.TransportError as error:
        raise Unanswered(f"{what}: the API server cannot be reached ({error})") from error
    except (ConfigError, httpx2.HTTPError, OSError, LookupError, ValueError) as error:
        raise KubeError(f"{what}: {type(error).__name__}: {error}") from error


def _refusal(what: str, response: httpx2.Response) -> KubeError:
    status = response.status_code
    sentence = f"{what}: the API server answered {status} ({_message(response)})"
    if status == 409:
        return Conflict(sentence)
    if status == 429 or status >= 500:
        return Unanswered(sentence)
    return KubeError(sentence)


def _message(response: httpx2.Response) -> str:
    """What a Kubernetes Status says; the start of anything else, a proxy's page for example."""
    try:
        return str(response.json()["message"])
    except (ValueError, LookupError, TypeError):
        return response.text.strip()[:80] or "no text"
