"""Writes out in PromQL what the alias table does in Fleetowl: a name stands for those of other engines.

Any other reader of the rules does not know the table. So `a` becomes `(a or b)`, and where a function needs
the selector itself, the whole call is repeated: `rate(a[5m])` becomes `(rate(a[5m]) or rate(b[5m]))`.

The text is rewritten, not printed from the AST: comments and layout stay, and what has no alias stays as it
was to the byte.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Aliases = Mapping[str, Sequence[str]]
"""Canonical metric names, and the names (`b` or `b{x="1"}`) under which other engines export the same."""

_TOKEN = re.compile(
    r"(?P<blank>\s+|#[^\n]*)"
    r"|(?P<string>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`)"
    r"|(?P<range>\[[^\]]*\])"
    r"|(?P<word>[a-zA-Z_:][a-zA-Z0-9_:]*)"
    r"|(?P<number>[0-9.][0-9a-zA-Z_.]*)"
    r"|(?P<open>[({])|(?P<close>[)}])|(?P<other>.)",
    re.DOTALL,
)
_LABEL_LISTS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_NO_CALLS = _LABEL_LISTS | {"and", "or", "unless", "bool", "offset", "atan2", "start", "end"}
_OF_THE_SELECTOR = frozenset({"absent", "timestamp"})
"""Functions of instant vectors that read more from a selector than its values."""
_ALL_OF_THEM = frozenset({"absent", "absent_over_time"})
"""Functions that are true where nothing is: they must be so for every name."""


@dataclass(frozen=True, slots=True)
class _Node:
    """A token, or brackets with what stands in them."""

    kind: str
    text: str
    inside: tuple[_Node, ...] = ()
    closing: str = ""


def expand_aliases(text: str, aliases: Aliases) -> str:
    """The expression with each canonical name of `aliases` widened to all its names.

    >>> expand_aliases('sum(a{x="y"} offset 5m) > 1', {"a": ("b",)})
    'sum((a{x="y"} offset 5m or b{x="y"} offset 5m)) > 1'
    >>> expand_aliases("rate(a[5m]) / c", {"a": ("b",)})
    '(rate(a[5m]) or rate(b[5m])) / c'
    >>> expand_aliases('a{x="y"} + a', {"a": ('b{z="1"}',)})
    '(a{x="y"} or b{z="1", x="y"}) + (a or b{z="1"})'
    >>> expand_aliases("absent(a)", {"a": ("b",)})
    '(absent(a) and absent(b))'
    """
    nodes, _ = _nest([(str(found.lastgroup), found[0]) for found in _TOKEN.finditer(text)], 0, outermost=True)
    return _Writer(aliases).write(nodes)


def _nest(
    tokens: list[tuple[str, str]], place: int, outermost: bool = False
) -> tuple[tuple[_Node, ...], int]:
    """Nodes up to the bracket that closes, and its place (the end where none does)."""
    nodes: list[_Node] = []
    while place < len(tokens) and (outermost or tokens[place][0] != "close"):
        kind, text = tokens[place]
        inside: tuple[_Node, ...] = ()
        closing = ""
        if kind == "open":
            inside, place = _nest(tokens, place + 1)
            closing = tokens[place][1] if place < len(tokens) else ""
        nodes.append(_Node(kind, text, inside, closing))
        place += 1
    return tuple(nodes), place


def _after(nodes: Sequence[_Node], place: int) -> int:
    """The place of the next node that is not blank, or the end."""
    while place < len(nodes) and nodes[place].kind == "blank":
        place += 1
    return place


def _is(nodes: Sequence[_Node], place: int, kind: str, text: str = "") -> bool:
    return place < len(nodes) and nodes[place].kind == kind and (not text or nodes[place].text == text)


class _Writer:
    def __init__(self, aliases: Aliases) -> None:
        self._aliases = aliases

    def write(self, nodes: Sequence[_Node], chosen: str = "", instant: bool = False) -> str:
        """The text; the selector that the enclosing call needs (see _needed) is called `chosen` if given."""
        parts: list[str] = []
        place = 0
        while place < len(nodes):
            following = _after(nodes, place + 1)
            if nodes[place].kind != "word":
                parts.append(self._write_one(nodes[place], chosen, instant))
                place += 1
            elif _is(nodes, following, "open", "("):
                parts.append(self._write_call(nodes[place : following + 1]))
                place = following + 1
            elif nodes[place].text in self._aliases:
                end = _selector_end(nodes, place)
                parts.append(self._write_selector(nodes[place:end], chosen, instant))
                place = end
            else:
                parts.append(nodes[place].text)
                place += 1
        return "".join(parts)

    def _write_one(self, node: _Node, chosen: str, instant: bool) -> str:
        if node.kind != "open":
            return node.text
        if node.text == "{":
            return _plain((node,))
        return f"({self.write(node.inside, chosen, instant)}{node.closing}"

    def _write_selector(self, nodes: Sequence[_Node], chosen: str, instant: bool) -> str:
        name, rest = nodes[0].text, _plain(nodes[1:])
        if _is_range(nodes) or (instant and chosen):
            return _with_matchers(chosen or name, rest)
        names = (name, *self._aliases[name])
        return f"({' or '.join(_with_matchers(other, rest) for other in names)})"

    def _write_call(self, nodes: Sequence[_Node]) -> str:
        """`function (arguments)`, once for each name of the selector that the function needs as such."""
        function, arguments = nodes[0].text, nodes[-1]
        if function in _LABEL_LISTS:
            return _plain(nodes)
        instant = function in _OF_THE_SELECTOR
        needed = "" if function in _NO_CALLS else self._needed(arguments.inside, instant)
        head = _plain(nodes[:-1])
        names = (needed, *self._aliases[needed]) if needed else ("",)
        calls = [f"{head}({self.write(arguments.inside, name, instant)}{arguments.closing}" for name in names]
        joint = " and " if function in _ALL_OF_THEM else " or "
        return f"({joint.join(calls)})" if needed else calls[0]

    def _needed(self, nodes: Sequence[_Node], instant: bool) -> str:
        """The name with aliases of a range selector in the arguments; with `instant` of the only argument."""
        for place, node in enumerate(nodes):
            called = _is(nodes, _after(nodes, place + 1), "open", "(")
            if node.kind == "word" and node.text in self._aliases and not called:
                end = _selector_end(nodes, place)
                alone = _after(nodes, 0) == place and _after(nodes, end) == len(nodes)
                if _is_range(nodes[place:end]) or (instant and alone):
                    return node.text
        solid = [node for node in nodes if node.kind != "blank"]
        grouped = [
            second
            for first, second in pairwise([_Node("", ""), *solid])
            if second.kind == "open" and second.text == "(" and first.kind != "word"
        ]
        return next(filter(None, (self._needed(node.inside, instant) for node in grouped)), "")


def _with_matchers(name: str, rest: str) -> str:
    """An alias with matchers of its own has them beside those of the selector."""
    head, brace, own = name.partition("{")
    more = rest.lstrip()
    if not brace or not more.startswith("{"):
        return name + rest
    return f"{head}{{{own.removesuffix('}')}, {more[1:]}"


def _selector_end(nodes: Sequence[_Node], place: int) -> int:
    """The place behind `name {matchers} [range] offset d @ t`."""
    end = place + 1
    for kind, text in (("open", "{"), ("range", "")):
        if _is(nodes, _after(nodes, end), kind, text) and not _is_subquery(nodes, _after(nodes, end)):
            end = _after(nodes, end) + 1
    while (modified := _modifier_end(nodes, _after(nodes, end))) > 0:
        end = modified
    return end


def _modifier_end(nodes: Sequence[_Node], place: int) -> int:
    """The place behind `offset -5m`, `@ 5` or `@ end()`; 0 if there is none."""
    if not (_is(nodes, place, "word", "offset") or _is(nodes, place, "other", "@")):
        return 0
    place = _after(nodes, place + 1)
    while _is(nodes, place, "other", "-") or _is(nodes, place, "other", "+"):
        place = _after(nodes, place + 1)
    is_call = _is(nodes, place, "word")
    return _after(nodes, place + 1) + 1 if is_call else place + 1


def _is_subquery(nodes: Sequence[_Node], place: int) -> bool:
    return nodes[place].kind == "range" and ":" in nodes[place].text


def _is_range(nodes: Sequence[_Node]) -> bool:
    return any(node.kind == "range" for node in nodes)


def _plain(nodes: Sequence[_Node]) -> str:
    return "".join(node.text + _plain(node.inside) + node.closing for node in nodes)
