"""The /metrics of a vLLM 0.32 API server (single-process mode): names, labels, order, `_created` lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simulator.engine_stats import FINISH_REASONS, EngineStats
from simulator.histogram import Histogram
from simulator.page import Page, Pairs, python_number, series
from simulator.replica import Replica
from simulator.settings import EngineSettings

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"

_HANDLER = "/v1/chat/completions"
_UNUSED_CACHES = (
    "external_prefix_cache_queries",
    "external_prefix_cache_hits",
    "mm_cache_queries",
    "mm_cache_hits",
)
_CACHE_SOURCES = ("device", "host", "p2p", "disk", "external_unspecified")


class VllmPage:
    """Renders the page of one replica; it is laid out anew when the process or its HTTP statuses change."""

    def __init__(self, replica: Replica, settings: EngineSettings) -> None:
        self._replica, self._settings = replica, settings
        self._key: tuple[object, ...] = ()
        self._page = Page(python_number)

    def render(self) -> bytes:
        """The page of the running process."""
        stats = self._replica.engine.stats
        key = (id(stats), tuple(stats.http))
        if key != self._key:
            self._key, self._page = key, _Layout(stats, self._settings).page
        return self._page.render()


class _Layout:
    def __init__(self, stats: EngineStats, settings: EngineSettings) -> None:
        self.page = Page(python_number)
        self._stats, self._settings = stats, settings
        self._model = ("model_name", settings.model_name)
        self._created = stats.started / 1000
        self._process()
        self._scheduler()
        self._counters()
        self._requests()
        self._latencies()
        self._cache_config()
        self._http()

    def _labels(self, *extra: tuple[str, str]) -> list[tuple[str, str]]:
        return sorted([("engine", "0"), self._model, *extra])

    def _gauge(
        self, name: str, help_text: str, read: Callable[[], float], labels: Pairs | None = None
    ) -> None:
        self.page.header(name, "gauge", help_text)
        self.page.sample(series(name, self._labels() if labels is None else labels), read)

    def _counter(
        self,
        name: str,
        help_text: str,
        read: Callable[[], Sequence[float]],
        sets: Sequence[Pairs] | None = None,
    ) -> None:
        label_sets = [list(pairs) for pairs in (sets if sets is not None else [self._labels()])]
        self.page.header(f"{name}_total", "counter", help_text)
        self.page.samples([series(f"{name}_total", pairs) for pairs in label_sets], read)
        self._born(name, help_text, label_sets)

    def _histogram(self, name: str, help_text: str, histogram: Histogram) -> None:
        self.page.header(name, "histogram", help_text)
        self.page.histogram(name, [("engine", "0")], [self._model], histogram)
        self._born(name, help_text, [self._labels()])

    def _born(self, name: str, help_text: str, label_sets: Sequence[Pairs]) -> None:
        self.page.header(f"{name}_created", "gauge", help_text)
        for pairs in label_sets:
            self.page.constant(series(f"{name}_created", pairs), self._created)

    def _process(self) -> None:
        self._gauge(
            "python_info",
            "Python platform information",
            lambda: 1.0,
            [("implementation", "CPython"), ("major", "3"), ("minor", "12"), ("version", "3.12.9")],
        )
        for name, help_text, value in (
            ("virtual_memory_bytes", "Virtual memory size in bytes.", 4.6e10),
            ("resident_memory_bytes", "Resident memory size in bytes.", 3.1e9),
            ("start_time_seconds", "Start time of the process since unix epoch in seconds.", self._created),
            ("open_fds", "Number of open file descriptors.", 96.0),
            ("max_fds", "Maximum number of open file descriptors.", 1048576.0),
        ):
            self.page.header(f"process_{name}", "gauge", help_text)
            self.page.constant(f"process_{name} ", value)

    def _scheduler(self) -> None:
        stats = self._stats
        self._gauge(
            "vllm:num_requests_running",
            "Number of requests in model execution batches.",
            lambda: float(stats.running),
        )
        self._gauge(
            "vllm:num_requests_waiting",
            "Number of requests waiting to be processed.",
            lambda: float(stats.waiting),
        )
        name = "vllm:num_requests_waiting_by_reason"
        self.page.header(name, "gauge", "Number of waiting requests by reason.")
        self.page.samples(
            [series(name, self._labels(("reason", reason))) for reason in ("capacity", "deferred")],
            lambda: (float(stats.waiting), 0.0),
        )
        name = "vllm:engine_sleep_state"
        self.page.header(name, "gauge", "Engine sleep state.")
        states = ("awake", "weights_offloaded", "discard_all")
        self.page.samples(
            [series(name, self._labels(("sleep_state", state))) for state in states], lambda: (1.0, 0.0, 0.0)
        )
        self._gauge(
            "vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", lambda: stats.kv_usage
        )

    def _counters(self) -> None:
        stats = self._stats
        self._counter(
            "vllm:prefix_cache_queries",
            "Prefix cache queries, in terms of number of queried tokens.",
            lambda: (float(stats.queried_tokens),),
        )
        self._counter(
            "vllm:prefix_cache_hits",
            "Prefix cache hits, in terms of number of cached tokens.",
            lambda: (float(stats.hit_tokens),),
        )
        for name in _UNUSED_CACHES:
            self._counter(f"vllm:{name}", "A cache that this engine does not use.", lambda: (0.0,))
        self._counter(
            "vllm:num_preemptions",
            "Cumulative number of preemption from the engine.",
            lambda: (float(stats.preemptions),),
        )
        self._counter(
            "vllm:prompt_tokens", "Number of prefill tokens processed.", lambda: (float(stats.prompt_tokens),)
        )
        sources = ("local_compute", "local_cache_hit", "external_kv_transfer")
        self._counter(
            "vllm:prompt_tokens_by_source",
            "Number of prompt tokens by source.",
            lambda: (float(stats.prompt_tokens - stats.cached_tokens), float(stats.cached_tokens), 0.0),
            [self._labels(("source", source)) for source in sources],
        )
        self._counter(
            "vllm:prompt_tokens_cached",
            "Number of cached prompt tokens (local + external).",
            lambda: (float(stats.cached_tokens),),
        )
        self._counter(
            "vllm:prompt_tokens_cached_by_source",
            "Prefix-cache hit tokens by the cache tier that supplied them.",
            lambda: (float(stats.cached_tokens), 0.0, 0.0, 0.0, 0.0),
            [self._labels(("source", source)) for source in _CACHE_SOURCES],
        )
        self._counter(
            "vllm:generation_tokens",
            "Number of generation tokens processed.",
            lambda: (float(stats.generation_tokens),),
        )
        self._counter(
            "vllm:request_success",
            "Count of successfully processed requests.",
            lambda: [float(stats.success[reason]) for reason in FINISH_REASONS],
            [self._labels(("finished_reason", reason)) for reason in FINISH_REASONS],
        )
        reasons = ("max_num_queued_reqs", "max_num_queued_tokens")
        self._counter(
            "vllm:admission_rejections",
            "Number of admission attempts rejected by a queue limit, by reason.",
            lambda: (0.0, 0.0),
            [[self._model, ("reason", reason)] for reason in reasons],
        )

    def _requests(self) -> None:
        stats = self._stats
        for name, help_text, histogram in (
            ("request_prompt_tokens", "Number of prefill tokens processed.", stats.request_prompt),
            ("request_generation_tokens", "Number of generation tokens processed.", stats.request_generation),
            (
                "iteration_tokens_total",
                "Histogram of number of tokens per engine_step.",
                stats.iteration_tokens,
            ),
            (
                "request_max_num_generation_tokens",
                "Histogram of maximum number of requested generation tokens.",
                stats.request_max_generation,
            ),
            ("request_params_n", "Histogram of the n request parameter.", stats.choices),
            (
                "request_params_max_tokens",
                "Histogram of the max_tokens request parameter.",
                stats.request_max_tokens,
            ),
        ):
            self._histogram(f"vllm:{name}", help_text, histogram)

    def _latencies(self) -> None:
        stats = self._stats
        phase = "Histogram of time spent in {} phase for request."
        for name, help_text, histogram in (
            ("time_to_first_token_seconds", "Histogram of time to first token in seconds.", stats.ttft),
            (
                "inter_token_latency_seconds",
                "Histogram of inter-token latency in seconds.",
                stats.inter_token,
            ),
            (
                "request_time_per_output_token_seconds",
                "Histogram of time_per_output_token_seconds per request.",
                stats.per_output_token,
            ),
            ("e2e_request_latency_seconds", "Histogram of e2e request latency in seconds.", stats.e2e),
            ("request_queue_time_seconds", phase.format("WAITING"), stats.queue),
            ("request_inference_time_seconds", phase.format("RUNNING"), stats.inference),
            ("request_prefill_time_seconds", phase.format("PREFILL"), stats.prefill),
            ("request_decode_time_seconds", phase.format("DECODE"), stats.decode),
            (
                "request_num_preemptions",
                "Histogram of the number of times a request was preempted.",
                stats.request_preemptions,
            ),
            (
                "request_prefill_kv_computed_tokens",
                "Histogram of new KV tokens computed during prefill (excluding cached tokens).",
                stats.request_prefill_computed,
            ),
        ):
            self._histogram(f"vllm:{name}", help_text, histogram)

    def _cache_config(self) -> None:
        settings = self._settings
        labels = {
            "block_size": str(settings.block),
            "cache_dtype": "auto",
            "enable_prefix_caching": "True",
            "engine": "0",
            "gpu_memory_utilization": "0.92",
            "kv_cache_size_tokens": str(settings.kv_tokens),
            "num_gpu_blocks": str(settings.kv_tokens // settings.block),
        }
        self._gauge(
            "vllm:cache_config_info", "Information of the LLMEngine CacheConfig", lambda: 1.0, labels.items()
        )

    def _http(self) -> None:
        stats, handler = self._stats, [("handler", _HANDLER)]
        if stats.http:
            statuses = list(stats.http)
            self._counter(
                "http_requests",
                "Total number of requests by method, status and handler.",
                lambda: [float(stats.http[status]) for status in statuses],
                [[*handler, ("method", "POST"), ("status", status)] for status in statuses],
            )
        name, help_text = (
            "http_request_duration_highr_seconds",
            "Latency with many buckets but no API labels.",
        )
        self.page.header(name, "histogram", help_text)
        self.page.histogram(name, (), (), stats.http_fine)
        self._born(name, help_text, [()])
        if stats.http:
            name, help_text = "http_request_duration_seconds", "Latency with only few buckets by handler."
            self.page.header(name, "histogram", help_text)
            self.page.histogram(name, handler, [("method", "POST")], stats.http_duration)
            self._born(name, help_text, [[*handler, ("method", "POST")]])
