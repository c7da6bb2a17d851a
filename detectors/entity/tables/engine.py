"""Features of an inference engine: vLLM's names, with those that other engines have for the same.

Latencies are means over a moment, for that is what a histogram's sum and count say of a few seconds; rules
read the quantiles. A throughput is judged beside the load: that is what a model of all features is for.
"""

from __future__ import annotations

from detectors.entity.feature import Feature, Part, mean_of, plain

_RUNNING = Part("vllm:num_requests_running", "sum")
_HITS, _QUERIES = Part("vllm:prefix_cache_hits_total"), Part("vllm:prefix_cache_queries_total")

ENGINE = (
    Feature(
        "vllm:num_requests_running", "Load; stuck at a number while nothing is produced: a hang.", (_RUNNING,)
    ),
    plain("vllm:num_requests_waiting", "Overload, or an engine that takes nothing any more.", "sum"),
    plain("vllm:kv_cache_usage_perc", "Memory pressure, sequences that are never freed.", "max"),
    plain("vllm:prompt_tokens_total", "Tokens read a second: demand, and progress of prefill.", "sum"),
    plain("vllm:generation_tokens_total", "Tokens written a second: progress.", "sum"),
    Feature(
        "vllm:generation_tokens_per_running_request",
        "Speed that a request sees, whatever the load: slow silicon, throttling, a bad neighbour.",
        (Part("vllm:generation_tokens_total", "sum"),),
        (_RUNNING,),
    ),
    plain("vllm:iteration_tokens_total_count", "Steps of the scheduler a second: the heartbeat.", "sum"),
    mean_of("vllm:iteration_tokens_total", "Tokens a step: how full the batches are."),
    mean_of("vllm:time_to_first_token_seconds", "What users wait for first: queue and prefill."),
    mean_of("vllm:inter_token_latency_seconds", "Pace of the stream."),
    mean_of("vllm:request_time_per_output_token_seconds", "Pace of finished requests."),
    mean_of("vllm:e2e_request_latency_seconds", "Length of finished requests."),
    mean_of("vllm:request_queue_time_seconds", "Waiting for a place."),
    mean_of("vllm:request_prefill_time_seconds", "Prefill alone: long prompts, or slow compute."),
    mean_of("vllm:request_decode_time_seconds", "Decoding alone: long answers, or slow memory."),
    mean_of("vllm:request_prompt_tokens", "What is asked: another mix explains other latencies."),
    mean_of("vllm:request_generation_tokens", "What is answered: endless answers, or none."),
    plain(
        "vllm:time_to_first_token_seconds_count", "First tokens a second: requests that came through.", "sum"
    ),
    plain("vllm:request_success_total", "Requests that ended, for whatever reason.", "sum"),
    Feature(
        "vllm:request_errors",
        "Requests that ended with an error or an abort, a second.",
        (Part("vllm:request_success_total", "sum", (("finished_reason", "error|abort"),)),),
    ),
    plain(
        "vllm:num_preemptions_total", "Sequences thrown out and begun anew: the KV cache is too small.", "sum"
    ),
    Feature(
        "vllm:prefix_cache_hit_ratio",
        "Reuse of prompts: falls when the router or a template changes, and prefill grows.",
        (_HITS,),
        (_QUERIES,),
    ),
    plain("vllm:admission_rejections_total", "Requests turned away at a full queue.", "sum", shared=True),
    Feature(
        "http_requests_total_5xx",
        "Failures that the server tells of.",
        (Part("http_requests_total", "sum", (("status", "5.*"),), shared=True),),
    ),
)
