"""Every family that a room declares, before the real `promtool check metrics`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from docs.generate import metrics
from model.labels import NAME, Labels
from wire.render import TextRenderer

pytestmark = pytest.mark.peer

THEIRS = ("DCGM_", "node_")
"""Names that other exporters chose."""


def test_the_names_are_prometheus_style(peer_binary: Callable[[str], str]) -> None:
    families = {metric.name: metric for room in metrics().values() for metric in room}
    ours = [metric for name, metric in families.items() if not name.startswith(THEIRS)]
    page = TextRenderer(ours).render(
        (Labels({NAME: metric.name, **dict.fromkeys(metric.labels, "x")}), 1.0) for metric in ours
    )
    done = subprocess.run(
        [peer_binary("promtool"), "check", "metrics"], input=page, capture_output=True, check=False
    )
    said = {line for line in (done.stdout + done.stderr).decode().splitlines() if line.strip()}
    assert said == set()
    assert len(ours) > 50
