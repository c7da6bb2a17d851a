"""The question to the kubelet: over a real Unix socket, with every way in which it can go wrong."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.pods import grpc as our_grpc
from agent.pods.kubelet import METHOD, NoAnswer, Streams, ask
from tests.agent.pods.kubelet import Container, Kubelet, Pod, answer, gpu_pod, part

LARGE = answer(
    [
        gpu_pod("vllm-0", "GPU-a"),
        *(Pod(f"web-{n}", "shop", [Container("web", ballast=part(4, b"x" * 6000))]) for n in range(1000)),
    ]
)


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "kubelet.sock"


async def failure(socket: Path, deadline: float = 5, **options: Any) -> tuple[str, str]:
    with pytest.raises(NoAnswer) as caught:
        await ask(socket, deadline, **options)
    return caught.value.failure, caught.value.reason


async def test_it_asks_and_gets_the_answer(socket: Path) -> None:
    kubelet = Kubelet(answer([gpu_pod("vllm-0", "GPU-a")]))
    async with kubelet.serve(socket):
        assert await ask(socket, 5) == kubelet.message
    assert kubelet.asked == [METHOD] == ["/v1.PodResourcesLister/List"]


async def test_an_empty_answer_is_an_answer(socket: Path) -> None:
    async with Kubelet(b"").serve(socket):
        assert await ask(socket, 5) == b""


async def test_an_answer_beyond_4_mib_comes_whole(socket: Path) -> None:
    assert len(LARGE) > 6_000_000
    async with Kubelet(LARGE).serve(socket):
        assert await ask(socket, 30) == LARGE


async def test_an_answer_beyond_the_limit_is_refused_when_it_is_announced(socket: Path) -> None:
    kubelet = Kubelet(framed=b"\0" + (33 << 20).to_bytes(4, "big") + b"x" * 100)
    async with kubelet.serve(socket):
        state, reason = await failure(socket)
    assert (state, reason) == ("error", f"{socket}: the answer is larger than 32 MiB")


async def test_no_socket_is_no_kubelet(socket: Path) -> None:
    assert await failure(socket) == ("no_kubelet", f"{socket} is not there")
    socket.touch()
    assert (await failure(socket / "deeper"))[0] == "no_kubelet"


async def test_a_denied_socket_says_the_way_out(socket: Path) -> None:
    async def denied(path: Path) -> Streams:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    state, reason = await failure(socket, connect=denied)
    assert state == "permission_denied"
    assert str(socket) in reason
    assert "overlays/pods" in reason


async def test_a_kubelet_that_hangs_is_left_in_time(socket: Path) -> None:
    async with Kubelet(silent=True).serve(socket):
        assert await failure(socket, deadline=0.05) == (
            "timeout",
            f"no answer from {socket} within 0.05 s",
        )


async def test_a_socket_without_a_listener(socket: Path) -> None:
    async with Kubelet().serve(socket):
        pass
    server = await asyncio.start_unix_server(lambda *_: None, socket)
    server.close()
    assert await failure(socket) == ("error", f"nobody listens on {socket}")


@pytest.mark.parametrize(
    ("kubelet", "said"),
    [
        (Kubelet(status="8", said="slow%20down"), "gRPC status resource exhausted: slow down"),
        (Kubelet(status="12"), "gRPC status unimplemented"),
        (Kubelet(status="nonsense"), "gRPC status nonsense"),
        (Kubelet(http_status="404"), "HTTP status 404"),
        (Kubelet(reset=True), "the stream was reset (HTTP/2 error 2)"),
        (Kubelet(b"x" * 100, cut_after=50), "the connection was closed before the answer was complete"),
        (Kubelet(framed=b"\1\0\0\0\1x"), "a compressed answer, which was not asked for"),
        (Kubelet(framed=b"\0\0\0\0\5x"), "a message of 5 bytes came as 1"),
        (Kubelet(framed=b"\0\0"), "an answer without a message"),
        (Kubelet(raw=b"HTTP/1.1 400 Bad Request\r\n\r\n"), "the connection was closed"),
        (Kubelet(raw=b"\0\0\1\4\0\0\0\0\0x"), "not HTTP/2: "),
        (Kubelet(raw=b""), "the connection was closed"),
    ],
)  # fmt: skip
async def test_what_else_goes_wrong_is_an_error_in_words(socket: Path, kubelet: Kubelet, said: str) -> None:
    async with kubelet.serve(socket):
        state, reason = await failure(socket)
    assert state == "error"
    assert reason.startswith(f"{socket}: {said}")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_random_bytes_from_the_socket_are_an_error(sent: bytes, after_a_start: bool) -> None:
    """An empty SETTINGS frame makes the rest be read as HTTP/2."""

    async def call() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(b"\0\0\0\4\0\0\0\0\0" * after_a_start + sent)
        reader.feed_eof()
        with pytest.raises(our_grpc.CallFailed):
            await our_grpc.unary(reader, _Sink(), METHOD)  # type: ignore[arg-type]

    asyncio.run(call())


class _Sink:
    """A writer that takes everything."""

    def write(self, data: bytes) -> None:
        pass

    async def drain(self) -> None:
        pass


@pytest.fixture
def real_server(socket: Path) -> Iterator[list[bytes]]:
    """GRPC's own server on the socket; it answers with what the list holds."""
    grpc = pytest.importorskip("grpc")
    messages = [LARGE]
    handler = grpc.method_handlers_generic_handler(
        "v1.PodResourcesLister",
        {
            "List": grpc.unary_unary_rpc_method_handler(
                lambda request, context: _answer(grpc, messages, context)
            )
        },
    )
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool, options=[("grpc.max_send_message_length", -1)])
        server.add_generic_rpc_handlers((handler,))
        server.add_insecure_port(f"unix:{socket}")
        server.start()
        yield messages
        server.stop(None).wait()


def _answer(grpc: Any, messages: list[bytes], context: Any) -> bytes:
    if not messages:
        context.abort(grpc.StatusCode.UNAVAILABLE, "come back later: 100 %")
    return messages[0]


@pytest.mark.peer
async def test_a_real_grpc_server_answers(socket: Path, real_server: list[bytes]) -> None:
    assert await ask(socket, 30) == LARGE
    real_server[:] = [b""]
    assert await ask(socket, 30) == b""
    real_server.clear()
    assert await failure(socket) == (
        "error",
        f"{socket}: gRPC status unavailable: come back later: 100 %",
    )
