"""The alias table: every name of another engine leads to one name of vLLM, and back."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from model.labels import METRIC_NAME
from wire.aliases import PARTS, Alias, aliases_of, canonical, engines, families, left_out, rows

NAMES = [
    name
    for family, kind in families().items()
    for name in (family, *(family + part for part in PARTS if kind == "histogram"))
]


@given(st.sampled_from(NAMES))
def test_an_alias_is_no_canonical_name_and_leads_back(name: str) -> None:
    for alias in aliases_of(name):
        assert alias.name not in NAMES
        assert METRIC_NAME.fullmatch(alias.name)
        assert alias.engine in engines()
        assert canonical(alias.name, dict(alias.matchers)) == name


def test_an_alias_belongs_to_one_canonical_name() -> None:
    found = [(alias.name, alias.matchers) for name in NAMES for alias in aliases_of(name)]
    assert len(found) == len(set(found))


@given(st.sampled_from([family for family, kind in families().items() if kind == "histogram"]))
def test_the_parts_of_a_histogram_follow_from_its_family(family: str) -> None:
    for part in PARTS:
        assert [alias.name for alias in aliases_of(family + part)] == [
            alias.name + part for alias in aliases_of(family)
        ]


def test_every_family_has_its_ray_name() -> None:
    for family in families():
        assert Alias("ray_" + family.replace(":", "_"), (), "ray") in aliases_of(family)


def test_a_label_match_needs_its_label() -> None:
    assert canonical("nv_trt_llm_request_metrics") is None
    assert canonical("nv_trt_llm_request_metrics", {"request_type": "context"}) is None
    assert (
        canonical("nv_trt_llm_kv_cache_block_metrics", {"kv_cache_block_type": "fraction", "gpu": "0"})
        == "vllm:kv_cache_usage_perc"
    )


def test_inter_token_latency_is_not_time_per_output_token() -> None:
    """The old name of vLLM's inter-token latency is the name that others give to the mean of a request."""
    assert canonical("vllm:time_per_output_token_seconds") == "vllm:inter_token_latency_seconds"
    assert canonical("trtllm_time_per_output_token_seconds") == "vllm:request_time_per_output_token_seconds"


def test_what_is_left_out_is_no_alias() -> None:
    for entry in left_out():
        assert entry.engine in engines()
        assert entry.why
        for name in entry.names:
            assert canonical(name) is None, name


def test_an_unknown_name_has_no_aliases() -> None:
    assert aliases_of("node_load1") == ()
    assert canonical("node_load1") is None


def test_the_documents_list_each_family_with_aliases() -> None:
    listed = {row[0].strip("`") for row in rows()}
    assert listed == {name for name in families() if {a.engine for a in aliases_of(name)} - {"ray"}}
    assert all(len(row) == len(engines()) for row in rows())


def test_the_families_are_those_of_a_real_vllm(shared_data: Path) -> None:
    text = (shared_data / "vllm" / "after-overload.prom").read_text()
    exposed = dict(re.findall(r"^# TYPE (vllm:\S+) (\w+)$", text, re.MULTILINE))
    only_when_asked_for = {"vllm:corrupted_requests_total"}
    for family, kind in families().items():
        if family not in only_when_asked_for:
            assert exposed.get(family) == kind, family
