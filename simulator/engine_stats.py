"""What an engine process has counted since it started: the values behind its /metrics."""

from __future__ import annotations

from collections import Counter

from simulator.histogram import (
    CHOICES,
    HTTP,
    HTTP_FINE,
    ITERATION,
    PER_TOKEN,
    PREEMPTIONS,
    REQUEST,
    TTFT,
    Histogram,
    one_two_five,
)
from simulator.request import Request

FINISH_REASONS = ("stop", "length", "abort", "error", "repetition")


class EngineStats:
    """Counters and histograms of one process; a restart begins new ones. Times in ms, values in seconds."""

    def __init__(self, started: int, longest: int) -> None:
        edges = one_two_five(longest)
        self.started = started
        self.running = self.waiting = 0
        self.kv_usage = 0.0
        self.prompt_tokens = self.cached_tokens = 0
        self.queried_tokens = self.hit_tokens = 0  # at admission, before the prefill is done
        self.generation_tokens = self.preemptions = 0
        self.success: Counter[str] = Counter()
        self.http: Counter[str] = Counter()
        self.ttft, self.inter_token = Histogram(TTFT), Histogram(PER_TOKEN)
        self.per_output_token = Histogram(PER_TOKEN)
        self.e2e, self.queue, self.inference = Histogram(REQUEST), Histogram(REQUEST), Histogram(REQUEST)
        self.prefill, self.decode = Histogram(REQUEST), Histogram(REQUEST)
        self.iteration_tokens = Histogram(ITERATION)
        self.request_prompt, self.request_generation = Histogram(edges), Histogram(edges)
        self.request_max_generation, self.request_max_tokens = Histogram(edges), Histogram(edges)
        self.request_prefill_computed = Histogram(edges)
        self.request_preemptions, self.choices = Histogram(PREEMPTIONS), Histogram(CHOICES)
        self.http_fine, self.http_duration = Histogram(HTTP_FINE), Histogram(HTTP)

    def first_token(self, request: Request, at: float) -> None:
        """A prefill is done: its tokens count now, and the first token is out."""
        self.prompt_tokens += request.prompt
        self.cached_tokens += request.cached
        self.generation_tokens += 1
        self.ttft.observe((at - request.arrived) / 1000)

    def finished(self, request: Request, output_limit: int) -> None:
        """A complete answer: vLLM's per-request families all count it once."""
        tokens, decode = request.length, (request.last_token - request.first_token) / 1000
        self.success["length" if tokens >= output_limit else "stop"] += 1
        self.e2e.observe((request.last_token - request.arrived) / 1000)
        self.queue.observe((request.scheduled - request.queued) / 1000)
        self.prefill.observe((request.first_token - request.scheduled) / 1000)
        self.decode.observe(decode)
        self.inference.observe((request.last_token - request.scheduled) / 1000)
        # one token has no time per output token: vLLM records 0 for it
        self.per_output_token.observe(decode / (tokens - 1) if tokens > 1 else 0.0)
        self.request_prompt.observe(request.prompt)
        self.request_generation.observe(tokens)
        self.request_max_generation.observe(tokens)
        self.request_max_tokens.observe(output_limit)
        self.request_prefill_computed.observe(request.prompt - request.cached)
        self.request_preemptions.observe(request.preemptions)
        self.choices.observe(1)
        self.answered("2xx", (request.last_token - request.arrived) / 1000)

    def answered(self, status: str, seconds: float) -> None:
        """An HTTP answer of the class `status` (`2xx`) that took so long."""
        self.http[status] += 1
        self.http_fine.observe(seconds)
        self.http_duration.observe(seconds)
