"""The variables of the model that a fault file may set: causes only, never a metric.

To let faults set one more, give the object an attribute that its model reads and name it here.
"""

from __future__ import annotations

from dataclasses import dataclass

from model.settings import did_you_mean


@dataclass(frozen=True, slots=True)
class Variable:
    """One attribute of one kind of entity: `kind` number, switch or word (one of `words`)."""

    entity: str
    attribute: str
    kind: str
    help: str
    words: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As fault files spell it."""
        return f"{self.entity}.{self.attribute}"


_ALL = (
    Variable("gpu", "present", "switch", "The driver reaches the GPU; false = fallen off the bus."),
    Variable("gpu", "xid", "number", "Last XID of the driver, sticky until a reset."),
    Variable("gpu", "cooling", "number", "Thermal resistance as a multiple of a healthy board's."),
    Variable("gpu", "slowdown", "number", "How much slower it works without any sign (straggler)."),
    Variable("gpu", "link_slowdown", "number", "How much longer its collectives take (NVLink retries)."),
    Variable("gpu", "crc_rate", "number", "NVLink flit CRC errors per second."),
    Variable("gpu", "pcie_replay_rate", "number", "PCIe replays per second."),
    Variable("gpu", "ecc_dbe", "number", "Volatile double-bit errors."),
    Variable("gpu", "remapped_rows", "number", "Rows remapped for uncorrectable errors."),
    Variable("gpu", "remap_pending", "number", "1 = a remap waits for a reset."),
    Variable("gpu", "remap_failure", "number", "1 = no spare row was left."),
    Variable(
        "replica",
        "state",
        "word",
        "What its process does.",
        ("serving", "hung", "zombie", "errored", "exited"),
    ),
    Variable("replica", "health_status", "number", "What /health of a zombie answers."),
    Variable("replica", "error_share", "number", "Share of requests that fail at once."),
    Variable("replica", "slowdown", "number", "Iteration time as a multiple (a worse revision)."),
    Variable("replica", "cache_hit", "number", "Prefix cache hits as a multiple of the usual."),
    Variable("node", "up", "switch", "The host runs; false = panic or power loss."),
    Variable("node", "exporter", "word", "The DCGM exporter.", ("answers", "refuses", "hangs")),
    Variable("node", "leak_rate", "number", "Host memory leaked, bytes per second."),
    Variable("rack", "inlet", "number", "Temperature of the air that comes in, Celsius."),
    Variable("service", "rate", "number", "Demand as a multiple of the usual."),
    Variable("service", "prompt", "number", "Prompt length as a multiple of the usual."),
)

VARIABLES = {variable.name: variable for variable in _ALL}


def variable_named(name: str) -> Variable:
    """The variable of that name. Raises ValueError with the nearest known one."""
    found = VARIABLES.get(name)
    if found is None:
        hint = did_you_mean(name, VARIABLES, "variables")
        raise ValueError(f"{name!r} is no variable of the model: {hint}")
    return found
