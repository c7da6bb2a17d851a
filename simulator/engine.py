"""A continuously batching engine, iteration by iteration: queue -> prefill -> decode -> done.

Each iteration gives every decoding sequence one token and spends the rest of the token budget on
prefill, so long prompts and large batches slow everybody, and a slow rank slows the whole group.
When the KV cache is full the youngest sequence is preempted and recomputed later, as in vLLM.
"""

from __future__ import annotations

import heapq
import random
from collections import deque

from simulator.engine_stats import EngineStats
from simulator.request import Ledger, Request
from simulator.settings import EngineSettings

_WATERMARK = 0.01  # share of the KV cache that admission leaves free


class Engine:
    """The scheduler and the batch. It knows nothing of processes; `Replica` starts and kills it."""

    def __init__(self, settings: EngineSettings, output_limit: int, ledger: Ledger, seed: str) -> None:
        self._settings, self._output_limit, self._ledger = settings, output_limit, ledger
        self._random = random.Random(seed)
        self.slowness = 1.0  # of the slowest GPU of the group, set by the cluster
        self.cache_hit = 1.0  # multiple of the usual prefix cache hits
        self.stats = EngineStats(0, settings.longest)
        self.busy = 0.0  # ms of iterations since the cluster last looked
        self.prefilled = 0  # tokens, likewise
        self._empty(0.0)

    def _empty(self, now: float) -> None:
        self._waiting: deque[Request] = deque()
        self._running: dict[Request, None] = {}  # in the order of admission
        self._prefilling: deque[Request] = deque()
        self._ends: list[tuple[int, int, Request]] = []
        self._decoding = self._kv = self._iteration = self._order = 0
        self._chunks: list[tuple[Request, int]] = []
        self._clock, self._started = now, now
        self._end: float | None = None

    def restart(self, now: int) -> None:
        """A new process: nothing counted, nothing in flight. What was in flight must be taken first."""
        self._empty(float(now))
        self.stats = EngineStats(now, self._settings.longest)

    @property
    def in_flight(self) -> int:
        """Requests inside, waiting or running."""
        return len(self._waiting) + len(self._running)

    def submit(self, request: Request) -> None:
        """Queue a request; they must come in the order of their arrival."""
        self._waiting.append(request)

    def take_all(self) -> list[Request]:
        """Empty the engine and hand back what was in it (the process dies or its answers are lost)."""
        lost = [*self._running, *self._waiting]
        self._empty(self._clock)
        return lost

    def advance(self, now: float) -> None:
        """Run all iterations that end by `now` (ms)."""
        while True:
            if self._end is None and not self._begin(now):
                self._clock = max(self._clock, now)
                break
            if self._end is None or self._end > now:
                break
            self._complete(self._end)
        self.busy += max(0.0, now - self._started) if self._end is not None else 0.0
        self._started = max(self._started, now)
        if self._end is None:
            self._publish(now)

    def drop_overdue(self, now: float, patience: float) -> int:
        """Let go of waiting requests whose clients gave up; returns how many."""
        dropped = 0
        while self._waiting and self._waiting[0].arrived + patience <= now:
            if self._waiting[0].first_token:
                break  # preempted: its client has seen tokens and stays
            self._waiting.popleft()
            dropped += 1
        self._ledger.aborted += dropped
        self._ledger.timed_out += dropped
        return dropped

    def _begin(self, now: float) -> bool:
        start = self._clock
        if not self._running:
            if not self._waiting:
                return False
            start = max(start, self._waiting[0].queued)
            if start > now:
                return False
        self._admit(start)
        self._make_room()
        if not self._running:
            return False
        tokens = self._chunk()
        settings = self._settings
        cost = (
            settings.iteration + settings.per_sequence * self._decoding + settings.per_prompt_token * tokens
        )
        self.prefilled += tokens
        self._started = start
        self._end = start + cost * self.slowness * max(0.5, self._random.gauss(1.0, settings.jitter))
        return True

    def _admit(self, start: float) -> None:
        limit = self._settings.kv_tokens * (1 - _WATERMARK)
        while self._waiting and len(self._running) < self._settings.sequences:
            request = self._waiting[0]
            if request.queued > start or self._kv + request.prompt + request.generated > limit:
                return
            self._waiting.popleft()
            self._running[request] = None
            self._kv += request.prompt + request.generated
            if not request.first_token:
                request.cached = int(request.cached * self.cache_hit)
                self.stats.queried_tokens += request.prompt
                self.stats.hit_tokens += request.cached
            request.scheduled = start
            request.to_prefill = request.prompt - request.cached + request.generated
            self._prefilling.append(request)

    def _make_room(self) -> None:
        while self._kv + self._decoding > self._settings.kv_tokens and len(self._running) > 1:
            request, _ = self._running.popitem()
            if request.leaves_batch >= 0:
                request.generated += self._iteration - request.joined
                request.last_token = self._clock
                request.leaves_batch = -1
                self._decoding -= 1
            else:
                self._prefilling.remove(request)
            self._kv -= request.prompt + request.generated
            request.preemptions += 1
            self.stats.preemptions += 1
            self._waiting.appendleft(request)

    def _chunk(self) -> int:
        budget = left = max(0, self._settings.batched_tokens - self._decoding)
        self._chunks = []
        for request in self._prefilling:
            part = min(left, request.to_prefill)
            self._chunks.append((request, part))
            left -= part
            if left == 0:
                break
        return budget - left

    def _complete(self, at: float) -> None:
        stats, tokens = self.stats, self._decoding
        duration = at - self._started
        if tokens:
            stats.generation_tokens += tokens
            stats.inter_token.observe((at - self._clock) / 1000, tokens)
            self._kv += tokens
        self._iteration += 1
        self.busy += duration
        while self._ends and self._ends[0][0] <= self._iteration:
            self._leave(*heapq.heappop(self._ends), at)
        for request, part in self._chunks:
            request.to_prefill -= part
            if request.to_prefill <= 0:
                tokens += self._first_token(request, at)
        stats.iteration_tokens.observe(tokens)
        self._clock, self._started, self._end = at, at, None
        self._publish(at)

    def _first_token(self, request: Request, at: float) -> int:
        """The prefill is done; returns how many tokens vLLM counts for it in this iteration."""
        self._prefilling.popleft()
        counted = 1
        if request.first_token:  # recomputed after a preemption: it goes on where it was
            self.stats.generation_tokens += 1
            self.stats.inter_token.observe((at - request.last_token) / 1000)
        else:
            request.first_token = at
            self.stats.first_token(request, at)
            counted += request.prompt - request.cached
        self._kv += 1
        request.generated += 1
        request.last_token = at
        request.joined = self._iteration
        self._order += 1
        request.leaves_batch = self._iteration + request.length - request.generated
        self._decoding += 1
        if request.generated >= request.length:
            self._leave(request.leaves_batch, self._order, request, at)
        else:
            heapq.heappush(self._ends, (request.leaves_batch, self._order, request))
        return counted

    def _leave(self, iteration: int, _order: int, request: Request, at: float) -> None:
        if request.leaves_batch != iteration or request not in self._running:
            return  # an entry from before a preemption
        del self._running[request]
        self._decoding -= 1
        self._kv -= request.prompt + request.length
        request.last_token = at
        if request.abandoned:  # no abort counter moves: real vLLM's stays 0 (vllm#31503)
            self._ledger.aborted += 1
            self.stats.answered("2xx", (at - request.arrived) / 1000)
        else:
            self._ledger.finished += 1
            self.stats.finished(request, self._output_limit)

    def _publish(self, now: float) -> None:
        """Gauges change only when an iteration ends: those of a hung engine stay as they were."""
        stats = self.stats
        stats.running = len(self._running)
        waiting = len(self._waiting)
        for request in reversed(self._waiting):
            if request.queued <= now:
                break
            waiting -= 1
        stats.waiting = waiting
        stats.kv_usage = min(1.0, self._kv / self._settings.kv_tokens)
