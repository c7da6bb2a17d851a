"""The server that stands for all services."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.alertmanager.receivers.catcher import Catcher


@pytest.fixture
async def catcher() -> AsyncIterator[Catcher]:
    """Takes every request to `catcher.url`."""
    found = Catcher()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", found.handle)
    async with TestServer(app) as server:
        found.url = str(server.make_url("/"))
        yield found
