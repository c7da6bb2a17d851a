"""What /metrics and a frame cost on a full node: 8 GPUs, XIDs, 8 engines, some 4,000 series.

Microseconds of one core, the best of several rounds, without collectors; then whole requests over loopback.

    python -m bench.exposition [--engines 8] [--gpus 8]
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from agent.exposition import Exposition
from agent.reading import Naming, Reading, Stream
from agent.server import Server
from bench.agent.processes import usage
from bench.agent.world import engine_page
from model.labels import Labels
from model.metric import Metric, Sample
from wire.target_labels import with_target_labels
from wire.text import TextDecoder

NODE = {"job": "fleetowl-agent", "instance": "gpu-7", "node": "gpu-7"}
FAMILIES_OF_A_GPU = 70
XIDS = 45
HOST_SERIES = 300
AIM_MS = 5.0


def gpu_samples(gpus: int) -> tuple[list[Metric], list[Sample]]:
    """Families and samples as the GPU source and the host make them."""
    metrics = [
        Metric(f"fleetowl_gpu_m{n}", "gauge", f"The GPU's value {n}.") for n in range(FAMILIES_OF_A_GPU)
    ]
    metrics.append(Metric("fleetowl_xid_total", "counter", "XIDs that the driver reported."))
    metrics += [Metric(f"node_m{n}", "gauge", f"The host's value {n}.") for n in range(HOST_SERIES)]
    who = [Labels({"gpu": str(g), "UUID": f"GPU-{g:032x}", "modelName": "NVIDIA H200"}) for g in range(gpus)]
    codes = [[Labels({"uuid": w["UUID"], "xid": str(x)}) for x in range(XIDS)] for w in who]
    plain = Labels()
    samples = [Sample(f"fleetowl_gpu_m{n}", w, 0.0) for n in range(FAMILIES_OF_A_GPU) for w in who]
    samples += [Sample("fleetowl_xid_total", one, 0.0) for each in codes for one in each]
    samples += [Sample(f"node_m{n}", plain, 0.0) for n in range(HOST_SERIES)]
    return metrics, samples


def at_turn(samples: Sequence[Sample], turn: int) -> list[Sample]:
    """Fresh samples whose numbers move, a third of them in their decimals."""
    return [
        Sample(name, labels, float(place + turn) if place % 3 else round(place + turn * 0.37, 2))
        for place, (name, labels, _) in enumerate(samples)
    ]


class Engine:
    """What agent.engines.scrape keeps of an engine, without HTTP."""

    def __init__(self, number: int) -> None:
        self.target = {"job": "vllm", "instance": f"gpu-7:{8000 + number}", "node": "gpu-7"}
        decoder = TextDecoder()
        self.found = decoder.decode(engine_page(1).encode())
        self.series = [with_target_labels(decoder.labels[local], self.target) for local in self.found.ids]
        self.types = dict(decoder.types)

    def reading(self, turn: int) -> Reading:
        """Its series with other numbers."""
        values = [value * turn for value in self.found.values]
        return Reading(turn, self.series, values, self.types)


def best(call: Callable[[int], object], rounds: int = 60) -> float:
    """Microseconds of the fastest call; it gets the number of its turn."""
    fastest = float("inf")
    for turn in range(1, rounds):
        began = time.perf_counter()
        call(turn)
        fastest = min(fastest, time.perf_counter() - began)
    return fastest * 1e6


class Node:
    """Readings of a full node for 60 turns."""

    def __init__(self, gpus: int, engines: int) -> None:
        self.metrics, base = gpu_samples(gpus)
        self.types = {metric.name: metric.type for metric in self.metrics}
        self.naming = Naming(NODE)
        self.turns = [at_turn(base, turn) for turn in range(60)]
        named = [self.naming.reading(samples, self.types, turn) for turn, samples in enumerate(self.turns)]
        scraped = [Engine(number) for number in range(engines)]
        self.readings = [
            {0: named[turn], **{1 + number: one.reading(turn) for number, one in enumerate(scraped)}}
            for turn in range(60)
        ]

    async def serve(self) -> None:
        """/metrics with other readings at each request; says its address on the standard output."""
        turns = itertools.cycle(list(one.values()) for one in self.readings)
        exposition = Exposition(lambda: self.metrics)
        server = Server("127.0.0.1:0", exposition, lambda: next(turns), lambda: (True, ""))
        await server.start()
        print(server.address, flush=True)
        await asyncio.Event().wait()


def ask(node: str, requests: int) -> tuple[list[float], float]:
    """Milliseconds of each request to the /metrics of a node in a process of its own, fastest first.

    And the milliseconds of CPU that the process used for one, which a busy machine does not disturb.
    """
    arguments = [sys.executable, "-m", "bench.exposition", *node.split(), "--serve"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        connection = http.client.HTTPConnection(process.stdout.readline().strip())
        took, used = [], usage(process.pid).cpu_seconds
        for _ in range(requests):
            began = time.perf_counter()
            connection.request("GET", "/metrics")
            connection.getresponse().read()
            took.append((time.perf_counter() - began) * 1e3)
            time.sleep(0.02)  # as a scraper that comes now and then: caches are cold
        used = usage(process.pid).cpu_seconds - used
        process.terminate()
    return sorted(took), used / requests * 1e3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--engines", type=int, default=8)
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    node = Node(asked.gpus, asked.engines)
    if asked.serve:
        asyncio.run(node.serve())
    stream, exposition = Stream("gpu-7", 1000, bytes(16)), Exposition(lambda: node.metrics)
    print(f"{sum(len(one.series) for one in node.readings[1].values())} series, {asked.engines} engines")
    named = best(lambda turn: node.naming.reading(node.turns[turn], node.types, turn))
    print(f"name samples      {named:8.0f} us")
    print(f"make a frame      {best(lambda turn: stream.frame(node.readings[turn], turn, turn)):8.0f} us")
    rendered = best(lambda turn: exposition.render(list(node.readings[turn].values())))
    print(f"render /metrics   {rendered:8.0f} us")
    same = list(node.readings[1].values())
    print(f"render it again   {best(lambda turn: exposition.render(same)):8.0f} us")
    took, used = ask(f"--gpus {asked.gpus} --engines {asked.engines}", 400)
    half, most = took[len(took) // 2], took[len(took) * 99 // 100]
    verdict = "met" if most <= AIM_MS else "MISSED"
    print(f"GET /metrics      p50 {half:.1f} ms, p99 {most:.1f} ms (aim <= {AIM_MS:g} ms: {verdict})")
    print(f"its process       {used:.1f} ms of CPU a request of {len(exposition.render(same))} bytes")


if __name__ == "__main__":
    main()
