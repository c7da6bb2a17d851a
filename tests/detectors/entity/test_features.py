"""Features: what the tables list, and their values from what exporters show."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.contract import Moment
from detectors.eligible import Kind as Eligible
from detectors.eligible import kind_of
from detectors.entity.feature import Feature, Part
from detectors.entity.kinds import KINDS, Kind
from detectors.entity.layout import Layout
from detectors.entity.page import page
from detectors.entity.roster import Roster
from model.labels import Labels

AT = 1_000_000
BY_NAME = {kind.name: kind for kind in KINDS}


def series_of(text: str) -> tuple[str, dict[str, str]]:
    """The name and the labels of a line of a page."""
    name = re.match(r"[\w:]+", text)
    assert name is not None
    return name[0], dict(re.findall(r'(\w+)="([^"]*)"', text))


class Page:
    """Series by id with their values, and the roster of a kind that has seen them."""

    def __init__(self, kind: str, series: Mapping[str, float], target: Mapping[str, str]) -> None:
        self.roster = Roster(BY_NAME[kind])
        self.values = np.array(list(series.values()))
        for sid, text in enumerate(series):
            name, labels = series_of(text)
            self.roster.notice(sid, Labels({"__name__": name, **target, **labels}))

    def features(self, entity: int = 0, ages: Sequence[int] = ()) -> dict[str, float]:
        times = AT - np.array(ages or [0] * len(self.values))
        rows, _ = self.roster.features(Moment(AT, times, self.values), 90_000)
        there = ~np.isnan(rows[entity])
        names = np.array(self.roster.kind.names)[there].tolist()
        return dict(zip(names, rows[entity][there].tolist(), strict=True))


VLLM = {"job": "vllm", "instance": "n1:8000", "engine": "0", "model_name": "llama"}
NODE = {"job": "node", "instance": "n1:9100"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_table_names_what_detectors_may_see_with_a_reason(kind: Kind) -> None:
    assert 8 <= len(kind.features) <= 40
    assert len(set(kind.names)) == len(kind.names)
    for feature in kind.features:
        assert feature.why.endswith("."), feature.name
        for part in feature.parts:
            metric_type = "counter" if re.search("_(total|sum|count)$", part.metric) else "gauge"
            assert kind_of(part.metric, metric_type) is not Eligible.NEVER, part.metric


def test_a_host() -> None:
    page = Page(
        "node",
        {
            'node_cpu_seconds_total{cpu="0",mode="idle"}': 0.9,
            'node_cpu_seconds_total{cpu="1",mode="idle"}': 0.5,
            'node_cpu_seconds_total{cpu="0",mode="iowait"}': 0.1,
            'node_network_receive_bytes_total{device="eth0"}': 100.0,
            'node_network_receive_bytes_total{device="eth1"}': 20.0,
            'node_network_receive_bytes_total{device="lo"}': 1e9,
            'node_disk_io_time_seconds_total{device="sda"}': 0.2,
            'node_disk_io_time_seconds_total{device="sdb"}': 0.7,
            'node_filesystem_avail_bytes{mountpoint="/",fstype="ext4"}': 7e9,
            'node_filesystem_avail_bytes{mountpoint="/data",fstype="xfs"}': 3e9,
            'node_filesystem_avail_bytes{mountpoint="/run",fstype="tmpfs"}': 1.0,
            "node_load1": 3.0,
        },
        NODE,
    )
    assert page.features() == pytest.approx(
        {
            "node_cpu_busy_share": 0.3,
            "node_cpu_iowait_share": 0.1,
            "node_load1": 3.0,
            "node_disk_io_time_seconds_total": 0.7,
            "node_filesystem_avail_bytes": 3e9,
            "node_network_receive_bytes_total": 120.0,
        }
    )


def test_an_engine() -> None:
    page = Page(
        "engine",
        {
            "vllm:num_requests_running": 4.0,
            "vllm:generation_tokens_total": 200.0,
            "vllm:time_to_first_token_seconds_sum": 1.5,
            "vllm:time_to_first_token_seconds_count": 3.0,
            "vllm:e2e_request_latency_seconds_sum": 0.0,
            "vllm:e2e_request_latency_seconds_count": 0.0,
            'vllm:request_success_total{finished_reason="stop"}': 2.0,
            'vllm:request_success_total{finished_reason="error"}': 0.5,
            'vllm:num_requests_running{engine="1"}': 0.0,
            'http_requests_total{engine="",model_name="",handler="/v1",status="5xx"}': 0.25,
            'http_requests_total{engine="",model_name="",handler="/v1",status="2xx"}': 9.0,
        },
        VLLM,
    )
    assert page.features(0) == pytest.approx(
        {
            "vllm:num_requests_running": 4.0,
            "vllm:generation_tokens_total": 200.0,
            "vllm:generation_tokens_per_running_request": 50.0,
            "vllm:time_to_first_token_seconds": 0.5,
            "vllm:time_to_first_token_seconds_count": 3.0,
            "vllm:request_success_total": 2.5,
            "vllm:request_errors": 0.5,
            "http_requests_total_5xx": 0.25,
        }
    )
    assert page.features(1) == {"vllm:num_requests_running": 0.0, "http_requests_total_5xx": 0.25}


@pytest.mark.parametrize(
    ("name", "feature"),
    [
        ("sglang:num_running_reqs", "vllm:num_requests_running"),
        ("tgi_queue_size", "vllm:num_requests_waiting"),
        ('nv_trt_llm_request_metrics{request_type="waiting"}', "vllm:num_requests_waiting"),
        ("ray_vllm_kv_cache_usage_perc", "vllm:kv_cache_usage_perc"),
    ],
)
def test_other_engines_have_the_same_features(name: str, feature: str) -> None:
    assert Page("engine", {name: 3.0}, {"job": "x", "instance": "y"}).features()[feature] == 3.0


def test_what_is_too_old_is_missing() -> None:
    page = Page("node", {"node_load1": 3.0, "node_forks_total": 7.0}, NODE)
    assert page.features(ages=[89_999, 90_000]) == {"node_load1": 3.0}


def test_a_gpu_has_its_links_in_their_own_spelling() -> None:
    page = Page(
        "gpu",
        {
            'DCGM_FI_DEV_GPU_TEMP{UUID="GPU-1"}': 60.0,
            'DCGM_FI_DEV_GPU_TEMP{UUID="GPU-1",GPU_I_ID="2"}': 50.0,
            'DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL{gpu_uuid="GPU-1",nvlink="0"}': 10.0,
            'DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL{gpu_uuid="GPU-1",nvlink="1"}': 20.0,
        },
        {},
    )
    assert len(page.roster.members) == 2
    assert page.features(0) == {"DCGM_FI_DEV_GPU_TEMP": 60.0, "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL": 30.0}


def test_the_real_captures_give_most_features(shared_data: Path) -> None:
    for kind, path, target, least in (
        ("node", "captures/node_exporter-1.5-debian12.prom", NODE, 24),
        ("engine", "vllm/after-light-load.prom", {"job": "vllm", "instance": "n1:8000"}, 22),
        ("gpu", "captures/dcgm-exporter-real-L4-idle.prom", {}, 8),
    ):
        roster = Roster(BY_NAME[kind])
        lines = [line for line in (shared_data / path).read_text().splitlines() if line and line[0] != "#"]
        for sid, line in enumerate(lines):
            name, labels = series_of(line)
            roster.notice(sid, Labels({**target, **labels, "__name__": name}))
        moment = Moment(AT, np.full(len(lines), AT), np.ones(len(lines)))
        rows, newest = roster.features(moment, 1)
        assert len(rows) == 1
        assert newest.tolist() == [AT]
        assert (~np.isnan(rows)).sum() >= least, (kind, np.array(roster.kind.names)[np.isnan(rows[0])])


@settings(max_examples=40, deadline=None)
@given(
    cells=st.sets(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 20)), max_size=40),
    values=st.lists(st.one_of(st.just(math.nan), st.integers(-5, 5).map(float)), min_size=21, max_size=21),
)
def test_gathering_is_what_a_loop_over_cells_would_do(
    cells: set[tuple[int, int, int]], values: list[float]
) -> None:
    parts = (Part("a"), Part("b", "sum"), Part("c", "max"), Part("d", "min"))
    ways = (np.mean, np.sum, np.max, np.min)
    times = np.arange(21) + 100
    of, newest = Layout(parts, list(cells)).gather(times, np.array(values), 105, 5)
    for place, part in enumerate(parts):
        for entity in range(5):
            held = [sid for p, e, sid in cells if (p, e) == (place, entity)]
            usable = [values[sid] for sid in held if times[sid] > 105 and not math.isnan(values[sid])]
            found = of[part][entity] if part in of else math.nan
            assert found == pytest.approx(ways[place](usable) if usable else math.nan, nan_ok=True)
    for entity in range(5):
        seen = [
            times[sid]
            for _, e, sid in cells
            if e == entity and times[sid] > 105 and not math.isnan(values[sid])
        ]
        assert newest[entity] == max(seen, default=0)


def test_the_document_lists_the_tables() -> None:
    shown = (Path(__file__).parents[3] / "docs" / "entities.md").read_text()
    assert shown == page(), "write it: python -m detectors.entity.page > docs/entities.md"


def test_how_a_feature_is_written_out() -> None:
    a, b = Part("a", "sum", (("x", "1|2"), ("!y", "z"))), Part("b")
    assert str(Feature("n", "", (a, b), (b,))) == '(sum of a{x=~"1|2", y!~"z"} + b) / b'
    assert str(Feature("n", "", (b,), rest=True)) == "1 - b"
