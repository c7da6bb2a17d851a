"""A file of unit tests as promtool reads it: the same keys, the same defaults."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from model.labels import Labels
from model.moment import MINUTE, parse_moment
from model.settings import Duration, Settings
from rules.promql.errors import PromQLError
from rules.promql.expression import Expression, parse
from rules.unittest.notation import NotationError, parse_metric, parse_number, parse_series

T = TypeVar("T")


def _absent_as(empty: Callable[[], Any]) -> BeforeValidator:
    """A key without a value means the same as no key."""
    return BeforeValidator(lambda value: empty() if value in ("", None) else value)


def _expression(value: object) -> Expression:
    if not isinstance(value, str):
        raise ValueError("must be a text of PromQL")
    try:
        return parse(value)
    except PromQLError as error:
        raise ValueError(str(error)) from error


def _number(value: object) -> float:
    text = str(value or "0")
    if text.lstrip("+-").lower() in (".inf", ".nan"):
        return float(text.lower().replace(".", ""))
    try:
        if text.lstrip("+-").lower() in ("inf", "nan"):
            raise NotationError(f"{text!r} is not a number of YAML: write .inf, -.inf or .nan")
        return parse_number(text)
    except NotationError as error:
        raise ValueError(str(error)) from error


def _no_histogram(value: str) -> str:
    if value:
        raise ValueError("native histograms are not supported")
    return value


def _start(value: object) -> int:
    return parse_moment(str(value))


Listed = Annotated[tuple[T, ...], _absent_as(tuple)]
Texts = Annotated[dict[str, str], _absent_as(dict)]
Number = Annotated[float, BeforeValidator(_number)]


class _Part(Settings):
    model_config = ConfigDict(arbitrary_types_allowed=True)


class InputSeries(_Part):
    """A series, with one value per step of the test's interval."""

    series: str
    values: str = ""

    @cached_property
    def samples(self) -> tuple[Labels, list[float | None]]:
        """Its labels and values. Raises NotationError."""
        return parse_series(f"{self.series} {self.values}")


def _readable(entry: InputSeries) -> InputSeries:
    labels, _ = entry.samples
    if not labels:
        raise NotationError("a series needs a name or a label")
    return entry


class ExpectedAlert(_Part):
    """A firing alert; `alertname` need not stand among its labels."""

    exp_labels: Texts = Field(default={})
    exp_annotations: Texts = Field(default={})


class AlertCase(_Part):
    """Which alerts of one name fire at `eval_time`; none without `exp_alerts`."""

    eval_time: Duration = 0
    alertname: str = Field(min_length=1)
    exp_alerts: Listed[ExpectedAlert] = ()


class ExpectedSample(_Part):
    """A row of an expression's result."""

    labels: Annotated[Labels, BeforeValidator(lambda value: parse_metric(str(value)))] = Labels()
    value: Number = 0.0
    histogram: Annotated[str, AfterValidator(_no_histogram)] = ""


class ExpressionCase(_Part):
    """What an expression is worth at `eval_time`."""

    expr: Annotated[Expression, BeforeValidator(_expression)]
    eval_time: Duration = 0
    exp_samples: Listed[ExpectedSample] = ()


class UnitTest(_Part):
    """One entry of `tests`: series, and what must become of them. Times count from `start_timestamp`."""

    name: str = ""
    interval: Duration = 0
    input_series: Listed[Annotated[InputSeries, AfterValidator(_readable)]] = ()
    alert_rule_test: Listed[AlertCase] = ()
    promql_expr_test: Listed[ExpressionCase] = ()
    external_labels: Texts = Field(default={})
    external_url: str = ""
    start_timestamp: Annotated[int, BeforeValidator(_start)] = 0

    @property
    def duration(self) -> int:
        """The last moment (ms) that is looked at."""
        alerts = [case.eval_time for case in self.alert_rule_test]
        return max([*alerts, *(case.eval_time for case in self.promql_expr_test)], default=0)


def _unrepeated(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the group {name!r} stands twice")
    return names


class UnitTestFile(_Part):
    """The whole file. `fuzzy_compare` is read over: numbers are always compared with a tolerance."""

    rule_files: Listed[str] = ()
    evaluation_interval: Annotated[Duration, _absent_as(int)] = 0
    group_eval_order: Annotated[Listed[str], AfterValidator(_unrepeated)] = ()
    fuzzy_compare: bool = False
    tests: Listed[UnitTest] = ()

    @property
    def step(self) -> int:
        """How often (ms) the groups are evaluated."""
        return self.evaluation_interval or MINUTE
