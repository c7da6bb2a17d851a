"""A kubelet for the tests: its answers encoded from plain data, and a gRPC server that can misbehave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

from h2 import events as h2
from h2.config import H2Configuration
from h2.connection import H2Connection


def varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def part(number: int, content: bytes | str) -> bytes:
    """A field of type string, bytes or message."""
    data = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(data)) + data


class Claim(NamedTuple):
    """One device of a resource claim."""

    device: str
    cdi: Sequence[str] = ()
    driver: str = "gpu.nvidia.com"


class Container(NamedTuple):
    name: str
    devices: Sequence[tuple[str, Sequence[str]]] = ()
    claims: Sequence[Claim] = ()
    ballast: bytes = b""
    """What a kubelet adds: CPUs, memory, topology."""


class Pod(NamedTuple):
    name: str
    namespace: str
    containers: Sequence[Container]


def answer(pods: Iterable[Pod]) -> bytes:
    """ListPodResourcesResponse."""
    return b"".join(part(1, _pod(pod)) for pod in pods)


def gpu_pod(name: str, *devices: str, resource: str = "nvidia.com/gpu") -> Pod:
    """A pod of one container, `server`, in the namespace `llm`."""
    return Pod(name, "llm", [Container("server", [(resource, devices)])])


def _pod(pod: Pod) -> bytes:
    containers = b"".join(part(3, _container(each)) for each in pod.containers)
    return part(1, pod.name) + part(2, pod.namespace) + containers


def _container(container: Container) -> bytes:
    topology = part(3, part(1, b"\x08\x01"))
    devices = b"".join(
        part(2, part(1, resource) + b"".join(part(2, each) for each in ids) + topology)
        for resource, ids in container.devices
    )
    cpus = varint(3 << 3 | 2) + varint(4) + bytes([0, 1, 2, 3])
    return part(1, container.name) + devices + cpus + _claims(container.claims) + container.ballast


def _claims(claims: Sequence[Claim]) -> bytes:
    if not claims:
        return b""
    resources = b"".join(
        part(
            4,
            b"".join(part(1, part(1, name)) for name in each.cdi)
            + (part(2, each.driver) if each.driver else b"")
            + part(3, "gpu-7")
            + part(4, each.device),
        )
        for each in claims
    )
    return part(5, part(2, "the-claim") + part(3, "llm") + resources)


@dataclass
class Kubelet:
    """Answers every call with `message`, unless told otherwise. Use with `serve`."""

    message: bytes = b""
    status: str = "0"
    said: str = ""
    http_status: str = "200"
    silent: bool = False
    """Takes the question and says nothing."""
    cut_after: int | None = None
    """Closes the connection after so many bytes of the message."""
    raw: bytes | None = None
    """Sent instead of HTTP/2."""
    framed: bytes | None = None
    """Sent instead of the message with its prefix."""
    reset: bool = False
    asked: list[str] = field(default_factory=list)
    connections: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @contextlib.asynccontextmanager
    async def serve(self, path: Path) -> AsyncIterator[Path]:
        """Listen on a Unix socket."""
        server = await asyncio.start_unix_server(self._serve, path)
        try:
            yield path
        finally:
            server.close()
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.tasks.add(cast("asyncio.Task[None]", asyncio.current_task()))
        try:
            if self.raw is not None:
                await reader.read(1 << 16)
                writer.write(self.raw)
                await writer.drain()
            else:
                await _Conversation(self, reader, writer).run()
        except ConnectionError:
            pass  # they had enough
        finally:
            writer.close()


class _Conversation:
    def __init__(self, kubelet: Kubelet, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.kubelet, self.reader, self.writer = kubelet, reader, writer
        self.connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.unsent = b""
        self.stream = 0
        self.cut = False

    async def run(self) -> None:
        self.connection.initiate_connection()
        while not self.cut:
            self.writer.write(self.connection.data_to_send())
            await self.writer.drain()
            if not (received := await self.reader.read(1 << 16)):
                return
            for event in self.connection.receive_data(received):
                self._take(event)
            self._send_what_fits()
        self.writer.write(self.connection.data_to_send())
        await self.writer.drain()

    def _take(self, event: object) -> None:
        if isinstance(event, h2.RequestReceived):
            self.kubelet.asked.append(dict(event.headers or ())[":path"])  # type: ignore[index,arg-type]
        elif isinstance(event, h2.StreamEnded) and not self.kubelet.silent:
            self._begin(event.stream_id or 0)

    def _begin(self, stream: int) -> None:
        kubelet = self.kubelet
        if kubelet.reset:
            self.connection.reset_stream(stream, 2)
            return
        if kubelet.status != "0":
            headers = [(":status", kubelet.http_status), ("content-type", "application/grpc")]
            trailers = [("grpc-status", kubelet.status), ("grpc-message", kubelet.said)]
            self.connection.send_headers(stream, headers + trailers, end_stream=True)
            return
        self.connection.send_headers(
            stream, [(":status", kubelet.http_status), ("content-type", "application/grpc")]
        )
        prefix = b"\0" + len(kubelet.message).to_bytes(4, "big")
        self.stream, self.unsent = stream, kubelet.framed or prefix + kubelet.message
        if kubelet.cut_after is not None:
            self.unsent = self.unsent[: kubelet.cut_after]

    def _send_what_fits(self) -> None:
        while self.unsent and (window := self.connection.local_flow_control_window(self.stream)):
            size = min(window, self.connection.max_outbound_frame_size, len(self.unsent))
            self.connection.send_data(self.stream, self.unsent[:size])
            self.unsent = self.unsent[size:]
        if self.stream and not self.unsent:
            if self.kubelet.cut_after is not None:
                self.cut = True
                return
            self.connection.send_headers(self.stream, [("grpc-status", self.kubelet.status)], end_stream=True)
            self.stream = 0
