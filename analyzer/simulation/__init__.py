"""Recorded alerts through the alerting rooms in virtual time: what a configuration would have sent.

result = simulate(read_history(path), settings, explained_by(groups))
result.noise, result.faults, result.suppressed
"""

from __future__ import annotations

from analyzer.simulation.history import History, Line, in_order, parse_history, read_history
from analyzer.simulation.result import FaultFigures, Result
from analyzer.simulation.run import Simulation, simulate
from analyzer.simulation.verdict import Sent, Verdict

__all__ = [
    "FaultFigures",
    "History",
    "Line",
    "Result",
    "Sent",
    "Simulation",
    "Verdict",
    "in_order",
    "parse_history",
    "read_history",
    "simulate",
]
