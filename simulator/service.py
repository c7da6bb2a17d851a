"""The service in front of the replicas: clients, the balancer, and the account of every request."""

from __future__ import annotations

import random

from model.topology import Entity
from simulator.replica import Replica
from simulator.request import Clients, Ledger, Request
from simulator.settings import ClusterSettings


class Service:
    """Least-request balancing over ready replicas, two drawn and the emptier taken, as Envoy does.

    A replica that fails fast is always the emptier one, so a zombie attracts more than its share.
    A refused connection is tried once more elsewhere; an HTTP error is handed to the client.
    """

    def __init__(self, settings: ClusterSettings, ledger: Ledger) -> None:
        self.name, self.namespace = settings.service, settings.namespace
        self.entity = Entity("service", self.name)
        self.replicas: list[Replica] = []
        self.ledger = ledger
        # faults
        self.rate = 1.0  # multiple of the usual demand
        self.prompt = 1.0  # multiple of the usual prompt length
        self._load = settings.load
        engine = settings.engine
        self._clients = Clients(settings.load, engine.front_end, engine.longest, f"clients {settings.seed}")
        self._random = random.Random(f"balancer {settings.seed}")

    def demand(self) -> float:
        """Requests per second that the clients send now."""
        return self._load.rate * len(self.replicas) * self.rate

    def dispatch(self, start: int, end: int) -> None:
        """Send what arrives in (start, end] (ms) to the replicas."""
        arrivals = self._clients.arrivals(start, end, self.demand(), self.prompt)
        if not arrivals:
            return
        ready = [replica for replica in self.replicas if replica.ready]
        for request in arrivals:
            self.ledger.arrived += 1
            failure = self._send(request, ready)
            if failure:
                self.ledger.failures[failure] += 1

    def _send(self, request: Request, ready: list[Replica]) -> str:
        if not ready:
            return "503"
        first = self._pick(ready)
        answer = first.submit(request)
        if answer != "refused":
            return answer
        others = [replica for replica in ready if replica is not first]
        if not others:
            return "502"
        self.ledger.retried += 1
        answer = self._pick(others).submit(request)
        return "502" if answer == "refused" else answer

    def _pick(self, ready: list[Replica]) -> Replica:
        one, other = self._random.choice(ready), self._random.choice(ready)
        return one if one.engine.in_flight <= other.engine.in_flight else other
