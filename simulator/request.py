"""Requests, what becomes of them, and the clients that send them."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass, field

from simulator.settings import LoadSettings


@dataclass(eq=False, slots=True)
class Request:
    """One request on its way. Times are float ms; `length` is how many tokens the client will take."""

    arrived: float
    queued: float
    prompt: int
    cached: int
    output: int
    length: int
    scheduled: float = 0.0
    first_token: float = 0.0
    last_token: float = 0.0
    to_prefill: int = 0
    generated: int = 0  # tokens before the present stay in the batch
    joined: int = 0  # iteration of the first token of the present stay
    leaves_batch: int = -1  # iteration that ends it
    preemptions: int = 0

    @property
    def abandoned(self) -> bool:
        """Whether the client goes away before the answer is complete."""
        return self.length < self.output


@dataclass
class Ledger:
    """Where every request of a service went: arrived = finished + failed + aborted + still in flight."""

    arrived: int = 0
    finished: int = 0
    aborted: int = 0
    timed_out: int = 0  # those of the aborted whose client lost patience
    retried: int = 0
    failures: Counter[str] = field(default_factory=Counter)  # by HTTP status

    @property
    def failed(self) -> int:
        """Requests that ended in an error."""
        return self.failures.total()

    @property
    def in_flight(self) -> int:
        """What must be in the engines now if nothing was lost."""
        return self.arrived - self.finished - self.failed - self.aborted


class Clients:
    """Poisson arrivals with log-normal prompt and output lengths; faults set the two factors."""

    def __init__(self, settings: LoadSettings, front_end: float, longest: int, seed: str) -> None:
        self._settings, self._front_end, self._longest = settings, front_end, longest
        self._random = random.Random(seed)
        self._until_next = self._random.expovariate(1.0)

    def arrivals(self, start: float, end: float, rate: float, prompt_factor: float) -> list[Request]:
        """The requests that come in (start, end] (ms) at `rate` per second, in time order."""
        found: list[Request] = []
        at = start
        while rate > 0:
            gap = self._until_next / rate * 1000
            if at + gap > end:
                self._until_next -= (end - at) * rate / 1000
                break
            at += gap
            found.append(self._request(at, prompt_factor))
            self._until_next = self._random.expovariate(1.0)
        return found

    def _request(self, at: float, prompt_factor: float) -> Request:
        settings = self._settings
        prompt = self._length(
            settings.prompt_mean * prompt_factor, settings.prompt_spread, self._longest // 2
        )
        output = self._length(settings.output_mean, settings.output_spread, settings.output_limit)
        leaves = self._random.random() < settings.leaving
        return Request(
            arrived=at,
            queued=at + self._front_end,
            prompt=prompt,
            cached=int(prompt * settings.cached),
            output=output,
            length=self._random.randint(1, output - 1) if leaves and output > 1 else output,
        )

    def _length(self, mean: float, spread: float, limit: int) -> int:
        drawn = self._random.lognormvariate(math.log(mean) - spread * spread / 2, spread)
        return max(1, min(limit, round(drawn)))
