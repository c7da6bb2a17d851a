"""The engines that are known: how their pages begin, and what they answer besides the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

KindName = Literal["", "vllm", "sglang", "tensorrt_llm", "lmdeploy", "tgi", "triton", "ray"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of engine. A path is empty where it answers none on the port of its metrics."""

    name: KindName
    families: str
    """How the names of its own families begin."""
    jobs: tuple[str, ...]
    """Words by which a job's name tells the kind before there is a page."""
    health: str = ""
    readiness: str = ""
    """Answered only once a model is loaded, and never by an inference."""
    version: str = ""
    """Answers JSON with a member `version`."""


KINDS = (
    Kind("vllm", "vllm:", ("vllm",), "/health", "/v1/models", "/version"),
    # SGLang's /health may run one token through the model, as its own Kubernetes probes do. Its version is
    # not asked for: that question goes to the scheduler.
    Kind("sglang", "sglang:", ("sglang",), "/health", "/v1/models"),
    Kind("tensorrt_llm", "trtllm_", ("trtllm", "trt-llm", "tensorrt"), "/health", "/v1/models", "/version"),
    Kind("lmdeploy", "lmdeploy:", ("lmdeploy",), "/health", "/v1/models"),
    Kind("tgi", "tgi_", ("tgi", "text-generation"), "/health", "/info", "/info"),
    # These two show their metrics on a port of its own.
    Kind("triton", "nv_", ("triton",)),
    Kind("ray", "ray_vllm_", ("ray",)),
)


def kind_named(name: str) -> Kind | None:
    """The kind of that name."""
    return next((kind for kind in KINDS if kind.name == name), None)


def kind_of_job(job: str) -> Kind | None:
    """The kind that a job's name speaks of."""
    words = job.lower()
    return next((kind for kind in KINDS if any(word in words for word in kind.jobs)), None)


def kind_of_page(names: Iterable[str]) -> Kind | None:
    """The kind whose families a page shows."""
    for name in names:
        for kind in KINDS:
            if name.startswith(kind.families):
                return kind
    return None


def beside(page: str, path: str) -> str:
    """The URL of what an engine answers besides its page: under the same prefix, where a proxy has one.

    TensorRT-LLM shows its page at /prometheus/metrics and answers at the root.

    >>> beside("http://h:8000/metrics", "/health"), beside("http://h/llama/metrics", "/health")
    ('http://h:8000/health', 'http://h/llama/health')
    >>> beside("http://h:8000/prometheus/metrics/", "/health")
    'http://h:8000/health'
    """
    parts = urlsplit(page)
    prefix = parts.path.rstrip("/").removesuffix("/metrics").removesuffix("/prometheus")
    return urlunsplit((parts.scheme, parts.netloc, prefix + path, "", ""))
