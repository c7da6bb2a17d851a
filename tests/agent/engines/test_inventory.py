"""What an engine is and serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.engines.digest import digest
from agent.engines.inventory import Inventory, adapters, version_in
from agent.engines.kinds import kind_of_job, kind_of_page
from model.labels import Labels
from wire.text import TextDecoder


def _rows(page: str | bytes) -> tuple[list[Labels], list[float]]:
    decoder = TextDecoder()
    found = decoder.decode(page.encode() if isinstance(page, str) else page)
    return [decoder.labels[local] for local in found.ids], found.values


def _adapters(page: str) -> set[tuple[str, str]]:
    rows, values = _rows(page)
    return {(one.labels["adapter"], one.labels["state"]) for one in adapters(digest(rows), values)}


def test_the_newest_series_tells_the_adapters() -> None:
    info = (
        'vllm:lora_requests_info{{max_lora="4",running_lora_adapters="{}",waiting_lora_adapters="{}"}} {}\n'
    )
    page = info.format("old", "", "1.79e9") + info.format("sql, chat", "law", "1.791e9")
    assert _adapters(page) == {("chat", "running"), ("sql", "running"), ("law", "waiting")}
    assert _adapters(page + info.format("", "", "1.792e9")) == set()


def test_adapters_are_bounded() -> None:
    names = ",".join(f"a{number}" for number in range(1000))
    page = f'vllm:lora_requests_info{{running_lora_adapters="{names}",waiting_lora_adapters="{names}"}} 1\n'
    assert len(_adapters(page)) == 64


def test_a_real_page(shared_data: Path) -> None:
    rows, _ = _rows((shared_data / "vllm" / "after-light-load.prom").read_bytes())
    found = digest(rows)
    assert found.kind is not None
    assert found.kind.name == "vllm"
    assert found.process_start is not None
    (sample,) = Inventory().samples("vllm", "0.32.0", found.models)
    assert sample.labels["engine_kind"] == "vllm"
    assert sample.labels["engine_version"] == "0.32.0"
    assert sample.labels["model_name"]


def test_the_info_stays_the_same_object_while_nothing_changes() -> None:
    inventory = Inventory()
    assert inventory.samples("vllm", "", ["a", "b"]) is inventory.samples("vllm", "", ["a", "b"])
    assert len(inventory.samples("vllm", "1", ["a", "b"])) == 2
    assert [dict(sample.labels) for sample in inventory.samples("", "", [])] == [{"engine_kind": "other"}]


@pytest.mark.parametrize(
    ("body", "version"),
    [
        (b'{"version":"0.32.0"}', "0.32.0"),
        (b'{"version":1}', ""),
        (b"[]", ""),
        (b"{", ""),
        (b"[" * 100_000, ""),
        (b"\xff", ""),
    ],
)
def test_versions(body: bytes, version: str) -> None:
    assert version_in(body) == version


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("vllm:num_requests_running", "vllm"),
        ("sglang:num_running_reqs", "sglang"),
        ("trtllm_num_requests_running", "tensorrt_llm"),
        ("ray_vllm_num_requests_running", "ray"),
        ("tgi_queue_size", "tgi"),
    ],
)
def test_the_kind_by_the_page(name: str, kind: str) -> None:
    found = kind_of_page(["python_info", name])
    assert found is not None
    assert found.name == kind
    assert kind_of_page(["python_info"]) is None


def test_the_kind_by_the_job() -> None:
    found = kind_of_job("prod-vLLM-70b")
    assert found is not None
    assert found.name == "vllm"
    assert kind_of_job("gateway") is None
