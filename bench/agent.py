"""What the agent costs: memory (PSS) and CPU of its process at a 1 s interval, beside node_exporter.

The agent runs as it does in production, in a process of its own, pushing to a small sink and scraping
two engines that answer a page like vLLM's. The peer, Debian's prometheus-node-exporter, is scraped
once a second in the same run. It collects more families and pushes nothing; the comparison is of what
watching a host costs, not of equal work.

    python -m bench.agent [--seconds 60] [--engines 2]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

MEMORY_AIM_MIB = 64.0
CPU_AIM_PERCENT = 1.0
_BUCKETS = (
    ".001", ".005", ".01", ".02", ".04", ".06", ".08", ".1", ".25", ".5", ".75", "1", "2.5", "5", "7.5", "10",
    "20", "40", "80", "160", "640", "2560", "+Inf",
)  # fmt: skip
_HISTOGRAMS = (
    "time_to_first_token_seconds",
    "inter_token_latency_seconds",
    "e2e_request_latency_seconds",
    "request_queue_time_seconds",
    "request_prefill_time_seconds",
    "request_decode_time_seconds",
    "request_inference_time_seconds",
    "request_prompt_tokens",
    "request_generation_tokens",
    "request_time_per_output_token_seconds",
    "iteration_tokens_total",
)
_GAUGES = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")
_COUNTERS = (
    "prompt_tokens",
    "generation_tokens",
    "num_preemptions",
    "prefix_cache_queries",
    "prefix_cache_hits",
)

_RUN_AGENT = """
import asyncio, json, signal, sys
from agent.main import run
from agent.settings import AgentSettings
async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run(AgentSettings.model_validate(json.loads(sys.argv[1])), stop)
asyncio.run(main())
"""


@dataclass(frozen=True)
class Cost:
    """Of one process over the run."""

    pss_mib: float
    cpu_percent: float


class Sink:
    """Takes frames and answers as vLLM would; counts what came."""

    def __init__(self) -> None:
        self.requests = self.bytes = self.scrapes = 0

    async def take(self, request: web.Request) -> web.Response:
        self.requests += 1
        self.bytes += len(await request.read())
        return web.json_response({"accepted": 1})

    async def page(self, request: web.Request) -> web.Response:
        self.scrapes += 1
        return web.Response(
            text=engine_page(self.scrapes), headers={"Content-Type": "text/plain; version=1.0.0"}
        )

    async def start(self) -> tuple[web.AppRunner, str]:
        app = web.Application()
        app.add_routes([web.post("/api/v1/frames", self.take), web.get("/engine/{number}", self.page)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


def engine_page(step: int) -> str:
    """A page of about 300 series whose numbers move."""
    labels = 'engine="0",model_name="llama"'
    lines = []
    for name in _GAUGES:
        lines += [f"# TYPE vllm:{name} gauge", f"vllm:{name}{{{labels}}} {step % 17}.0"]
    for name in _COUNTERS:
        lines += [f"# TYPE vllm:{name} counter", f"vllm:{name}_total{{{labels}}} {step * 37}.0"]
    for name in _HISTOGRAMS:
        lines.append(f"# TYPE vllm:{name} histogram")
        lines += [
            f'vllm:{name}_bucket{{{labels},le="{bound}"}} {step * place}.0'
            for place, bound in enumerate(_BUCKETS)
        ]
        lines += [f"vllm:{name}_count{{{labels}}} {step * 22}.0", f"vllm:{name}_sum{{{labels}}} {step * 3.7}"]
    return "\n".join(lines) + "\n"


def pss_mib(pid: int) -> float:
    """Proportional set size, MiB: memory shared with others counts by its share."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError("no Pss in smaps_rollup")


def cpu_seconds(pid: int) -> float:
    """User and system time of the process, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _scrape(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(url) as answer:
        return await answer.text()


async def measure(pid: int, seconds: float, url: str | None) -> Cost:
    """Over `seconds` after a start of five; scraped once a second if there is a URL."""
    await asyncio.sleep(5)
    loop = asyncio.get_running_loop()
    cpu, began, worst = cpu_seconds(pid), loop.time(), 0.0
    async with aiohttp.ClientSession() as session:
        while loop.time() - began < seconds:
            if url is not None:
                await _scrape(session, url)
            worst = max(worst, pss_mib(pid))
            await asyncio.sleep(1)
    return Cost(worst, 100 * (cpu_seconds(pid) - cpu) / (loop.time() - began))


async def bench_agent(seconds: float, engines: int, folder: str) -> tuple[Cost, Sink]:
    sink = Sink()
    runner, url = await sink.start()
    configuration = {
        "listen": "127.0.0.1:0",
        "interval": "1s",
        "engines": [
            {"job": "vllm", "instance": f"llama-{number}", "url": f"{url}/engine/{number}"}
            for number in range(engines)
        ],
        "push": {"url": url, "spool": {"directory": f"{folder}/spool"}},
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _RUN_AGENT, json.dumps(configuration)
    )
    try:
        return await measure(process.pid, seconds, None), sink
    finally:
        process.terminate()
        await process.wait()
        await runner.cleanup()


async def bench_peer(seconds: float, port: int = 19_100) -> Cost | None:
    """None if the package is not installed."""
    binary = shutil.which("prometheus-node-exporter")
    if binary is None:
        return None
    process = await asyncio.create_subprocess_exec(
        binary, f"--web.listen-address=127.0.0.1:{port}", stderr=asyncio.subprocess.DEVNULL
    )
    try:
        return await measure(process.pid, seconds, f"http://127.0.0.1:{port}/metrics")
    finally:
        process.terminate()
        await process.wait()


def _verdict(value: float, aim: float) -> str:
    return "met" if value <= aim else "MISSED"


async def bench(seconds: float, engines: int) -> bool:
    """Print the figures; whether both aims are met."""
    with tempfile.TemporaryDirectory(prefix="bench-agent-") as folder:
        (cost, sink), peer = await asyncio.gather(bench_agent(seconds, engines, folder), bench_peer(seconds))
    series = sum(not line.startswith("#") for line in engine_page(1).splitlines())
    print(
        f"host: {os.cpu_count()} CPUs {platform.machine()}, Python {platform.python_version()}, {seconds:g} s"
    )
    print(f"agent: interval 1 s, {engines} engines of {series} series each, push to a sink")
    size = sink.bytes / max(1, sink.requests)
    print(f"  {sink.requests} requests of {size:.0f} bytes, {sink.scrapes} scrapes")
    memory, cpu = _verdict(cost.pss_mib, MEMORY_AIM_MIB), _verdict(cost.cpu_percent, CPU_AIM_PERCENT)
    print(f"  PSS {cost.pss_mib:.1f} MiB (aim <= {MEMORY_AIM_MIB:g} MiB: {memory})")
    print(f"  CPU {cost.cpu_percent:.2f} % of a core (aim <= {CPU_AIM_PERCENT:g} %: {cpu})")
    if peer is None:
        print("peer absent: apt-get install prometheus-node-exporter")
    else:
        print("peer prometheus-node-exporter, scraped each second:")
        print(f"  PSS {peer.pss_mib:.1f} MiB, CPU {peer.cpu_percent:.2f} % of a core")
    return cost.pss_mib <= MEMORY_AIM_MIB and cost.cpu_percent <= CPU_AIM_PERCENT


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the measurement")
    parser.add_argument("--engines", type=int, default=2, help="engines that the agent scrapes")
    options = parser.parse_args()
    sys.exit(0 if asyncio.run(bench(options.seconds, options.engines)) else 1)


if __name__ == "__main__":
    main()
