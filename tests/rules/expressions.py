"""Random PromQL over a few families of series, well typed, with a seed.

Everything that the standard language has, but what one version of Prometheus computes otherwise than
another for reasons of rounding alone: steps (`floor`, `==`, `changes`, `count_values`) are only taken of
values that arithmetic has not touched, and thresholds are numbers that no sum of samples hits.

Durations are multiples of 5 s. The moments of a query are to be chosen beside such multiples, and the
samples beside whole seconds; then nothing lies on the left edge of a range, of a look-back or of a subquery.
"""

from __future__ import annotations

import random
from collections.abc import Callable

ODD, FINITE, COUNTER, BUCKETS, INFO = "odd", "finite", "c_total", "h_bucket", "info"

_MATCHERS = [
    *["", "", '{node="n1"}', '{node!="n1"}', '{node=~"n[12]"}', '{node!~"n1|n3"}', '{rack="r1",gpu="1"}'],
    *['{gpu=~".+"}', '{zone=""}', '{node="n9"}', '{node=~"N.*"}', '{node=~"(?i)N[23]", gpu!~"0|"}'],
]
_RANGES = ["15s", "30s", "45s", "1m", "90s", "2m", "150s", "4m"]
_STEPS = ["10s", "15s", "25s", "1m", ""]
_OFFSETS = ["offset 30s", "offset 35s", "offset 2m", "offset -20s"]
_THRESHOLDS = ["2.71", "-0.31", "3.3e3", "1.01e6", "0.577", "Inf", "-Inf", "NaN"]
_LABELS = ["node", "gpu", "rack", "zone", "nothing"]

_ON_FINITE = ["stddev_over_time", "stdvar_over_time", "avg_over_time", "sum_over_time", "deriv"]
_EXACT_OVER_TIME = ["last", "min", "max", "count", "present"]
_ELEMENTWISE = [
    *["abs", "exp", "ln", "log2", "log10", "sqrt", "sgn", "deg", "rad"],
    *["sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"],
]
_DATES = [
    *["minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year"],
]


class Maker:
    """Makes expressions; the same seed makes the same ones."""

    def __init__(self, seed: int, moments: list[int]) -> None:
        self._chance = random.Random(seed)
        self._moments = moments
        """Seconds that `@` may name."""
        self._within_subquery = False

    def expression(self) -> str:
        """An instant vector or a number, nested up to three deep."""
        if self._chance.random() < 0.05:
            return self.scalar(2)
        return self.vector(self._chance.choice([1, 2, 2, 3]))

    def pick(self, *choices: str) -> str:
        return self._chance.choice(choices)

    def selector(self, *names: str) -> str:
        """An instant selector of one of these metrics."""
        bare = self.pick(*names) + self.pick(*_MATCHERS)
        return f"{bare} {self.modifiers()}".rstrip()

    def modifiers(self) -> str:
        """`offset`, `@`, both or most often neither."""
        kind = self._chance.random()
        at = self.pick("@ start()", "@ end()", f"@ {self._chance.choice(self._moments)}")
        offset = self.pick(*_OFFSETS)
        return "" if kind < 0.7 else offset if kind < 0.85 else at if kind < 0.95 else f"{at} {offset}"

    def ranged(self, *names: str, modified: bool = True) -> str:
        """A range selector or a subquery of a selector of these metrics."""
        bare = self.pick(*names) + self.pick(*_MATCHERS)
        modifiers = self.modifiers() if modified else ""
        if self._chance.random() < 0.7:
            return f"{bare}[{self.pick(*_RANGES)}] {modifiers}".rstrip()
        return self.subquery(self.selector(*names), modifiers)

    def subquery(self, inner: str, modifiers: str) -> str:
        """Every moment of `inner`; moved by 2 s within another one, whose moments are multiples of 5 s."""
        if self._within_subquery:
            modifiers = "offset 2s"
        return f"({inner})[{self.pick(*_RANGES)}:{self.pick(*_STEPS)}] {modifiers}".rstrip()

    def exact(self, depth: int) -> str:
        """A vector whose values are samples, or exactly computed from them."""
        if depth == 0 or self._chance.random() < 0.3:
            return self.selector(ODD, FINITE, COUNTER, INFO)
        kind = self._chance.randrange(7)
        inner = self.exact(depth - 1)
        if kind == 0:
            return f"{self.pick(*_EXACT_OVER_TIME)}_over_time({self.ranged(ODD, FINITE, COUNTER)})"
        if kind == 1:
            return f"{self.pick('min', 'max', 'count', 'group')} {self.grouping()} ({inner})"
        if kind == 2:
            return self.pick(f"-({inner})", f"abs({inner})", f"+{self.selector(ODD)}")
        if kind == 3:
            return f"{inner} {self.pick('>', '<', '>=', '<=', '==', '!=')} {self.pick(*_THRESHOLDS)}"
        if kind == 4:
            return self.relabelled(inner)
        if kind == 5:
            return f"{self.pick('sort', 'sort_desc')}({inner})"
        return f"({inner}) {self.pick('and', 'or', 'unless')} {self.matching()} ({self.exact(depth - 1)})"

    def vector(self, depth: int) -> str:
        """Any instant vector."""
        if depth == 0:
            return self.exact(0)
        makers: list[Callable[[int], str]] = [
            *[self.over_range] * 4,
            *[self.aggregated] * 3,
            *[self.with_scalar, self.joined, self.combined] * 2,
            *[self.elementwise, self.stepped, self.ranked, self.absent, self.histogram, self.timed],
            *[self.exact, self.of_scalar],
        ]
        return self._chance.choice(makers)(depth - 1)

    def over_range(self, depth: int) -> str:
        """A function of a range vector."""
        kind = self._chance.random()
        if kind < 0.4:
            function = self.pick("rate", "increase", "irate", "resets")
            return f"{function}({self.ranged(COUNTER)})"
        if kind < 0.6:
            return f"{self.pick(*_ON_FINITE)}({self.ranged(FINITE)})"
        if kind < 0.75:
            function = self.pick("delta", "idelta", "changes", "deriv", "avg_over_time", "sum_over_time")
            return f"{function}({self.ranged(ODD, FINITE)})"
        if kind < 0.85:
            return f"quantile_over_time({self.quantile()}, {self.ranged(FINITE)})"
        if kind < 0.9:
            ranged = self.ranged(FINITE, COUNTER, modified=False)
            return f"predict_linear({ranged}, {self.pick('60', '-30', '3600')})"
        if kind < 0.93:
            return f"double_exponential_smoothing({self.ranged(FINITE)}, 0.3, {self.pick('0.1', '0.7')})"
        outermost, self._within_subquery = self._within_subquery, True
        inner = self.vector(depth)
        self._within_subquery = outermost
        function = self.pick("max", "min", "avg", "last")
        return f"{function}_over_time({self.subquery(inner, self.modifiers())})"

    def aggregated(self, depth: int) -> str:
        """An aggregation of anything, or of what has a variance."""
        if self._chance.random() < 0.25:
            return f"{self.pick('stddev', 'stdvar')} {self.grouping()} ({self.selector(FINITE, COUNTER)})"
        op = self.pick("sum", "avg", "min", "max", "count", "group")
        return f"{op} {self.grouping()} ({self.vector(depth)})"

    def ranked(self, depth: int) -> str:
        """`topk` and its kin, over values of which no two are equal."""
        operand = self.pick(self.selector(FINITE), self.selector(COUNTER), f"rate({COUNTER}[1m])")
        if self._chance.random() < 0.5:
            return f"quantile {self.grouping()} ({self.quantile()}, {self.pick(operand, self.exact(depth))})"
        if self._chance.random() < 0.4:
            return f'count_values {self.grouping()} ("{self.pick("v", "node")}", {self.exact(depth)})'
        return (
            f"{self.pick('topk', 'bottomk')} {self.grouping()} ({self.pick('1', '2', '3', '-1')}, {operand})"
        )

    def grouping(self) -> str:
        """`by`, `without` or nothing."""
        labels = ", ".join(self._chance.sample(_LABELS, self._chance.choice([0, 1, 1, 2])))
        return self.pick("", f"by ({labels})", f"by ({labels})", f"without ({labels})")

    def matching(self) -> str:
        """`on`, `ignoring` or nothing."""
        labels = ", ".join(self._chance.sample(_LABELS, self._chance.choice([0, 1, 2, 2])))
        return self.pick("", f"on ({labels})", f"ignoring ({labels})", "on (node, gpu)", "on (node)")

    def with_scalar(self, depth: int) -> str:
        """A vector and a number."""
        op = self.pick("+", "-", "*", "/", "^", "atan2", ">", "<", ">= bool", "< bool", "> bool")
        sides = [f"({self.vector(depth)})", self.pick(*_THRESHOLDS, self.scalar(depth))]
        if op == "atan2":
            sides[0] = f"(-{sides[0]})"
        self._chance.shuffle(sides)
        return f"{sides[0]} {op} {sides[1]}"

    def joined(self, depth: int) -> str:
        """Two vectors whose labels match, one to one or many to one; or that often do not."""
        op = self.pick("+", "-", "*", "/", ">", "<", "<= bool", "> bool")
        many, one = self.selector(ODD, FINITE, COUNTER), f"sum by (node) ({self.vector(depth)})"
        choices = [
            f"{many} {op} ignoring (zone) {self.selector(FINITE, COUNTER)}",
            f"rate({COUNTER}[1m]) {op} on (node, gpu) {self.selector(ODD)}",
            f"{many} {op} on (node) group_left {one}",
            f"{one} {op} on (node) group_right {many}",
            f"{many} {op} on (node) group_left (zone) {INFO}",
            f"{many} {op} on (node) group_left (rack, zone) {INFO}",
            f"{INFO} {op} ignoring (gpu, rack, zone) group_right (zone) {many}",
            f"({self.vector(depth)}) {op} {self.matching()} ({self.vector(depth)})",
            f"({self.vector(depth)}) {op} {self.matching()} ({self.exact(depth)})",
        ]
        return self.pick(*choices)

    def combined(self, depth: int) -> str:
        """A set operator."""
        op = self.pick("and", "or", "unless")
        return f"({self.vector(depth)}) {op} {self.matching()} ({self.vector(depth)})"

    def elementwise(self, depth: int) -> str:
        """A function of each value by itself."""
        inner = self.vector(depth)
        return self.pick(
            f"{self.pick(*_ELEMENTWISE)}({inner})",
            f"clamp({inner}, {self.pick('-1.5', '2.5')}, {self.pick('2.1', '1e3')})",
            f"clamp_min({inner}, {self.pick('0.7', 'NaN', self.scalar(depth))})",
            f"clamp_max({inner}, {self.pick('1.3', 'Inf')})",
            f"-({inner})",
        )

    def stepped(self, depth: int) -> str:
        """A function with steps, of values that are samples."""
        inner = self.exact(depth)
        return self.pick(
            f"{self.pick('floor', 'ceil', 'round', 'sgn')}({inner})",
            f"round({inner}, {self.pick('0.3', '5')})",
            f"{inner} % 7",
        )

    def relabelled(self, inner: str) -> str:
        """`label_replace` or `label_join`."""
        return self.pick(
            f'label_replace({inner}, "zone", "z-$1", "node", "n(.)")',
            f'label_replace({inner}, "node", "", "gpu", "0")',
            f'label_replace({inner}, "copy", "${{1}}x$2", "rack", "(r)(.*)")',
            f'label_join({inner}, "both", "-", "node", "gpu")',
        )

    def absent(self, depth: int) -> str:
        """`absent` and `absent_over_time`, of what is there and of what is not."""
        nothing = f'{ODD}{{node="{self.pick("n1", "n9")}", gpu=~"7|8", rack!="r9", zone="z"}}'
        return self.pick(
            f"absent({self.pick(nothing, self.vector(depth))})",
            f"absent_over_time({self.pick(nothing, ODD)}[{self.pick(*_RANGES)}])",
        )

    def histogram(self, _depth: int) -> str:
        """`histogram_quantile` of rates or of raw buckets."""
        chosen = self.pick(BUCKETS, BUCKETS + '{node="n1"}')
        buckets = f"rate({chosen}[{self.pick('1m', '2m')}])"
        operand = self.pick(buckets, BUCKETS, f"sum by (le) ({buckets})", f"sum by (le, node) ({buckets})")
        return f"histogram_quantile({self.quantile()}, {operand})"

    def timed(self, depth: int) -> str:
        """Functions of time."""
        bare = self.pick(ODD, FINITE, COUNTER) + self.pick(*_MATCHERS)
        return self.pick(
            f"timestamp({bare} {self.pick('', 'offset 35s', '@ start()')})",
            f"timestamp(-({self.vector(depth)}))",
            f"time() - timestamp({bare})",
            f"{self.pick(*_DATES)}({self.selector(COUNTER)} * 1000)",
            f"{self.pick(*_DATES)}({self.selector(FINITE)} - 3.7)",
            f"{self.pick(*_DATES)}()",
        )

    def of_scalar(self, depth: int) -> str:
        """A vector of one number."""
        return f"vector({self.scalar(depth)})"

    def quantile(self) -> str:
        """Mostly one."""
        return self.pick("0", "0.25", "0.5", "0.9", "0.99", "1", "-0.5", "1.2", "NaN")

    def scalar(self, depth: int) -> str:
        """A number."""
        if depth <= 0:
            return self.pick(*_THRESHOLDS, "time()", "pi()", "0x1f", "1e-3")
        return self.pick(
            f"scalar({self.vector(depth - 1)})",
            f"({self.scalar(depth - 1)} {self.pick('+', '-', '*', '/', '> bool')} {self.scalar(depth - 1)})",
            f"-{self.scalar(0)}",
        )
