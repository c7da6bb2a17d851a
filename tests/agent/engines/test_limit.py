"""The cap: the families of serving first, then the page's order, and nothing of the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.engines.limit import cut
from wire.text import TextDecoder


def _names(body: bytes, content_type: str = "") -> list[str]:
    decoder = TextDecoder()
    return [decoder.labels[local].name for local in decoder.decode(body, content_type).ids]


def test_a_page_within_the_limit_is_left_alone() -> None:
    body = b"# HELP a x\n# TYPE a gauge\na 1\n\n# b\nb 2\n"
    assert cut(body, 2) == (body, 0)
    assert cut(body, 1)[1] == 1


@pytest.mark.parametrize(
    "name",
    [
        "vllm:num_requests_running",
        "vllm:time_to_first_token_seconds_bucket",
        "sglang:num_queue_reqs",
        "ray_vllm_generation_tokens_total",
        "process_start_time_seconds",
    ],
)
def test_what_serving_is_judged_by_comes_first(name: str) -> None:
    junk = b"".join(b'junk{n="%d"} 1\n' % number for number in range(50))
    body = b"# TYPE junk gauge\n" + junk + f"# TYPE {name} gauge\n{name} 7\n".encode()
    kept, refused = cut(body, 10)
    assert _names(kept) == ["junk"] * 9 + [name]
    assert refused == 41
    decoder = TextDecoder()
    decoder.decode(kept)
    assert decoder.types[name] == "gauge", "its type is kept with it"


def test_types_of_what_is_left_out_are_left_out() -> None:
    body = b"".join(b"# TYPE junk%d gauge\njunk%d 1\n" % (number, number) for number in range(50))
    kept, _ = cut(body, 3)
    assert kept.count(b"# TYPE") == 3


def test_a_page_of_comments_keeps_those_that_matter() -> None:
    comments = b"".join(
        b"# TYPE junk%d gauge\n# HELP junk%d x\n\n" % (number, number) for number in range(9000)
    )
    body = comments + b"# TYPE a counter\n" * 9000 + b"a 1\n" + comments
    assert cut(body, 10) == (b"# TYPE a counter\na 1\n", 0)


def test_an_openmetrics_page_still_ends() -> None:
    body = b"".join(b'junk{n="%d"} 1\n' % number for number in range(50)) + b"# EOF\n"
    kept, refused = cut(body, 10)
    assert refused == 40
    assert len(_names(kept, "application/openmetrics-text; version=1.0.0")) == 10


LINES = st.sampled_from(
    ["vllm:num_requests_running", "vllm:num_requests_waiting", "a", "b", '{"quoted.name"}', "  c", "# x", ""]
)


@given(st.lists(LINES, max_size=30), st.integers(1, 20))
def test_never_more_than_the_limit_and_every_sample_counted(lines: list[str], limit: int) -> None:
    body = "\n".join(
        f'{line.strip("}")},n="{place}"}} 1' if line.startswith("{") else
        f'{line}{{n="{place}"}} 1' if line and not line.startswith("#") else line
        for place, line in enumerate(lines)
    ).encode()  # fmt: skip
    samples = sum(bool(line) and not line.startswith("#") for line in lines)
    kept, refused = cut(body, limit)
    names = _names(kept)
    assert len(names) == min(samples, limit)
    assert len(names) + refused == samples
    serving = sum(line.startswith("vllm:") for line in lines)
    assert sum(name.startswith("vllm:") for name in names) == min(serving, limit)
