from __future__ import annotations

import pytest

from alertmanager.nflog import LogEntry, needs_update

NOW = 10_000_000
HOUR = 3_600_000


def entry(firing: set[int], resolved: set[int], age: int = 0) -> LogEntry:
    return LogEntry(frozenset(firing), frozenset(resolved), NOW - age, 1)


@pytest.mark.parametrize(
    ("known", "firing", "resolved", "send_resolved", "expected"),
    [
        (None, {1}, set(), True, True),
        (None, set(), {1}, True, False),
        (None, set(), set(), True, False),
        (entry({1, 2, 3}, set()), {2, 3, 4}, set(), True, True),
        (entry({1, 2, 3}, set()), {1, 2, 3}, set(), True, False),
        (entry({1, 2, 3}, set()), {1, 2}, set(), True, False),
        (entry({1, 2, 3}, set(), age=HOUR), {1, 2, 3}, set(), True, True),
        (entry({1, 2, 3}, set(), age=HOUR - 1), {1, 2, 3}, set(), True, False),
        (entry({1, 2, 3}, set()), {1}, {2, 3}, True, True),
        (entry({1, 2, 3}, set()), {1}, {2, 3}, False, False),
        (entry({1, 2, 3}, {4}), {1, 2, 3}, {4}, True, False),
        (entry({1, 2}, set()), set(), {1, 2}, True, True),
        (entry({1, 2}, set()), set(), {1, 2}, False, True),
        (entry(set(), {1, 2}), set(), {1, 2, 3}, True, False),
        (LogEntry(frozenset({1}), frozenset(), 0, 1), {1}, set(), True, True),
    ],
)
def test_the_decision_table_of_alertmanager(
    known: LogEntry | None, firing: set[int], resolved: set[int], send_resolved: bool, expected: bool
) -> None:
    decision = needs_update(
        known, firing, resolved, send_resolved=send_resolved, repeat_interval=HOUR, now=NOW
    )
    assert bool(decision) is expected
    assert decision.why
