"""Sends what the dispatcher decided. This is the only part of the room that does anything to the outside.

sender = Sender(settings)
outcome = await sender.send(notification)
...
await sender.close()
"""

from __future__ import annotations

import aiohttp

from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.authorizing import Session
from alertmanager.receivers.forward import Forward, interval_of
from alertmanager.receivers.integration import Integration
from alertmanager.receivers.kinds import BUILDERS, Broken
from alertmanager.receivers.lane import Lane
from alertmanager.receivers.outlet import Outlet
from alertmanager.receivers.payload import LEAST, Writer
from alertmanager.route import build_route
from alertmanager.settings import AlertmanagerSettings, IntegrationConfig
from alertmanager.settings.integrations.own import AlertmanagerConfig
from alertmanager.template.library import Library, load_library
from wire.template import TemplateError

__all__ = ["Integration", "Outcome", "Sender", "build"]


class Sender:
    """All integrations of a configuration, by receiver and name, each in a lane of its own."""

    def __init__(self, settings: AlertmanagerSettings) -> None:
        self._http: aiohttp.ClientSession | None = None
        library, _ = load_library(settings.templates)  # what is wrong with them was said at load
        outlet = outlet_of(settings, library, self._session)
        self._lanes = {
            (receiver.name, f"{kind}[{position}]"): Lane(
                _built(kind, config, outlet, settings, receiver.name)
            )
            for receiver in settings.receivers
            for kind, position, config in receiver.integrations()
        }

    async def send(self, notification: Notification) -> Outcome:
        """Tell the notification's receiver; the answer is one sentence without secrets."""
        delivery = notification.delivery
        lane = self._lanes.get((delivery.receiver, delivery.integration))
        if lane is None:
            return Outcome(False, True, f"{delivery} is not in the configuration that is loaded")
        return await lane.send(notification)

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:  # made late: it belongs to the loop that runs
            connector = aiohttp.TCPConnector(limit=0)  # each integration has a limit of its own, its lane
            self._http = aiohttp.ClientSession(connector=connector)
        return self._http


def outlet_of(settings: AlertmanagerSettings, library: Library, session: Session) -> Outlet:
    """What the integrations of these settings share. A plain alertmanager.yml has no cap."""
    cap = 0 if settings.plain else settings.fleetowl.max_payload
    cap = max(cap, LEAST) if cap else 0
    writer = Writer(settings.external_url, cap)
    return Outlet(library, writer, session, settings.external_url, cap)


def build(
    kind: str, config: IntegrationConfig, outlet: Outlet, settings: AlertmanagerSettings, receiver: str
) -> Integration:
    """One integration. Raises TemplateError, or ValueError with the way out where a kind is not supported."""
    if isinstance(config, AlertmanagerConfig):
        return Forward(config, outlet, interval_of(build_route(settings.route), receiver))
    if kind not in BUILDERS:
        raise ValueError(f"{kind} cannot be notified from here")
    return BUILDERS[kind](config, outlet)


def _built(
    kind: str, config: IntegrationConfig, outlet: Outlet, settings: AlertmanagerSettings, receiver: str
) -> Integration:
    try:
        return build(kind, config, outlet, settings, receiver)
    except (TemplateError, ValueError, OSError) as error:
        return Broken(f"{kind}_configs of {receiver!r}: {error}")
