"""Pictures of `fleetowl top`, without a terminal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.snapshot.facts import Row
from fleetowl.top.fetch import Fetched
from fleetowl.top.frame import ORDERS, Choice, Screen, draw, frame
from fleetowl.top.history import History
from fleetowl.top.run import chosen
from model.labels import NAME, Labels

NOW = 1_700_000_000.0
URL = "http://127.0.0.1:9482"


def gpu_rows(node: str, index: int, busy: float, temperature: float = 60.0, up: bool = True) -> list[Row]:
    labels = {
        "gpu": str(index),
        "UUID": f"GPU-{node}-{index}",
        "modelName": "NVIDIA H100",
        "Hostname": node,
        "node": node,
    }
    figures = {"DCGM_FI_DEV_GPU_UTIL": busy, "DCGM_FI_DEV_GPU_TEMP": temperature} if up else {}
    return [
        (Labels({**labels, NAME: name}), value)
        for name, value in {**figures, "fleetowl_gpu_up": float(up)}.items()
    ]


def fetched(at: float, rows: list[Row], own: str = "n1") -> Fetched:
    return Fetched(at, rows, own)


PICTURE = """\
1 broken, 0 to look at  {at}  http://127.0.0.1:9482  worst first

n1
GPU 1 (GPU-n1)  lost: the driver does not answer for it
GPU  STATE  UTIL  LAST MINUTE   TEMP  UUID
1    lost      -                   -  GPU-n1
0    up     50 %            ▅▅  60 C  GPU-n1
q quit  s sort  n node  up/down"""


def test_a_picture() -> None:
    history = History()
    rows = gpu_rows("n1", 0, 50) + gpu_rows("n1", 1, 0, up=False)
    history.add(fetched(NOW - 5, rows))
    seen = history.add(fetched(NOW, rows))
    told = frame(seen, history, Choice(), URL, "", Screen(80, 24))
    assert re.sub(r"\d\d:\d\d:\d\d", "{at}", told) == PICTURE


def many(nodes: int = 3, gpus: int = 8) -> list[Row]:
    return [
        row for node in range(nodes) for gpu in range(gpus) for row in gpu_rows(f"n{node}", gpu, gpu * 10)
    ]


@given(
    width=st.integers(20, 200),
    height=st.integers(1, 60),
    top=st.integers(0, 100),
    colour=st.booleans(),
    problem=st.sampled_from(["", "the figures are 3 s old: nothing answers at http://127.0.0.1:9482"]),
)
def test_a_picture_is_never_larger_than_the_screen(
    width: int, height: int, top: int, colour: bool, problem: str
) -> None:
    history = History()
    seen = history.add(fetched(NOW, many()))
    told = frame(seen, history, Choice(top=top), URL, problem, Screen(width, height, colour))
    plain = re.sub(r"\x1b\[\d+m", "", told).split("\n")
    assert len(plain) <= height
    assert max(map(len, plain)) <= width
    if not colour:
        assert "\x1b" not in told


def test_what_has_no_room_is_counted_and_reached_by_scrolling() -> None:
    history = History()
    seen = history.add(fetched(NOW, many()))
    screen = Screen(80, 10)
    first = draw(seen, history, Choice(), URL, "", screen)
    assert f"({first.below} more below)" in first.text
    choice = Choice()
    for _ in range(200):
        choice = chosen("down", choice, seen, draw(seen, history, choice, URL, "", screen).below)
    last = draw(seen, history, choice, URL, "", screen)
    assert last.below == 0
    assert "n2" in last.text or "7    up" in last.text
    one_up = chosen("up", choice, seen, 0)
    assert draw(seen, history, one_up, URL, "", screen).below == 1, "one key up is one line up"


def test_the_worst_node_stands_first() -> None:
    history = History()
    seen = history.add(fetched(NOW, gpu_rows("a", 0, 5) + gpu_rows("b", 0, 5, up=False)))
    lines = frame(seen, history, Choice(), URL, "", Screen(80, 24)).split("\n")
    assert [line for line in lines if line in ("a", "b")] == ["b", "a"]


def test_keys_sort_and_filter() -> None:
    history = History()
    rows = gpu_rows("a", 0, 5, 90) + gpu_rows("a", 1, 95, 40) + gpu_rows("b", 0, 1)
    seen = history.add(fetched(NOW, rows))
    choice = chosen("s", Choice(), seen, 0)
    assert choice.order == "busiest"
    told = frame(seen, history, choice, URL, "", Screen(80, 24))
    assert told.index("\n1    up     95 %") < told.index("\n0    up      5 %")
    for _ in range(len(ORDERS) - 1):
        choice = chosen("s", choice, seen, 0)
    assert choice.order == "worst first", "it begins anew"
    only_a = chosen("n", choice, seen, 0)
    told = frame(seen, history, only_a, URL, "", Screen(80, 24))
    assert "only a" in told
    assert "\nb\n" not in told
    assert chosen("n", chosen("n", only_a, seen, 0), seen, 0).node == "", "after the last one all again"
    assert chosen("x", choice, seen, 0) == choice


def test_a_problem_is_said_above_the_old_figures() -> None:
    history = History()
    seen = history.add(fetched(NOW, gpu_rows("n1", 0, 5)))
    told = frame(seen, history, Choice(), URL, "the figures are 3 s old: nothing answers", Screen(80, 24))
    assert told.split("\n")[1] == "the figures are 3 s old: nothing answers"
    assert "GPU-n1" in told


@pytest.mark.parametrize(("age", "slot"), [(0, 11), (4.9, 11), (5.1, 10), (59, 0)])
def test_the_last_minute_has_five_seconds_a_character(age: float, slot: int) -> None:
    history = History()
    history.add(fetched(NOW - age, gpu_rows("n1", 0, 100)))
    line = history.line(("n1", "GPU-n1-0", ""), NOW, 12)
    assert [place for place, block in enumerate(line) if block == "█"] == [slot]


def test_the_last_minute_shows_the_highest_and_forgets() -> None:
    history = History()
    for second in range(200):
        history.add(fetched(NOW + second, gpu_rows("n1", 0, 100.0 if second == 197 else 0.0)))
    line = history.line(("n1", "GPU-n1-0", ""), NOW + 199, 12)
    assert line == "▁" * 11 + "█"
    assert all(len(kept) <= 61 for kept in history._busy.values())
    for second in range(200, 300):
        history.add(fetched(NOW + second, gpu_rows("n1", 1, 0.0)))
    assert ("n1", "GPU-n1-0", "") not in history._busy, "one that is gone"


def test_rates_are_over_seconds_not_over_one_picture() -> None:
    """An agent's figures come every few seconds, in jumps."""
    history = History()
    labels = {"job": "e", "instance": "h:1", "node": "n1"}

    def rows(tokens: float) -> list[Row]:
        return [
            (Labels({**labels, NAME: "up"}), 1.0),
            (Labels({**labels, NAME: "vllm:generation_tokens_total"}), tokens),
        ]

    seen = [history.add(fetched(NOW + s, rows(300.0 * (s // 3)))) for s in range(30)]
    rates = [each.nodes[0].engines[0].generation_tokens_per_second or 0.0 for each in seen[12:]]
    assert min(rates) > 60
    assert max(rates) < 140
