"""A small double of the Kubernetes API: nodes and pods over HTTP, faithful where clients go wrong.

Fencing by resourceVersion (409), dry runs that store nothing, strict field validation (422), atomic
taints, status as a subresource, selectors. Every write is in `audit`, refused and dry ones too.
Tests plan trouble: `fail_next`, `hang_next`, and `lose_answer_next` (the write happens, its answer is lost).
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from simulator.cluster import Cluster
from simulator.node_document import Document, Refused
from simulator.node_store import NodeStore
from simulator.selector import matches_fields, matches_labels

_NODES = re.compile(r"/api/v1/nodes(?:/(?P<name>[^/]+)(?P<status>/status)?)?")
_PODS = re.compile(r"/api/v1(?:/namespaces/(?P<namespace>[^/]+))?/pods(?:/(?P<name>[^/]+))?")


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One write that was asked for: what, when (virtual ms), and how it was answered."""

    at: int
    method: str
    path: str
    dry_run: bool
    code: int
    user_agent: str
    body: Any


@dataclass(slots=True)
class _Trouble:
    what: str  # fail, hang or lose
    method: str
    code: int = 0


class NodeApi:
    """Answers requests; mounted by `Faces`, usable with any client that speaks Kubernetes."""

    def __init__(self, cluster: Cluster, token: str | None = None) -> None:
        self.store = NodeStore(cluster)
        self.audit: list[AuditEntry] = []
        self._cluster, self._token = cluster, token
        self._troubles: list[_Trouble] = []

    def fail_next(self, code: int, method: str = "") -> None:
        """Answer the next request (of that method, if given) with `code` and do nothing."""
        self._troubles.append(_Trouble("fail", method, code))

    def hang_next(self, method: str = "") -> None:
        """Never answer the next request."""
        self._troubles.append(_Trouble("hang", method))

    def lose_answer_next(self, method: str = "PATCH") -> None:
        """Carry the next request out and drop the connection instead of answering."""
        self._troubles.append(_Trouble("lose", method))

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request. Runs until cancelled if it was told to hang."""
        trouble = self._trouble(request.method)
        if trouble and trouble.what == "hang":
            await asyncio.Event().wait()
        body = await request.text()
        try:
            if trouble and trouble.what == "fail":
                raise Refused(trouble.code, "InternalError", "a planned failure")
            answer, warnings = self._answer(request, body)
            code = 200
        except Refused as refused:
            answer, warnings, code = refused.status(), [], refused.code
        if request.method not in ("GET", "HEAD"):
            self._note(request, body, code)
        if trouble and trouble.what == "lose" and request.transport is not None:
            request.transport.abort()
        headers = [
            ("Warning", f'299 - "{warning.replace(chr(34), chr(92) + chr(34))}"') for warning in warnings
        ]
        # lightkube knows an answer of the API by exactly this content type, without a charset
        content = json.dumps(answer).encode()
        return web.Response(
            body=content, status=code, headers=[("Content-Type", "application/json"), *headers]
        )

    def _trouble(self, method: str) -> _Trouble | None:
        for index, trouble in enumerate(self._troubles):
            if trouble.method in ("", method):
                return self._troubles.pop(index)
        return None

    def _note(self, request: web.BaseRequest, body: str, code: int) -> None:
        try:
            content = json.loads(body) if body else None
        except ValueError:
            content = body
        self.audit.append(
            AuditEntry(
                at=self._cluster.now,
                method=request.method,
                path=request.path,
                dry_run=request.query.get("dryRun") == "All",
                code=code,
                user_agent=request.headers.get("User-Agent", ""),
                body=content,
            )
        )

    def _answer(self, request: web.BaseRequest, body: str) -> tuple[Document, list[str]]:
        if self._token is not None and request.headers.get("Authorization") != f"Bearer {self._token}":
            raise Refused(401, "Unauthorized", "Unauthorized")
        if request.path == "/version":
            return {"major": "1", "minor": "36", "gitVersion": "v1.36.2-simulated"}, []
        if "watch" in request.query:
            raise Refused(501, "NotImplemented", "the simulated API cannot watch")
        if found := _NODES.fullmatch(request.path):
            return self._nodes(request, body, found["name"], bool(found["status"]))
        if found := _PODS.fullmatch(request.path):
            return self._pods(request, found["namespace"], found["name"]), []
        raise Refused(404, "NotFound", "the server could not find the requested resource")

    def _nodes(
        self, request: web.BaseRequest, body: str, name: str | None, status: bool
    ) -> tuple[Document, list[str]]:
        if request.method == "GET":
            if name is None:
                return self._list("NodeList", self.store.nodes(), request), []
            return self.store.node(name), []
        if request.method != "PATCH" or name is None:
            raise Refused(405, "MethodNotAllowed", f"the simulated API cannot {request.method} here")
        return self.store.patch(
            name,
            _parsed(body),
            request.headers.get("Content-Type", "").partition(";")[0],
            status=status,
            dry_run=_dry_run(request),
            strict=request.query.get("fieldValidation") == "Strict",
        )

    def _pods(self, request: web.BaseRequest, namespace: str | None, name: str | None) -> Document:
        if request.method != "GET":
            raise Refused(405, "MethodNotAllowed", f"the simulated API cannot {request.method} pods")
        pods = [pod for pod in self.store.pods() if namespace in (None, pod["metadata"]["namespace"])]
        if name is None:
            return self._list("PodList", pods, request)
        for pod in pods:
            if pod["metadata"]["name"] == name:
                return pod
        raise Refused(404, "NotFound", f'pods "{name}" not found')

    def _list(self, kind: str, items: list[Document], request: web.BaseRequest) -> Document:
        labels, fields = request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")
        chosen = [item for item in items if matches_labels(labels, item) and matches_fields(fields, item)]
        return {
            "kind": kind,
            "apiVersion": "v1",
            "metadata": {"resourceVersion": self.store.version},
            "items": chosen,
        }


def _parsed(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise Refused(400, "BadRequest", f"the body is not JSON: {error}") from error


def _dry_run(request: web.BaseRequest) -> bool:
    value = request.query.get("dryRun", "")
    if value not in ("", "All"):
        raise Refused(422, "Invalid", f'dryRun: Unsupported value: "{value}": supported values: "All"')
    return value == "All"
