"""Calls with a deadline."""

from __future__ import annotations

import threading

import pytest

from agent.worker import DeadlinePassed, StillBusy, Worker


def test_results_and_errors_come_through() -> None:
    worker = Worker("test")
    assert worker.call(lambda: 42, 5.0) == 42
    with pytest.raises(ValueError, match="no"):
        worker.call(lambda: int("no"), 5.0)

    def times_out() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        worker.call(times_out, 5.0)
    worker.close()


def test_a_call_that_does_not_return_is_left_and_no_second_one_begun() -> None:
    worker, gate = Worker("test"), threading.Event()
    with pytest.raises(DeadlinePassed):
        worker.call(gate.wait, 0.01)
    assert worker.busy
    with pytest.raises(StillBusy):
        worker.call(lambda: 1, 0.01)
    gate.set()
    _until_idle(worker)
    assert worker.call(lambda: 2, 5.0) == 2
    worker.close()


async def test_asynchronously() -> None:
    worker, gate = Worker("test"), threading.Event()
    assert await worker.call_async(lambda: 42, 5.0) == 42
    with pytest.raises(DeadlinePassed):
        await worker.call_async(gate.wait, 0.01)
    gate.set()
    worker.close()


def test_it_is_a_daemon_and_ends_when_closed() -> None:
    worker = Worker("test")
    worker.call(lambda: None, 5.0)
    thread = worker._thread
    assert thread is not None
    assert thread.daemon, "a hung call must not keep the process from ending"
    worker.close()
    thread.join(5.0)
    assert not thread.is_alive()


def _until_idle(worker: Worker) -> None:
    while worker.busy:
        pass
