"""One picture of `fleetowl top`: text of exactly the terminal's size, from data alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from agent.snapshot.shape import GpuView, NodeView, Snapshot
from fleetowl.agent_report import engine_columns, flow, gpu_columns, gpu_lines, host_parts
from fleetowl.terminal import BOLD, DIM, RED, YELLOW, Column, cut, paint, render
from fleetowl.top.history import History
from fleetowl.visible import visible

LINE_WIDTH = 12
"""Characters for the last minute: five seconds each."""

_KEYS = "q quit  s sort  n node  up/down"

Order = Callable[[GpuView], tuple[float, ...]]


def _descending(value: float | None) -> tuple[float, ...]:
    return (1.0,) if value is None else (0.0, -value)


ORDERS: dict[str, Order | None] = {
    "worst first": None,
    "busiest": lambda gpu: _descending(gpu.utilization_ratio),
    "fullest": lambda gpu: _descending(gpu.memory_used_bytes),
    "hottest": lambda gpu: _descending(gpu.temperature_celsius),
    "index": lambda gpu: (float(gpu.gpu) if gpu.gpu.isdigit() else float("inf"),),
}
"""How the GPUs of a node may be sorted; None leaves them as they come."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the person at the keyboard has chosen."""

    order: str = "worst first"
    node: str = ""
    """Only this node; empty for all."""
    top: int = 0
    """The first line that is shown."""

    def next_order(self) -> Choice:
        """The next way to sort."""
        names = list(ORDERS)
        return replace(self, order=names[(names.index(self.order) + 1) % len(names)], top=0)

    def next_node(self, seen: Snapshot) -> Choice:
        """The next node alone, and after the last one all again."""
        names = ["", *sorted(node.node for node in seen.nodes)]
        place = names.index(self.node) if self.node in names else 0
        return replace(self, node=names[(place + 1) % len(names)], top=0)

    def moved(self, lines: int) -> Choice:
        """Further down, or up."""
        return replace(self, top=max(0, self.top + lines))


@dataclass(frozen=True, slots=True)
class Screen:
    """How large the terminal is, and whether it may have colours."""

    width: int
    height: int
    colour: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn, and how many lines had no room below."""

    text: str
    below: int


def frame(seen: Snapshot, history: History, choice: Choice, origin: str, problem: str, screen: Screen) -> str:
    """The text of `draw`."""
    return draw(seen, history, choice, origin, problem, screen).text


def draw(
    seen: Snapshot, history: History, choice: Choice, origin: str, problem: str, screen: Screen
) -> Picture:
    """The lines, each cut to the width; as many as the screen is high, or fewer.

    `problem` is why the last fetch failed; then the figures are those from before.
    """
    head = [_summary(seen, choice, origin, screen)]
    if problem:
        head.append(_painted(cut(visible(problem), screen.width), RED, screen))
    body = _body(seen, history, choice, screen)
    room = max(0, screen.height - len(head) - 1)
    top = min(choice.top, max(0, len(body) - room))
    shown = body[top : top + room]
    below = len(body) - top - len(shown)
    foot = _KEYS + (f"  ({below} more below)" if below else "")
    lines = [*head, *shown, _painted(cut(foot, screen.width), DIM, screen)]
    return Picture("\n".join(lines[: screen.height]), below)


def _summary(seen: Snapshot, choice: Choice, origin: str, screen: Screen) -> str:
    at = datetime.fromtimestamp(seen.at_seconds).astimezone().strftime("%H:%M:%S")
    findings = [each for node in seen.nodes for each in (*node.wrong, *node.missing)]
    broken = sum(each.severity == "broken" for each in findings)
    warnings = sum(each.severity == "warning" for each in findings)
    state = "all is well" if not broken + warnings else f"{broken} broken, {warnings} to look at"
    parts = [state, at, origin, choice.order]
    if choice.node:
        parts.append(f"only {choice.node}")
    code = RED if broken else YELLOW if warnings else BOLD
    return _painted(cut(visible("  ".join(parts)), screen.width), code, screen)


def _body(seen: Snapshot, history: History, choice: Choice, screen: Screen) -> list[str]:
    nodes = [node for node in seen.nodes if choice.node in ("", node.node)]
    lines: list[str] = []
    for node in nodes:
        lines += ["", *_node(node, seen.at_seconds, history, choice, screen)]
    return [_cut_painted(line, screen.width) for line in lines]


def _node(node: NodeView, now: float, history: History, choice: Choice, screen: Screen) -> list[str]:
    name = visible(node.node) or "(no node)"
    lines = flow([_painted(name, BOLD, screen), *host_parts(node.host)], screen.width, len(name))
    for finding in (*node.wrong, *node.missing):
        if finding.severity != "note":
            code = RED if finding.severity == "broken" else YELLOW
            subject = _painted(cut(visible(finding.subject), screen.width), code, screen)
            lines.append(f"{subject}  {visible(finding.text)}")
    if node.gpus:
        lines += render(_gpu_columns(node, now, history, choice), screen.width, screen.colour)
    elif node.driver_state != "unknown":
        lines += gpu_lines(node, screen.width, screen.colour)
    if node.engines:
        lines += render(engine_columns(node.engines), screen.width, screen.colour)
    return lines


def _gpu_columns(node: NodeView, now: float, history: History, choice: Choice) -> Sequence[Column]:
    order = ORDERS[choice.order]
    gpus = sorted(node.gpus, key=order) if order is not None else node.gpus
    columns = gpu_columns(gpus)
    lines = [history.line((node.node, gpu.uuid, gpu.mig_instance), now, LINE_WIDTH) for gpu in gpus]
    place = next(place for place, column in enumerate(columns) if column.head == "UTIL") + 1
    return [*columns[:place], Column("LAST MINUTE", lines, 3), *columns[place:]]


_PAINT = re.compile(r"\x1b\[\d+m")


def _cut_painted(line: str, width: int) -> str:
    """Cut to a width that colours do not count for."""
    if len(_PAINT.sub("", line)) <= width:
        return line
    kept, room = "", width - 1
    for part in re.split(r"(\x1b\[\d+m)", line):
        if _PAINT.fullmatch(part):
            kept += part
        else:
            kept += part[:room]
            room -= len(part[:room])
    return kept + "…"


def _painted(text: str, code: str, screen: Screen) -> str:
    return paint(text, code) if screen.colour else text
