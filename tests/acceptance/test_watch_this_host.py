"""What a new user does first: watch this host, ask for a value, have a rule fire and resolve."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.acceptance.processes import Process, Webhook, told_at_once, wait_for

pytestmark = pytest.mark.acceptance

Start = Callable[..., Awaitable[Process]]

RULE = """
groups:
  - name: mine
    rules:
      - alert: MemoryAvailable
        expr: node_memory_MemAvailable_bytes {comparison}
        labels: {{tier: P2, kind: threshold}}
        annotations: {{summary: "{{{{ $labels.instance }}}} has {{{{ $value | humanize1024 }}}}B available"}}
"""


async def test_a_rule_fires_and_resolves(tmp_path: Path, start: Start, webhook: Webhook) -> None:
    rules = tmp_path / "mine.rules.yml"
    rules.write_text(RULE.format(comparison="> 0"))
    process = await start(
        "up",
        {
            "agent": {
                "interval": "1s",
                "listen": "127.0.0.1:0",
                "push": {"spool": {"directory": str(tmp_path / "spool")}},
            },
            "rules": {"files": [str(rules)], "evaluation_interval": "1s"},
            "alertmanager": told_at_once(webhook, "alertname"),
        },
    )

    async def live() -> bool:
        values = await process.query("node_memory_MemAvailable_bytes")
        return len(values) == 1 and float(next(iter(values.values()))) > 2**20

    async def told(status: str) -> bool:
        return ("MemoryAvailable", status) in {(s[0], s[2]) for s in webhook.states()}

    await wait_for(live, 15, "a live value of node_memory_MemAvailable_bytes")
    await wait_for(lambda: told("firing"), 15, f"the webhook of the firing alert\n{process.tail()}")
    rules.write_text(RULE.format(comparison="< 0"))
    assert process.child is not None
    process.child.send_signal(1)  # SIGHUP
    await wait_for(lambda: told("resolved"), 15, f"the webhook of the resolve\n{process.tail()}")
    kinds = [state[2] for state in webhook.states() if state[0] == "MemoryAvailable"]
    assert kinds == ["firing", "resolved"]
    assert await process.end() == 0
