"""What the text decoder leaves out: series beyond its limits, forgotten ones, DCGM's blanks."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from model.labels import NAME, Labels
from wire.text import TextDecoder, TextLimits

# Limits.


def test_ten_megabytes_of_one_label_are_refused_and_the_rest_stored() -> None:
    body = b'a 1\nx{a="' + b"b" * 10_000_000 + b'"} 1\nz 2\n'
    decoder = TextDecoder()
    began = time.perf_counter()
    found = decoder.decode(body)
    assert time.perf_counter() - began < 1
    assert (found.values, found.refused) == ([1.0, 2.0], {"line_length": 1})
    roomy = TextDecoder(TextLimits(line_length=20_000_000))
    assert roomy.decode(body).refused == {"label_value_length_limit": 1}


def test_limits_refuse_single_series() -> None:
    decoder = TextDecoder(TextLimits(labels=2, label_name_length=8, label_value_length=5))
    body = b'a{b="c"} 1\na{b="c",d="e"} 1\na{abcdefghi="1"} 1\na{b="123456"} 1\nab{b="1",b="2"} 1\nz 2\n'
    for _ in range(2):
        found = decoder.decode(body)
        assert found.values == [1.0, 2.0]
        assert found.refused == {
            "label_limit": 2,  # the doubled label makes three
            "label_name_length_limit": 1,
            "label_value_length_limit": 1,
        }
    assert TextDecoder().decode(b'x{b="1",b="2"} 1\n').refused == {"duplicate_label": 1}


def test_a_limit_of_samples() -> None:
    found = TextDecoder(TextLimits(samples=3)).decode(b"".join(b"x%d 1\n" % n for n in range(5)))
    assert (len(found.ids), found.refused) == (3, {"sample_limit": 2})


def test_memory_is_bounded_under_churn() -> None:
    decoder = TextDecoder(TextLimits(keep_scrapes=5))
    generations = set()
    for scrape in range(200):
        body = b"stays 1\n# TYPE t%d gauge\n" % scrape + b"".join(
            b'x{pod="%d-%d"} 1\n' % (scrape, n) for n in range(100)
        )
        found = decoder.decode(body)
        generations.add(found.generation)
        assert decoder.labels[found.ids[0]] == Labels({NAME: "stays"})
        assert decoder.labels[found.ids[7]].value("pod") == f"{scrape}-6"
    assert len(decoder.labels) < 1500
    assert len(decoder._known) < 1500
    assert len(decoder.types) < 1500
    assert len(generations) > 10


def test_a_series_seen_in_each_scrape_is_never_forgotten() -> None:
    decoder = TextDecoder(TextLimits(keep_scrapes=2))
    many = b"".join(b"x%d 1\n" % n for n in range(500))
    decoder.decode(many)
    for _ in range(20):
        found = decoder.decode(b"keep 1\n")
    assert found.generation == 1
    assert decoder.labels == [Labels({NAME: "keep"})]
    for _ in range(20):
        assert decoder.decode(b"keep 1\n").generation == 1


def test_many_spellings_of_one_series_do_not_pile_up() -> None:
    decoder = TextDecoder(TextLimits(keep_scrapes=2))
    for scrape in range(300):
        decoder.decode(b"".join(b'x{a="b",%s} 1\n' % (b" " * (n + scrape * 20)) for n in range(20)))
    assert len(decoder.labels) == 1
    assert len(decoder._known) < 1100


# DCGM.


@pytest.mark.parametrize(
    "value",
    [b"2147483632", b"2147483635", b"9223372036854775792", b"9223372036854775794", b"9.223372036854776e+18",
     b"140737488355328", b"1.40737488355331e+14"],
)  # fmt: skip
def test_what_dcgm_writes_for_no_value_is_missing(value: bytes) -> None:
    decoder = TextDecoder()
    for _ in range(2):
        found = decoder.decode(
            b'DCGM_FI_DEV_GPU_TEMP{gpu="0"} %s\nDCGM_FI_DEV_GPU_TEMP{gpu="1"} 40\nother %s\n' % (value, value)
        )
        assert found.values == [40.0, float(value)]
        assert found.refused == {"sentinel": 1}


@pytest.mark.parametrize("value", [b"2147483631", b"2147483636", b"140737488355327", b"1e15", b"NaN", b"-1"])
def test_other_large_values_of_dcgm_stay(value: bytes) -> None:
    assert TextDecoder().decode(b"DCGM_FI_DEV_FB_USED %s\n" % value).refused == {}


def test_the_capture_with_blank_values(shared_data: Path) -> None:
    body = (shared_data / "captures" / "dcgm-exporter-SYNTHETIC-8xH100-edgecases.prom").read_bytes()
    decoder = TextDecoder()
    found = decoder.decode(body)
    blank = sum(b" 9223372036854775794" in line or b" 140737488355328" in line for line in body.splitlines())
    assert found.refused == {"sentinel": blank}
    assert max(found.values) < 2**31


def test_comments_beyond_the_limit_are_not_looked_at_and_those_before_not_kept_for_ever() -> None:
    decoder = TextDecoder(TextLimits(comment_bytes=5000, keep_scrapes=5))
    for scrape in range(20):
        body = b"".join(b"# TYPE m_%d_%d counter\n  # x%d\n" % (scrape, n, n) for n in range(2000)) + b"x 1\n"
        for _ in range(2):
            assert decoder.decode(body).values == [1.0]
        assert sum(map(len, decoder.comments)) < 5050
        assert len(decoder.types) < 5000 // 20 * 4
    assert any(name.startswith(("m_17_", "m_19_")) for name in decoder.types), "known anew"


def test_what_is_told_to_forget_forgets() -> None:
    decoder = TextDecoder()
    decoder.decode(b"".join(b"x%d 1\n" % n for n in range(500)))
    decoder.decode(b"x7 1\n")
    decoder.forget(0)
    assert decoder.labels == [Labels({NAME: "x7"})]
    found = decoder.decode(b"x9 1\nx7 2\n")
    assert [decoder.labels[local].name for local in found.ids] == ["x9", "x7"]
