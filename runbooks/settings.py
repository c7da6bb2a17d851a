"""The section `runbooks` of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from model.moment import DAY, SECOND
from model.settings import Duration, Settings

# Here and not in model.py: whoever only reads the configuration, as the agent, needs no PromQL for it.
Mode = Literal["dry-run", "auto"]


class RunbookSettings(Settings):
    """Remediation: off until enabled, and then a dry run until a runbook says `mode: auto`."""

    enabled: bool = Field(False, description="Whether alerts are answered by runbooks at all.")
    mode: Mode | None = Field(None, description="Overrides the mode of every runbook: dry-run or auto.")
    paused: bool = Field(False, description="While true: decide and say, but write nothing.")
    shipped: bool = Field(True, description="Whether the shipped runbooks are loaded.")
    files: tuple[Path, ...] = Field(
        (), description="Runbooks of your own, or folders of `*.yml` and `*.yaml` files."
    )
    kubeconfig: Path | None = Field(
        None, description="kubeconfig of the cluster; without it the pod's own service account is used."
    )
    context: str | None = Field(None, description="Context of the kubeconfig; without it its current one.")
    cluster: str = Field(
        "",
        description="Value of the label `cluster` that alerts of this Kubernetes cluster carry. An alert "
        "with another value is never acted on.",
    )
    timeout: Duration = Field(
        5 * SECOND, gt=0, description="How long one request to the API server may take."
    )
    max_view_age: Duration = Field(
        30 * SECOND, gt=0, description="A node list older than this is not decided upon."
    )
    audit_file: Path | None = Field(
        None,
        description="Audit log (JSON lines, hash-chained); default: audit.jsonl in the analyzer's state "
        "directory. Without one that can be written nothing but a dry run is allowed.",
    )
    run_retention: Duration = Field(
        30 * DAY, gt=0, description="How long ended runs are remembered in the state database."
    )

    @model_validator(mode="after")
    def _kubeconfig_for_context(self) -> RunbookSettings:
        if self.context is not None and self.kubeconfig is None:
            raise ValueError("context is given without kubeconfig: name the kubeconfig too")
        return self
