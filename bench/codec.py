"""Decode rates on one core: text against prometheus_client's parser on the same bytes, frames, remote write.

Run as `python -m bench.codec`. The payload is synthetic and the same in each run: 45 % dcgm-exporter series
with pod labels, 35 % vLLM histograms, 20 % node_exporter. Times are CPU seconds of this process, best of N.
"""

from __future__ import annotations

import os
import platform
import random
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version

import cramjam
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from model.labels import NAME, Labels
from model.moment import SECOND
from telemetry.frame_ingest import FrameReceiver
from telemetry.ingest import TargetIngest
from telemetry.remote_write import RemoteWriteReceiver
from telemetry.window import Window
from wire.frames import Frame, Kind, Schema, encode, pack_values, schema_frame
from wire.render import format_series, format_value
from wire.text import Exposition, TextDecoder

SAMPLES = 100_000
LINES = 2500  # of a target: the exporters of one GPU node
SCRAPES = 3
T0 = 1_700_000_000_000
Series = tuple[str, Labels]


def dcgm() -> Iterator[Series]:
    """60 fields of 8 GPUs a node, as dcgm-exporter renders them beside pods."""
    fields = [f"DCGM_FI_DEV_FIELD_{number}" for number in range(60)]
    for node in range(1000):
        for field in fields:
            for gpu in range(8):
                yield (
                    field,
                    Labels(
                        {
                            NAME: field,
                            "gpu": str(gpu),
                            "UUID": f"GPU-{node:08x}-{gpu:04x}-4abc",
                            "device": f"nvidia{gpu}",
                            "modelName": "NVIDIA H100 80GB HBM3",
                            "hostname": f"gpu-node-{node}",
                            "container": "vllm",
                            "namespace": "llm",
                            "pod": f"vllm-{node}-{gpu}",
                        }
                    ),
                )


def vllm() -> Iterator[Series]:
    """Histograms of many engines and models."""
    edges = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0]
    names = ["time_to_first_token_seconds", "inter_token_latency_seconds", "e2e_request_latency_seconds"]
    for engine in range(10_000):
        for name in names:
            for edge in [*map(str, edges), "+Inf"]:
                family = f"vllm:{name}"
                yield (
                    family,
                    Labels(
                        {
                            NAME: family + "_bucket",
                            "engine": str(engine % 8),
                            "le": edge,
                            "model_name": f"meta-llama/Llama-3.3-70B-Instruct-{engine:04d}",
                            "served_by": f"vllm-replica-{engine:04d}.inference.svc.cluster.local",
                        }
                    ),
                )


def node() -> Iterator[Series]:
    """Short labels, as node_exporter has them."""
    for number in range(100_000):
        name = f"node_cpu_seconds_{number // 1000}_total"
        yield (
            name,
            Labels(
                {
                    NAME: name,
                    "cpu": str(number % 1000),
                    "mode": ("idle", "user", "system", "iowait")[number % 4],
                }
            ),
        )


@dataclass
class Target:
    """One endpoint: its series, and for each scrape a body and the values in it."""

    series: list[Labels]
    families: list[tuple[str, str]]
    """Family and type of each series."""
    values: list[list[float]]
    bodies: list[bytes]


def targets() -> list[Target]:
    """The payload: endpoints of LINES samples each, all of the same mix."""
    kinds = ((dcgm(), 0.45, "gauge"), (vllm(), 0.35, "histogram"), (node(), 0.20, "counter"))
    source = random.Random(1)
    found = []
    for _ in range(SAMPLES // LINES):
        rows = [(next(make), kind) for make, share, kind in kinds for _ in range(round(LINES * share))]
        target = Target(
            [labels for (_, labels), _ in rows], [(name, kind) for (name, _), kind in rows], [], []
        )
        for _ in range(SCRAPES):
            target.values.append([draw(source) for _ in rows])
            target.bodies.append(spell(target, target.values[-1]))
        found.append(target)
    return found


def draw(source: random.Random) -> float:
    """Counts, bytes and ratios alike."""
    return source.choice((float(source.randrange(10**6)), source.random() * 1e9, source.random()))


def spell(target: Target, values: list[float]) -> bytes:
    """The body of one scrape."""
    lines: list[str] = []
    family = ""
    for labels, (name, kind), value in zip(target.series, target.families, values, strict=True):
        if name != family:
            family = name
            lines.append(f"# HELP {name} Help of {name}.\n# TYPE {name} {kind}\n")
        lines.append(f"{format_series(labels)} {format_value(value)}\n")
    return "".join(lines).encode()


def best(run: Callable[[], object], times: int) -> float:
    """CPU seconds of the fastest of several runs."""
    found = []
    for _ in range(times):
        began = time.process_time()
        run()
        found.append(time.process_time() - began)
    return min(found)


def line(what: str, seconds: float, samples: int = SAMPLES) -> None:
    print(f"{what:<58}{seconds * 1000:9.1f} ms CPU {samples / seconds / 1e6:9.3f} M samples/s/core")


def text(payload: list[Target]) -> None:
    began = time.process_time()
    reference = [
        sample.value
        for target in payload
        for family in text_string_to_metric_families(target.bodies[0].decode())
        for sample in family.samples
    ]
    theirs = time.process_time() - began
    decoders = [TextDecoder() for _ in payload]

    def scrape(number: int) -> list[Exposition]:
        return [decoder.decode(own.bodies[number]) for decoder, own in zip(decoders, payload, strict=True)]

    first = best(lambda: scrape(1), 1)
    ordered = np.array([value for found in scrape(0) for value in found.values])
    assert ordered.tobytes() == np.array([value for own in payload for value in own.values[0]]).tobytes()
    # The reference parser sorts samples of a family its own way, so compare as a whole.
    assert np.sort(ordered).tobytes() == np.sort(np.array(reference)).tobytes()
    for decoder, own, found in zip(decoders, payload, scrape(0), strict=True):
        assert [decoder.labels[local] for local in found.ids] == own.series
    turns = iter(list(range(SCRAPES)) * 10)
    ours = best(lambda: scrape(next(turns)), 8)
    backwards = [b"\n".join(reversed(own.bodies[0].split(b"\n"))) for own in payload]
    bodies = iter([backwards, [own.bodies[0] for own in payload]] * 10)
    shuffled = best(lambda: [d.decode(body) for d, body in zip(decoders, next(bodies), strict=True)], 8)
    line(f"prometheus_client {version('prometheus_client')} text_string_to_metric_families", theirs)
    line("TextDecoder, first scrape (each line parsed with care)", first)
    line("TextDecoder, lines in another order than before", shuffled)
    line("TextDecoder, steady state", ours)
    print(f"{'ratio, steady state (values equal to the last bit)':<58}{theirs / ours:9.1f} x")


def window_text(payload: list[Target]) -> None:
    window = Window()
    ingests = [
        TargetIngest(window, str(number), SECOND, Labels({"job": "bench", "instance": str(number)}))
        for number in range(len(payload))
    ]
    turns = iter(range(1000))

    def scrape() -> None:
        turn = next(turns)
        for ingest, own in zip(ingests, payload, strict=True):
            assert ingest.ingest(own.bodies[turn % SCRAPES], T0 + turn * SECOND).up

    line("TargetIngest, first scrape into the window", best(scrape, 1))
    scrape()
    line("TargetIngest, steady state", best(scrape, 8))


def frames(payload: list[Target]) -> None:
    boot = bytes(16)
    receiver = FrameReceiver(Window())
    ticks: list[list[bytes]] = [[] for _ in range(10)]
    for number, own in enumerate(payload):
        schema = Schema(
            f"node-{number}", tuple(labels.merged({"node": str(number)}) for labels in own.series)
        )
        receiver.receive(encode(schema_frame(schema, boot, 0, T0, SECOND)), T0)
        packed = pack_values(own.values[0])
        for turn, bodies in enumerate(ticks):
            at = T0 + turn * SECOND
            bodies.append(encode(Frame(Kind.VALUES, boot, turn, at, SECOND, schema.schema_hash, packed)))
    turns = iter(ticks)

    def tick() -> None:
        for body in next(turns):
            assert receiver.receive(body, T0).status == 200

    tick()
    line("pack the values of frames", best(lambda: [pack_values(own.values[0]) for own in payload], 5))
    line("FrameReceiver, steady state", best(tick, 8))
    print(f"{'frames':<58}{sum(map(len, ticks[0])) / SAMPLES:9.1f} B/sample")


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def write_requests(series: list[Labels], values: list[float], at: int) -> list[bytes]:
    """Requests of 2,000 series, as Prometheus batches them."""
    parts = []
    for labels, value in zip(series, values, strict=True):
        pairs = b"".join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in labels.pairs)
        sample = (b"\x09" + struct.pack("<d", value) if value else b"") + b"\x10" + varint(at)
        parts.append(field(1, pairs + field(2, sample)))
    return [
        bytes(cramjam.snappy.compress_raw(b"".join(parts[start : start + 2000])))
        for start in range(0, len(parts), 2000)
    ]


def remote_write(payload: list[Target]) -> None:
    receiver = RemoteWriteReceiver(Window())
    series = [labels.merged({"i": str(n)}) for n, own in enumerate(payload) for labels in own.series]
    values = [value for own in payload for value in own.values[0]]
    turns = iter([write_requests(series, values, T0 + turn * SECOND) for turn in range(6)])

    def scrape() -> None:
        for body in next(turns):
            answer = receiver.receive(body, "application/x-protobuf", "snappy", "bench", T0)
            assert answer.status == 204, answer

    line("RemoteWriteReceiver, first (new series)", best(scrape, 1))
    line("RemoteWriteReceiver, steady state, 2,000 samples a request", best(scrape, 5))


def main() -> None:
    payload = targets()
    size = sum(len(own.bodies[0]) for own in payload)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(
        f"{len(payload)} targets of {LINES:,} samples, {size / 1e6:.1f} MB, {size / SAMPLES:.0f} B a sample"
    )
    text(payload)
    window_text(payload)
    frames(payload)
    remote_write(payload)


if __name__ == "__main__":
    main()
