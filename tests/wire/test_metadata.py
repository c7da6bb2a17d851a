from __future__ import annotations

from wire.metadata import FamilyMetadata, families_of
from wire.text import TextDecoder

PAGE = rb"""# HELP requests_total How many\\how \n often.
# TYPE requests_total counter
requests_total 1
# TYPE raw untyped
raw 1
# a remark
# HELP latency_seconds "quoted" help
# UNIT latency_seconds seconds
# TYPE latency_seconds histogram
latency_seconds_bucket{le="+Inf"} 1
# HELP "with.dots" A name in quotes.
"""


def test_a_target_says_type_help_and_unit() -> None:
    decoder = TextDecoder()
    decoder.decode(PAGE)
    assert families_of(decoder.comments) == {
        "requests_total": FamilyMetadata("counter", "How many\\how \n often."),
        "raw": FamilyMetadata("unknown"),
        "latency_seconds": FamilyMetadata("histogram", '"quoted" help', "seconds"),
        "with.dots": FamilyMetadata("unknown", "A name in quotes."),
    }


def test_metadata_stays_while_the_page_stays() -> None:
    decoder = TextDecoder()
    for _ in range(50):
        decoder.decode(PAGE)
    assert families_of(decoder.comments)["requests_total"].type == "counter"


def test_text_that_is_no_utf8_is_shown_as_such() -> None:
    found = families_of([b"# HELP up caf\xe9"])
    assert found == {"up": FamilyMetadata("unknown", "caf�")}
