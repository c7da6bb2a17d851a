"""The families that the probe reads, for the agent that exports them; no driver is needed to know them."""

from __future__ import annotations

from agent.gpu.probe.readers import METRICS as METRICS
