"""Asks the kubelet for the pods of this node."""

from __future__ import annotations

from agent.engines.discovery_settings import PodDiscoverySettings
from agent.engines.fetch import Fetcher, FetchFailed
from agent.engines.found import DiscoveryFailed, Findings
from agent.engines.pod_list import engines_of
from agent.http.session import SessionOf
from wire.scrape import Authorization, HTTPClientSettings

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}
_REFUSED = {401: "unauthorized", 403: "forbidden"}


class PodDiscovery:
    """One look is one question; the same answer again costs no reading."""

    kind = "pods"

    def __init__(self, settings: PodDiscoverySettings, session: SessionOf) -> None:
        self.interval = settings.interval
        self._settings = settings
        token = settings.token_file
        client = HTTPClientSettings(
            authorization=Authorization(credentials_file=token) if token is not None else None,
            tls_config=settings.tls_config,
            follow_redirects=False,
        )
        self._fetcher = Fetcher(settings.url, client, session, keep=False)
        self._body = b""
        self._findings = Findings()

    async def look(self) -> Findings:
        """The engines in the pods of this node. Raises DiscoveryFailed."""
        settings = self._settings
        try:
            answer = await self._fetcher.get(_HEADERS, settings.body_size_limit, settings.timeout)
        except FetchFailed as failure:
            raise DiscoveryFailed(failure.kind, f"{settings.url}: {failure}") from failure
        if answer.status in _REFUSED:
            why = "the token must be allowed to get nodes/pods, before Kubernetes 1.33 nodes/proxy"
            raise DiscoveryFailed(_REFUSED[answer.status], f"{settings.url} answered {answer.status}: {why}")
        if answer.status != 200:
            raise DiscoveryFailed("status", f"{settings.url} answered {answer.status}")
        if answer.body != self._body:
            try:
                self._findings = engines_of(answer.body)
            except DiscoveryFailed as failure:
                raise DiscoveryFailed(failure.kind, f"{settings.url} answers {failure}") from failure
            self._body = answer.body
        return self._findings
