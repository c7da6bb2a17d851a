"""What the simulated cluster is made of.

The defaults give the healthy levels of the fault catalogue within its 30 %: 20 requests/s on eight
replicas, 25 ms between tokens, 58 C, 480 W, 1980 MHz. TTFT p99 is 0.4 s, at the lower end, so that a
healthy cluster keeps an objective of 0.5 s.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from model.settings import Duration, Settings
from simulator.ranges import DurationRange


class GpuSettings(Settings):
    """The physics of one accelerator; the defaults resemble an H100 80GB SXM."""

    model_name: str = Field("NVIDIA H100 80GB HBM3", description="Product name on the DCGM labels.")
    driver_version: str = Field("570.86.15", description="Driver version on the DCGM labels.")
    memory: int = Field(81_559, description="Frame buffer in MiB.", gt=0)
    idle_power: float = Field(115.0, description="Watts with a context held and nothing running.", gt=0)
    busy_power: float = Field(480.0, description="Watts of a rank that decodes all the time.", gt=0)
    power_limit: float = Field(700.0, description="Watts that the board never exceeds.", gt=0)
    clock: float = Field(1980.0, description="SM clock in MHz while nothing limits it.", gt=0)
    throttled_clock: float = Field(1200.0, description="The lowest SM clock under thermal slowdown.", gt=0)
    inlet: float = Field(24.0, description="Temperature of the air that comes in, Celsius.")
    heating: float = Field(34.0, description="Degrees above the inlet that `busy_power` heats to.", gt=0)
    slowdown: float = Field(87.0, description="Temperature in Celsius at which the clock comes down.")
    time_constant: Duration = Field(120_000, description="Thermal inertia: time to 63 % of a change.")


class EngineSettings(Settings):
    """One serving engine: a tensor-parallel group that batches continuously, as vLLM does."""

    model_name: str = Field("llama-70b", description="Model name on the engine's series.")
    gpus: int = Field(4, description="Tensor-parallel size: GPUs per replica.", ge=1)
    iteration: float = Field(15.5, description="Fixed part of one engine iteration, ms.", gt=0)
    per_sequence: float = Field(
        0.22, description="What each decoding sequence adds to an iteration, ms.", ge=0
    )
    per_prompt_token: float = Field(0.052, description="What each prefilled token adds, ms.", ge=0)
    jitter: float = Field(0.04, description="Relative spread of the iteration time.", ge=0, lt=0.3)
    front_end: float = Field(
        50.0, description="HTTP and tokenizer time before the engine sees a request, ms."
    )
    batched_tokens: int = Field(
        640, description="Token budget of an iteration (max_num_batched_tokens).", gt=0
    )
    sequences: int = Field(256, description="Most sequences that run at once (max_num_seqs).", gt=0)
    kv_tokens: int = Field(122_880, description="KV cache in tokens.", gt=0)
    block: int = Field(16, description="Tokens per KV block.", gt=0)
    memory: int = Field(75_400, description="MiB of each GPU that the engine holds.", gt=0)
    longest: int = Field(32_768, description="max_model_len: the end of the token histograms.", gt=0)


class LoadSettings(Settings):
    """What the clients ask for."""

    rate: float = Field(2.5, description="Requests per second for each replica of the service.", ge=0)
    prompt_mean: float = Field(1000.0, description="Mean prompt length in tokens (log-normal).", gt=0)
    prompt_spread: float = Field(0.65, description="Sigma of the log of the prompt length.", ge=0)
    output_mean: float = Field(660.0, description="Mean output length in tokens (log-normal).", gt=0)
    output_spread: float = Field(0.7, description="Sigma of the log of the output length.", ge=0)
    output_limit: int = Field(2048, description="max_tokens of the requests.", gt=0)
    cached: float = Field(0.45, description="Share of the prompt found in the prefix cache.", ge=0, le=1)
    leaving: float = Field(0.01, description="Share of clients that go away in mid-answer.", ge=0, le=1)
    failing: float = Field(0.0005, description="Share of requests that fail without a fault.", ge=0, le=1)
    patience: Duration = Field(30_000, description="Clients give up when no token came for so long.")


class DelaySettings(Settings):
    """How long the parts of a real cluster take to notice or to act; a fault file may compress them."""

    exporter_notices: DurationRange = Field((5_000, 15_000), description="GPU lost to its DCGM series gone.")
    engine_notices: DurationRange = Field((500, 5_000), description="GPU lost to the engine's death.")
    process_exits: DurationRange = Field((1_000, 4_000), description="Engine dead to its server gone.")
    device_plugin_notices: DurationRange = Field(
        (30_000, 90_000), description="A device's health to the node's allocatable."
    )
    model_load: DurationRange = Field((45_000, 90_000), description="Start of an engine to its first answer.")
    restart_backoff: DurationRange = Field((10_000, 20_000), description="Container exit to its next start.")
    probe: DurationRange = Field((5_000, 5_000), description="Interval of the readiness probe.")
    node_lease: DurationRange = Field((40_000, 50_000), description="Node gone to its condition Unknown.")
    repair: DurationRange = Field(
        (600_000, 1_200_000), description="Node cordoned to its GPU reset and back."
    )


class ClusterSettings(Settings):
    """The whole cluster."""

    nodes: int = Field(4, description="GPU nodes.", ge=1, le=500)
    gpus_per_node: int = Field(8, description="GPUs in each node.", ge=1, le=16)
    nodes_per_rack: int = Field(4, description="Nodes that share a rack and its cooling.", ge=1)
    replicas_per_node: int | None = Field(
        None, description="Replicas on each node; as many as its GPUs carry by default.", ge=0
    )
    service: str = Field("chat", description="Name of the service and of its Deployment.")
    namespace: str = Field("serving", description="Kubernetes namespace of the service.")
    seed: int = Field(1, description="All chance follows from it: equal seeds, equal runs.")
    warm_up: Duration = Field(
        90_000, description="Virtual time run before the start, so that load is steady."
    )
    gpu: GpuSettings = Field(GpuSettings(), description="The accelerators.")
    engine: EngineSettings = Field(EngineSettings(), description="The serving engines.")
    load: LoadSettings = Field(LoadSettings(), description="The clients.")
    delays: DelaySettings = Field(DelaySettings(), description="How quickly the cluster reacts.")

    @model_validator(mode="after")
    def _fits(self) -> ClusterSettings:
        if self.replicas_per_node and self.replicas_per_node * self.engine.gpus > self.gpus_per_node:
            raise ValueError(
                f"{self.replicas_per_node} replicas of {self.engine.gpus} GPUs do not fit in"
                f" {self.gpus_per_node} GPUs"
            )
        return self
