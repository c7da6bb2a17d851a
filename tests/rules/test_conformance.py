"""Prometheus' own evaluation tests, as far as the handed-out data goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.promql import run

KNOWN_FAILURES = {
    # Upstream's tests run with the experimental delayed removal of metric names; Fleetowl, as Prometheus
    # by default, removes a name at once.
    "name_label_dropping.test:26",
    "name_label_dropping.test:30",
    "name_label_dropping.test:45",
    "name_label_dropping.test:48",
    "name_label_dropping.test:51",
    # The data leaves out the native histograms that this one counts.
    "functions.test:613",
}


def test_upstream_evaluations(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run(shared_data / "promql")
    failed = {line.split(": ")[0]: line for line in outcome.failed}
    assert not failed.keys() - KNOWN_FAILURES, "\n".join(failed.values())
    assert not KNOWN_FAILURES - failed.keys(), "these pass now: take them off the list"
    assert all(": " in line and "support" in line for line in outcome.unsupported), outcome.unsupported
    counts = f"{outcome.passed} passed, {len(failed)} known failures, {len(outcome.unsupported)} unsupported"
    with capsys.disabled():
        print(f"\nPrometheus' evaluation tests: {counts}")
    assert outcome.passed >= 364
