"""The /metrics of the balancer in front of the service, as ingress-nginx counts: what clients really saw."""

from __future__ import annotations

from simulator.page import Page, go_number, series
from simulator.service import Service

_STATUSES = ("200", "499", "500", "502", "503", "504")


class GatewayPage:
    """Renders the page; every status is there from the start, so that a first error is an increase."""

    def __init__(self, service: Service) -> None:
        self._ledger, self._page = service.ledger, Page(go_number)
        name = "nginx_ingress_controller_requests"
        self._page.header(name, "counter", "The total number of client requests")
        self._page.samples(
            [
                series(
                    name,
                    [
                        ("ingress", service.name),
                        ("method", "POST"),
                        ("namespace", service.namespace),
                        ("service", service.name),
                        ("status", status),
                    ],
                )
                for status in _STATUSES
            ],
            lambda: [self._count(status) for status in _STATUSES],
        )

    def render(self) -> bytes:
        """The page with the values of now."""
        return self._page.render()

    def _count(self, status: str) -> int:
        ledger = self._ledger
        failed = ledger.failures[status]
        if status == "200":
            return ledger.finished
        if status == "499":  # nginx's own: the client closed the connection
            return ledger.aborted - ledger.timed_out
        return failed + ledger.timed_out if status == "504" else failed
