"""The kubelet's pod-resources socket: one question, and each way in which it may not be answered by name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

from agent.pods.grpc import CallFailed, unary

METHOD = "/v1.PodResourcesLister/List"

Failure = Literal["no_kubelet", "permission_denied", "timeout", "error"]

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[Path], Awaitable[Streams]]


class NoAnswer(Exception):
    """The kubelet did not answer: in which way, and a sentence with the way out."""

    def __init__(self, failure: Failure, reason: str) -> None:
        super().__init__(f"{failure}: {reason}")
        self.failure = failure
        self.reason = reason


async def connect_unix(path: Path) -> Streams:
    """A connection to a Unix socket. Raises OSError."""
    return await asyncio.open_unix_connection(path)


async def ask(socket: Path, deadline: float, connect: Connect = connect_unix) -> bytes:
    """The encoded ListPodResourcesResponse, within `deadline` seconds. Raises NoAnswer and nothing else."""
    try:
        async with asyncio.timeout(deadline):
            return await _ask(socket, connect)
    except TimeoutError as error:
        raise NoAnswer("timeout", f"no answer from {socket} within {deadline:g} s") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoAnswer("no_kubelet", f"{socket} is not there") from error
    except PermissionError as error:
        raise NoAnswer(
            "permission_denied",
            f"{socket} belongs to root: run the agent as root without capabilities "
            "(deploy/kustomize/overlays/pods)",
        ) from error
    except ConnectionRefusedError as error:
        raise NoAnswer("error", f"nobody listens on {socket}") from error
    except OSError as error:
        raise NoAnswer("error", f"{socket}: {error.strerror or error}") from error
    except CallFailed as error:
        raise NoAnswer("error", f"{socket}: {error}") from error


async def _ask(socket: Path, connect: Connect) -> bytes:
    reader, writer = await connect(socket)
    try:
        return await unary(reader, writer, METHOD)
    finally:
        # Not waited for: a peer that hangs would hold us here beyond the deadline.
        writer.transport.abort()
