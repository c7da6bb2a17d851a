"""A run: one runbook on one target in one episode, from the first alert to its end."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from runbooks.model import Budget


class State(StrEnum):
    """Where a run stands.

    proposed -> acting -> verifying -> done, or -> acting (undo) -> undone; a refused run is decided anew
    at every step while its alert fires; dry-run is where a run ends that was only to say what it would do.
    """

    PROPOSED = "proposed"
    REFUSED = "refused"
    DRY_RUN = "dry-run"
    ACTING = "acting"
    VERIFYING = "verifying"
    DONE = "done"
    UNDONE = "undone"
    FAILED = "failed"


class Outcome(StrEnum):
    """What became of an intent."""

    APPLIED = "applied"
    ALREADY = "already"  # the world is as wanted, by this very run: it had been applied before a crash
    WOULD = "would"  # dry run, accepted by the API server
    REFUSED = "refused"  # the world changed between decision and action
    LEFT = "left"  # undo: what is there now is not ours
    UNKNOWN = "unknown"  # no certain answer: look again
    FAILED = "failed"


HOLDING = (State.PROPOSED, State.ACTING, State.VERIFYING)
"""States in which a run has reserved its part of the budget though the cluster may not show it yet."""


@dataclass
class Run:
    """The record of a run. Times are ms, alerts are fingerprints.

    `observed` holds [held since, last held] of each sign for each subject, a GPU's UUID as a rule: signs of
    two GPUs do not prove one fault.
    """

    id: str
    runbook: str
    version: int
    node: str
    uid: str
    episode: int
    mode: str
    alerts: list[str] = field(default_factory=list)
    incident: str = ""
    state: State = State.REFUSED
    action: str = "node.cordon"
    sentence: str = ""
    open: bool = True
    changed_at: int = 0
    acted_at: int | None = None
    verify_until: int | None = None
    retry_at: int = 0
    attempts: int = 0
    observed: dict[str, dict[str, list[int]]] = field(default_factory=dict)

    @property
    def dry(self) -> bool:
        """Whether it only says what it would do."""
        return self.mode == "dry-run"

    def document(self) -> dict[str, Any]:
        """All of it as JSON."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Run:
        """The run of a stored document; keys of another version are dropped."""
        known = {one.name for one in fields(cls)}
        kept = {key: value for key, value in document.items() if key in known}
        return cls(**{**kept, "state": State(kept["state"])})


@dataclass(frozen=True, slots=True)
class Intent:
    """One thing to do now, decided and on disk.

    `look_only`: do nothing any more, only say whether it had been done.
    """

    run: str
    runbook: str
    action: str
    node: str
    uid: str
    dry_run: bool
    budget: Budget
    at: int
    attempt: int
    why: str
    look_only: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an intent, with its sentence."""

    run: str
    action: str
    outcome: Outcome
    why: str


def run_id(runbook: str, version: int, target: str, episode: int) -> str:
    """Sixteen hexadecimal digits; the same episode of the same target has the same id after any restart."""
    text = "\n".join((runbook, str(version), target, str(episode)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
