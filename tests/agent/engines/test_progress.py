"""Forward progress per engine, on captures of a real vLLM and on what other engines show."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.engines.digest import digest
from agent.engines.progress import Progress
from wire.text import TextDecoder

FROZEN_FROM, MOVES_AGAIN = 1_795_177_112_960, 1_795_177_123_113


class Watched:
    """Progress of one instance, by pages."""

    def __init__(self) -> None:
        self.decoder = TextDecoder()
        self.progress = Progress()

    def ages(self, now: float, page: str | bytes) -> dict[str, float]:
        found = self.decoder.decode(page.encode() if isinstance(page, str) else page)
        rows = [self.decoder.labels[local] for local in found.ids]
        samples = self.progress.step(now, digest(rows), found.values)
        return {sample.labels.get("engine", ""): sample.value for sample in samples}


def test_the_age_rises_while_the_worker_is_frozen(shared_data: Path) -> None:
    watched = Watched()
    ages = {}
    for file in sorted((shared_data / "vllm" / "series-hung-worker").glob("*.prom")):
        at = int(file.stem)
        ages[at] = watched.ages(at / 1000, file.read_bytes())["0"]
    frozen = [age for at, age in ages.items() if FROZEN_FROM + 1000 < at < MOVES_AGAIN]
    assert len(frozen) >= 8
    assert frozen == sorted(frozen)
    assert frozen[-1] - frozen[0] > 7
    assert frozen[-1] > 8
    assert all(age == 0 for at, age in ages.items() if not FROZEN_FROM < at < MOVES_AGAIN + 1000)


def test_one_rank_of_two_is_frozen(shared_data: Path) -> None:
    """Rank 1 plays the capture of the hung worker; rank 0, on the same page, goes on."""
    watched, most = Watched(), {"0": 0.0, "1": 0.0}
    for place, file in enumerate(sorted((shared_data / "vllm" / "series-hung-worker").glob("*.prom"))):
        page = file.read_bytes().replace(b'engine="0"', b'engine="1"')
        page += b'vllm:num_requests_running{engine="0",model_name="m"} 4\n'
        page += b'vllm:generation_tokens_total{engine="0",model_name="m"} %d\n' % place
        for engine, age in watched.ages(int(file.stem) / 1000, page).items():
            most[engine] = max(most[engine], age)
    assert most["1"] > 8
    assert most["0"] == 0


def test_two_ranks_of_a_real_server_are_two(shared_data: Path) -> None:
    ages = Watched().ages(0, (shared_data / "vllm" / "dp2-api2.prom").read_bytes())
    assert ages == {"0": 0.0, "1": 0.0}


PAGE = """\
vllm:num_requests_running{{engine="0",model_name="m"}} {running}
vllm:num_requests_waiting{{engine="0",model_name="m"}} {waiting}
vllm:generation_tokens_total{{engine="0",model_name="m"}} {tokens}
vllm:generation_tokens_created{{engine="0",model_name="m"}} {created}
vllm:engine_sleep_state{{engine="0",model_name="m",sleep_state="awake"}} {awake}
"""


def _page(
    running: int = 1, waiting: int = 0, tokens: int = 5, awake: int = 1, created: float = 1.79e9
) -> str:
    return PAGE.format(running=running, waiting=waiting, tokens=tokens, awake=awake, created=created)


def test_idle_asleep_and_moving_are_no_stall() -> None:
    watched = Watched()
    for now, page in enumerate([_page(0), _page(0), _page(1, awake=0), _page(1, tokens=6), _page(tokens=1)]):
        assert watched.ages(now * 100, page) == {"0": 0}, page


def test_waiting_alone_is_work_and_the_age_begins_with_it() -> None:
    watched = Watched()
    assert watched.ages(0, _page(0)) == {"0": 0}
    assert watched.ages(100, _page(0)) == {"0": 0}
    assert watched.ages(101, _page(0, waiting=3)) == {"0": 1}
    assert watched.ages(109, _page(0, waiting=3)) == {"0": 9}
    assert watched.ages(110, _page(0, waiting=3, tokens=6)) == {"0": 0}


def test_a_time_of_creation_is_no_progress() -> None:
    watched = Watched()
    watched.ages(0, _page(created=1.79e9))
    assert watched.ages(10, _page(created=1.80e9)) == {"0": 10}


def test_a_missed_scrape_is_no_progress_and_no_new_beginning() -> None:
    watched = Watched()
    watched.ages(0, _page())
    assert watched.ages(30, _page()) == {"0": 30}


def test_an_engine_that_is_gone_is_forgotten() -> None:
    watched = Watched()
    watched.ages(0, _page())
    assert watched.ages(5, "up 1\n") == {}
    assert watched.ages(9, _page()) == {"0": 0}


@pytest.mark.parametrize(
    ("work", "progress"),
    [
        (
            'sglang:num_running_reqs{model_name="m"}',
            'sglang:realtime_tokens_total{mode="decode",model_name="m"}',
        ),
        (
            'sglang:num_running_reqs{model_name="m",tp_rank="0"}',
            'sglang:generation_tokens_total{model_name="m"}',
        ),
        ('trtllm_num_requests_running{model_name="m"}', 'trtllm_generation_tokens_total{model_name="m"}'),
        ("lmdeploy:num_requests_running", "lmdeploy:generation_tokens_total"),
        ("tgi_batch_current_size", 'tgi_batch_inference_count{method="decode"}'),
        ("tgi_queue_size", 'tgi_batch_inference_count{method="prefill"}'),
        (
            'nv_trt_llm_request_metrics{model="m",request_type="scheduled",version="1"}',
            'nv_trt_llm_general_metrics{general_type="iteration_counter",model="m",version="1"}',
        ),
        ('ray_vllm_num_requests_running{model_name="m"}', 'ray_vllm_generation_tokens_total{model_name="m"}'),
    ],
)
def test_other_engines(work: str, progress: str) -> None:
    watched = Watched()
    watched.ages(0, f"{work} 2\n{progress} 1\n")
    assert watched.ages(7, f"{work} 2\n{progress} 1\n") == {"": 7}
    assert watched.ages(8, f"{work} 2\n{progress} 2\n") == {"": 0}


def test_triton_timestamps_are_no_progress() -> None:
    page = (
        'nv_trt_llm_request_metrics{model="m",request_type="waiting"} 2\n'
        'nv_trt_llm_general_metrics{general_type="timestamp",model="m"} 1730678400\n'
    )
    assert Watched().ages(0, page) == {}, "nothing to judge it by, so nothing is said"


def test_sglang_ranks_share_the_counters_of_the_instance() -> None:
    page = (
        'sglang:num_running_reqs{{dp_rank="0",model_name="m"}} 2\n'
        'sglang:num_running_reqs{{dp_rank="1",model_name="m"}} 2\n'
        'sglang:generation_tokens_total{{model_name="m"}} {}\n'
    )
    watched = Watched()
    watched.ages(0, page.format(1))
    assert watched.ages(3, page.format(1)) == {"0": 3, "1": 3}
    assert watched.ages(4, page.format(2)) == {"0": 0, "1": 0}
