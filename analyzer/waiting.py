"""Answers while the detectors are compiled, in place of the analyzer: that it lives, and why it is not ready.

On a machine that has compiled nothing yet that takes up to a minute or two. Compiling lets go of the
interpreter often enough for a thread beside it to answer. Whoever sends is told to come again, as agents,
Prometheus and Alertmanager do: so nothing that is pushed is lost.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

from aiohttp import web

from analyzer.settings import AnalyzerSettings

log = logging.getLogger("fleetowl.analyzer")
_AGAIN_SECONDS = 5
Told = Callable[[int, int], None]
"""How many of how many are done."""


class WaitingRoom:
    """Listens where the analyzer will. One that listens at any free port has no such place yet."""

    def __init__(self, own: AnalyzerSettings) -> None:
        self._host, self._port = own.host, own.port
        self._sentence = "it makes its detectors ready"
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)

    async def open(self) -> None:
        """Listen. An address that is taken is the analyzer's to say: it may have a better reason to fail."""
        await self._runner.setup()
        if self._port:
            try:
                await web.TCPSite(self._runner, self._host or None, self._port).start()
            except OSError as error:
                log.debug("nothing is answered while the detectors are compiled: %s", error)

    async def close(self) -> None:
        """Leave the address to the analyzer."""
        await self._runner.cleanup()

    def tell(self, done: int, of: int) -> None:
        """So far it is; may be called by any thread."""
        self._sentence = f"it compiles its detectors, or loads them: {done} of {of} are ready"

    async def _answer(self, request: web.Request) -> web.Response:
        if request.path.endswith("/-/healthy"):
            return web.Response(text=f"Fleetowl is healthy: {self._sentence}.\n")
        headers = {"Retry-After": str(_AGAIN_SECONDS)}
        return web.Response(status=503, text=f"Fleetowl is not ready: {self._sentence}.\n", headers=headers)


async def beside(work: Callable[[Told], None], own: AnalyzerSettings, over: asyncio.Event) -> bool:
    """Do `work` in a thread, and answer meanwhile; raises what it raises. False if `over` is set before.

    The thread then still runs: nothing but the end of the process ends it.
    """
    loop, room = asyncio.get_running_loop(), WaitingRoom(own)
    done: asyncio.Future[None] = loop.create_future()

    def finish(error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            work(room.tell)
        except BaseException as raised:  # to be raised where it is waited for
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(finish, error)

    await room.open()
    threading.Thread(target=run, name="compile", daemon=True).start()
    ending = asyncio.create_task(over.wait())
    either: list[asyncio.Future[Any]] = [done, ending]
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ending.cancel()
        await room.close()
    if not done.done():
        return False
    done.result()
    return True
