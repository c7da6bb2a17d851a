from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine import Engine
from simulator.request import Ledger, Request
from simulator.settings import EngineSettings

QUIET = EngineSettings(jitter=0.0)


def request(arrived: float, prompt: int = 800, output: int = 100, length: int | None = None) -> Request:
    return Request(
        arrived=arrived,
        queued=arrived + 60.0,
        prompt=prompt,
        cached=prompt // 2,
        output=output,
        length=output if length is None else length,
    )


def run(engine: Engine, until: int) -> None:
    for now in range(100, until + 1, 100):
        engine.advance(now)


def test_one_request_goes_through_queue_prefill_and_decode() -> None:
    ledger = Ledger()
    engine = Engine(QUIET, 2048, ledger, "seed")
    engine.submit(request(0.0, prompt=300, output=11))
    run(engine, 2_000)
    stats = engine.stats
    prefill = QUIET.iteration + QUIET.per_prompt_token * 150
    decode = QUIET.iteration + QUIET.per_sequence
    assert ledger.finished == 1
    assert stats.ttft.sum * 1000 == 60.0 + prefill
    assert round(stats.inter_token.sum * 1000, 6) == round(10 * decode, 6)
    assert round(stats.e2e.sum, 9) == round(stats.ttft.sum + stats.inter_token.sum, 9)
    assert stats.generation_tokens == 11
    assert stats.prompt_tokens == 300
    assert stats.cached_tokens == 150


def test_the_slowest_rank_paces_the_group() -> None:
    latencies = []
    for slowness in (1.0, 1.5):
        engine = Engine(QUIET, 2048, Ledger(), "seed")
        engine.slowness = slowness
        engine.submit(request(0.0))
        run(engine, 10_000)
        latencies.append(engine.stats.inter_token.sum / engine.stats.inter_token.count)
    assert round(latencies[1] / latencies[0], 6) == 1.5


def test_a_full_kv_cache_preempts_the_youngest_and_finishes_it_later() -> None:
    ledger = Ledger()
    engine = Engine(QUIET.model_copy(update={"kv_tokens": 2_000}), 2048, ledger, "seed")
    for number in range(3):
        engine.submit(request(float(number), prompt=500, output=400))
    run(engine, 60_000)
    assert ledger.finished == 3
    assert engine.stats.preemptions > 0
    assert engine.stats.request_preemptions.sum == engine.stats.preemptions
    assert engine.stats.generation_tokens == 1200
    assert engine.stats.kv_usage == 0.0


def test_clients_that_leave_move_no_abort_counter() -> None:
    ledger = Ledger()
    engine = Engine(QUIET, 2048, ledger, "seed")
    engine.submit(request(0.0, output=100, length=7))
    run(engine, 5_000)
    assert (ledger.aborted, ledger.finished) == (1, 0)
    assert engine.stats.success["abort"] == 0
    assert engine.stats.ttft.count - engine.stats.e2e.count == 1  # the only trace (capture C1)
    assert engine.stats.http == {"2xx": 1}


def test_the_waiting_give_up_and_the_running_do_not() -> None:
    ledger = Ledger()
    engine = Engine(QUIET.model_copy(update={"sequences": 1}), 2048, ledger, "seed")
    engine.submit(request(0.0, output=2_000))
    engine.submit(request(1.0))
    engine.advance(10_000)
    assert engine.drop_overdue(30_000, 30_000) == 0
    assert engine.drop_overdue(30_001, 30_000) == 1
    assert (ledger.aborted, ledger.timed_out, engine.in_flight) == (1, 1, 1)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4_000), st.integers(1, 900), st.integers(1, 300), st.booleans()), max_size=40
    ),
    st.integers(1_000, 20_000),
    st.integers(1, 30_000),
)
def test_no_request_and_no_token_is_lost(
    arrivals: list[tuple[int, int, int, bool]], kv_tokens: int, until: int
) -> None:
    """What vLLM's own captures satisfy holds at any moment, preemptions and deserters included."""
    ledger = Ledger()
    engine = Engine(QUIET.model_copy(update={"kv_tokens": kv_tokens, "jitter": 0.1}), 256, ledger, "seed")
    for at, prompt, output, leaves in sorted(arrivals):
        ledger.arrived += 1
        engine.submit(request(float(at), prompt, output, max(1, output // 2) if leaves else output))
    run(engine, until)
    stats = engine.stats
    assert ledger.in_flight == engine.in_flight
    assert stats.inter_token.count == stats.generation_tokens - stats.ttft.count
    assert stats.iteration_tokens.sum == stats.prompt_tokens - stats.cached_tokens + stats.generation_tokens
    assert stats.success.total() == stats.e2e.count == stats.queue.count == stats.request_prompt.count
    assert stats.success.total() == ledger.finished
    assert stats.request_generation.sum <= stats.generation_tokens
    assert stats.cached_tokens <= stats.hit_tokens <= stats.queried_tokens
    assert 0.0 <= stats.kv_usage <= 1.0
    assert abs(stats.e2e.sum - stats.inference.sum - stats.queue.sum - 0.06 * ledger.finished) < 1e-6
