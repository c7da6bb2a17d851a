"""The engines' rows: from the scraped series, whatever the engine calls them."""

from __future__ import annotations

from collections.abc import Mapping

from agent.snapshot.facts import Facts, increase, rate
from agent.snapshot.shape import EngineView
from agent.snapshot.words import SCRAPE_FAILURES
from model.labels import Labels

_INFO = "fleetowl_engine_info"
_TTFT = "vllm:time_to_first_token_seconds"
_STATES = ("down", "stuck", "ill", "starting", "limited", "unknown", "up")
_DIALECTS = ("sglang", "trtllm", "lmdeploy", "tgi", "vllm")
STUCK_SECONDS = 30.0
"""An engine with requests that has not moved for so long is stuck; a long prefill takes seconds."""


def engine_views(before: Facts | None, now: Facts) -> tuple[EngineView, ...]:
    """Every engine or application that was scraped, worst first."""
    targets = dict.fromkeys(
        (labels.value("job"), labels.value("instance"))
        for labels, up in now.named("up")
        if _is_one(labels, up, now)
    )
    views = [_view({"job": job, "instance": instance}, before, now) for job, instance in targets]
    return tuple(sorted(views, key=badness))


def _is_one(labels: Labels, up: float, now: Facts) -> bool:
    """An analyzer scrapes much else: agents (their instance is their node), exporters without a node."""
    if labels.value("node"):
        return labels.value("instance") != labels.value("node")
    target = {"job": labels.value("job"), "instance": labels.value("instance")}
    jobs = {row.value("job") for row, _ in now.named("vllm:num_requests_running")}
    return target["job"] in jobs if not up else bool(now.named("vllm:num_requests_running", target))


def badness(engine: EngineView) -> tuple[int, str, str]:
    """Sorts the worst first."""
    state = _STATES.index(engine.state) if engine.state in _STATES else 0
    return state, engine.job, engine.instance


def _view(target: Mapping[str, str], before: Facts | None, now: Facts) -> EngineView:
    age = _highest(target, now, "fleetowl_engine_progress_age_seconds")
    state, reason = _state(target, now, age)
    return EngineView(
        job=target["job"],
        instance=target["instance"],
        engine=_engine(target, now),
        version=_label(target, now, (_INFO,), "engine_version"),
        model_name=_label(target, now, (_INFO, "vllm:num_requests_running"), "model_name"),
        state=state,
        reason=reason,
        requests_running=now.total("vllm:num_requests_running", target),
        requests_waiting=now.total("vllm:num_requests_waiting", target),
        kv_cache_usage_ratio=_highest(target, now, "vllm:kv_cache_usage_perc"),
        generation_tokens_per_second=rate(before, now, "vllm:generation_tokens_total", target),
        time_to_first_token_seconds=_first_token(target, before, now),
        progress_age_seconds=age,
    )


def _state(target: Mapping[str, str], now: Facts, age: float | None) -> tuple[str, str]:
    """What the agent says of it, else whether it answers; then whether it moves and calls itself well."""
    state, reason = ("up", "") if now.value("up", target) else ("down", "")
    for labels, value in now.named("fleetowl_engine_status", target):
        if value == 1:
            state, reason = labels.value("state") or "unknown", labels.value("reason")
            reason = SCRAPE_FAILURES.get(reason, reason)
    if state not in ("up", "limited"):
        return state, reason
    if age is not None and age >= STUCK_SECONDS:
        return "stuck", f"it has requests and has not moved for {age:.0f} s"
    bad = sorted(
        labels.value("probe") for labels, value in now.named("fleetowl_engine_health", target) if value == 0
    )
    return ("ill", f"its answer to {' and '.join(bad)} is a bad one") if bad else (state, reason)


def _engine(target: Mapping[str, str], now: Facts) -> str:
    named = _label(target, now, (_INFO,), "engine_kind")
    if named:
        return named
    for labels, _ in now.named("vllm:num_requests_running", target):
        for dialect in _DIALECTS:
            if labels.name.startswith(dialect):
                return dialect
    return ""


def _label(target: Mapping[str, str], now: Facts, names: tuple[str, ...], label: str) -> str:
    found = {row.value(label) for name in names for row, _ in now.named(name, target)} - {""}
    return ", ".join(sorted(found))


def _highest(target: Mapping[str, str], now: Facts, name: str) -> float | None:
    """Of several engine cores, the fullest: that is the one that preempts."""
    return max((value for _, value in now.named(name, target)), default=None)


def _first_token(target: Mapping[str, str], before: Facts | None, now: Facts) -> float | None:
    requests = increase(before, now, f"{_TTFT}_count", target)
    seconds = increase(before, now, f"{_TTFT}_sum", target)
    if requests and seconds is not None:
        return seconds / requests
    count, total = now.total(f"{_TTFT}_count", target), now.total(f"{_TTFT}_sum", target)
    return total / count if count and total is not None else None
