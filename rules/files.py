"""Standard Prometheus rule files, read and checked as a whole.

Everything that is wrong in all files is said at once, with the file, the rule and what to change;
nothing runs from a file that has a flaw.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from model.labels import METRIC_NAME, NAME
from model.moment import format_duration
from model.settings import ConfigurationError, Duration, Problem, Settings, problems_of
from rules.documents import RuleDocument, UnitTests, read_rule_documents
from rules.group import AlertRule, RecordingRule, Rule, RuleGroup
from rules.promql.errors import PromQLError
from rules.promql.expression import Expression, parse
from rules.promql.scrapes import Span, parse_span
from rules.sidefile import Extras, is_side_file, load_side_file, side_file
from wire.template import Template, TemplateError, compile


def _to_span(value: object) -> Span:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a duration: write for example 5m or $scrapes(2)")
    return parse_span(value)


def _empty_map(value: object) -> object:
    return {} if value in ("", None) else value


Hold = Annotated[Span, BeforeValidator(_to_span)]
Texts = Annotated[dict[str, str], BeforeValidator(_empty_map)]


class RuleText(Settings):
    """One rule as it stands in the file."""

    record: str = Field(default="", description="Name of the series that a recording rule writes.")
    alert: str = Field(default="", description="Name of the alert.")
    expr: str = Field(min_length=1, description="PromQL; ranges may be `[$scrapes(n)]`.")
    hold: Hold = Field(default=Span(), alias="for", description="How long it must be true before it fires.")
    keep_firing_for: Hold = Field(default=Span(), description="How long it goes on firing afterwards.")
    labels: Texts = Field(default={}, description="Labels to add; templates.")
    annotations: Texts = Field(default={}, description="What to tell the person; templates.")


class GroupText(Settings):
    """One group as it stands in the file."""

    name: str = Field(min_length=1, description="Name of the group, unique in its file.")
    interval: Duration = Field(default=0, description="How often it is evaluated; default as configured.")
    query_offset: Duration = Field(default=0, description="Evaluate this far in the past, for late data.")
    limit: int = Field(default=0, ge=0, description="More results than this are an error of the rule.")
    labels: Texts = Field(default={}, description="Labels to add to every rule of the group.")
    rules: list[Any] = Field(default=[], description="The rules, evaluated in order.")


class ObjectGroupText(GroupText):
    """One group of a PrometheusRule object."""

    partial_response_strategy: str = Field(default="", description="Of Thanos; read over.")


def load_rule_files(paths: Iterable[Path], retention: int | None = None) -> list[RuleGroup]:
    """The groups of these files, and of the `*.yml` and `*.yaml` files in these folders.

    Files of unit tests in a folder are passed over. With `retention` (ms) a rule that reads further back is
    loaded with a flaw that says so: it fails at each evaluation, and the others run. Raises
    ConfigurationError with all problems of all files.
    """
    groups: list[RuleGroup] = []
    problems: list[Problem] = []
    given = set(map(Path, paths := list(paths)))
    for path in rule_files(paths):
        try:
            groups.extend(load_rule_file(path, retention))
        except ConfigurationError as error:
            if not isinstance(error, UnitTests) or path in given:
                problems.extend(error.problems)
    if problems:
        raise ConfigurationError(problems)
    return groups


def rule_files(paths: Iterable[Path]) -> list[Path]:
    """The files with rules, or with tests of rules, among and below `paths`; without side files."""
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found.extend(file for file in yaml_files(path) if not is_side_file(file))
        else:
            found.append(path)
    return found


def yaml_files(folder: Path) -> list[Path]:
    """The `*.yml` and `*.yaml` files below a folder, sorted, without hidden ones.

    Kubernetes shows each file of a mounted ConfigMap in `..data` too.
    """
    inside = sorted([*folder.rglob("*.yml"), *folder.rglob("*.yaml")])
    hidden = {file for file in inside if any(part.startswith(".") for part in file.relative_to(folder).parts)}
    return [file for file in inside if file not in hidden]


def load_rule_file(path: Path, retention: int | None = None) -> list[RuleGroup]:
    """The groups of one file, joined with its side file: a plain one, or PrometheusRule objects.

    Raises ConfigurationError with all its problems; UnitTests if it holds tests of rules.
    """
    if is_side_file(path):
        hint = "check the rule file beside it, which is read with it"
        raise ConfigurationError([Problem(str(path), "", "is a side file, no rule file", hint)])
    problems: list[Problem] = []
    read = []
    for document in read_rule_documents(path):
        reader = _Reader(document, retention, problems)
        read.append((reader, reader.groups()))
    alerts = {name: names for reader, _ in read for name, names in reader.alerts.items()}
    extras: dict[tuple[str, str], Extras] = {}
    try:
        extras = load_side_file(side_file(path), alerts)
    except ConfigurationError as error:
        problems.extend(error.problems)
    groups = [reader.group(group, rules, extras) for reader, found in read for group, rules in found]
    if problems:
        places = [place for reader, _ in read for place in reader.places]
        raise ConfigurationError(_in_order(problems, places))
    return groups


def _in_order(problems: list[Problem], places: list[str]) -> list[Problem]:
    """The problems as the rules stand in the file; those of no rule come first."""
    order = {place: number for number, place in enumerate(places)}

    def position(problem: Problem) -> int:
        key = problem.key
        while key not in order and "." in key:
            key = key.rpartition(".")[0]
        return order.get(key, -1)

    return sorted(problems, key=position)


class _Reader:
    """Reads one document and gathers what is wrong with it.

    What has a flaw is read on as far as it goes, so that one slip hides no other. `alerts` are the names
    by group, `places` what the rules are called, both also for what does not load.
    """

    def __init__(self, document: RuleDocument, retention: int | None, problems: list[Problem]) -> None:
        self._document = document
        self._file = document.origin
        self._retention = retention
        self._problems = problems
        self.alerts: dict[str, set[str]] = {}
        self.places: list[str] = []

    def _wrong(self, key: str, message: str, hint: str = "") -> None:
        self._problems.append(Problem(self._file, key, message, hint))

    def groups(self) -> list[tuple[GroupText, list[tuple[int, RuleText]]]]:
        """The groups and rules as text, names checked."""
        entries = self._document.groups.get("groups", [])
        entries = [] if entries in ("", None) else entries
        if not isinstance(entries, list):
            self._wrong("groups", "must be a list", "groups: [{name: ..., rules: [...]}]")
            return []
        model = ObjectGroupText if self._document.kubernetes else GroupText
        texts: list[tuple[GroupText, list[tuple[int, RuleText]]]] = []
        for number, entry in enumerate(entries):
            group = self._validated(model, entry, f"groups[{number}]") or _as_far_as_it_goes(model, entry)
            if group is None:
                continue
            if group.name in {known.name for known, _ in texts}:
                self._wrong(f"group {group.name}", "the name stands twice in this file", "rename one")
            texts.append((group, self._rules(group)))
        return texts

    def _rules(self, group: GroupText) -> list[tuple[int, RuleText]]:
        """The rules with their numbers."""
        rules = []
        alerts = self.alerts.setdefault(group.name, set())
        for number, entry in enumerate(group.rules, start=1):
            fields = entry if isinstance(entry, dict) else {}
            place = _place(group.name, number, fields.get("alert") or fields.get("record") or "")
            self.places.append(place)
            if isinstance(fields.get("alert"), str) and fields["alert"]:
                alerts.add(fields["alert"])
            rule = self._validated(RuleText, entry, place)
            if rule is not None:
                rules.append((number, rule))
            else:
                self._check_texts(fields, place)
        return rules

    def _check_texts(self, fields: Mapping[str, Any], place: str) -> None:
        """The expression and the templates of a rule that has another flaw."""
        if isinstance(fields.get("expr"), str) and fields["expr"]:
            self._expression(fields["expr"], f"{place}.expr")
        for part in ("labels", "annotations") if fields.get("alert") else ():
            texts = fields.get(part)
            if isinstance(texts, dict):
                plain = {name: text for name, text in texts.items() if isinstance(text, str)}
                self._templates(plain, f"{place}.{part}")

    def _validated(self, model: type[Any], entry: Any, key: str) -> Any:
        try:
            return model.model_validate(entry)
        except ValidationError as error:
            self._problems.extend(problems_of(error, model, self._file, key))
            return None

    def group(
        self, text: GroupText, rules: list[tuple[int, RuleText]], extras: Mapping[tuple[str, str], Extras]
    ) -> RuleGroup:
        """The group, its rules compiled as far as they can be."""
        self._check_label_names(f"group {text.name}.labels", text.labels)
        compiled: list[Rule] = []
        for number, rule in rules:
            key = _place(text.name, number, rule.alert or rule.record)
            found = self._rule(rule, text, key, extras.get((text.name, rule.alert), Extras()))
            if found is not None:
                compiled.append(found)
        return RuleGroup(self._file, text.name, tuple(compiled), text.interval, text.query_offset, text.limit)

    def _rule(self, text: RuleText, group: GroupText, key: str, extras: Extras) -> Rule | None:
        if bool(text.record) == bool(text.alert):
            self._wrong(key, "must have exactly one of `record` and `alert`")
            return None
        expression = self._expression(text.expr, f"{key}.expr")
        clear = self._clear(extras, f"{group.name}.{text.alert}")
        flaw = self._beyond_retention(expression, clear)
        self._check_label_names(f"{key}.labels", text.labels)
        labels = {**group.labels, **text.labels}
        if text.record:
            self._check_recording(text, key)
            return RecordingRule(text.record, expression, labels, flaw) if expression else None
        templates = self._templates(labels, f"{key}.labels")
        annotations = self._templates(text.annotations, f"{key}.annotations")
        if expression is None:
            return None
        return AlertRule(
            text.alert,
            expression,
            templates,
            annotations,
            text.hold,
            text.keep_firing_for,
            extras,
            clear,
            flaw,
        )

    def _expression(self, text: str, key: str) -> Expression | None:
        try:
            expression = parse(text)
        except PromQLError as error:
            self._wrong(key, str(error))
            return None
        if expression.type not in ("vector", "scalar"):
            kind = "range vector" if expression.type == "matrix" else expression.type
            hint = "apply a function of ranges to it, such as rate()" if expression.type == "matrix" else ""
            self._wrong(key, f"is a {kind}; a rule needs an instant vector or a number", hint)
            return None
        return expression

    def _clear(self, extras: Extras, key: str) -> Expression | None:
        try:
            return parse(extras.clear_expr) if extras.clear_expr else None
        except PromQLError as error:
            place = str(side_file(Path(self._file)))
            self._problems.append(Problem(place, f"{key}.clear_expr", str(error)))
            return None

    def _beyond_retention(self, *expressions: Expression | None) -> str:
        """What is wrong with a rule that reads what is not kept; empty if it does not."""
        longest = max((one.longest_range(0) for one in expressions if one is not None), default=0)
        if self._retention is None or longest <= self._retention:
            return ""
        kept = format_duration(self._retention)
        return (
            f"reads {format_duration(longest)} back, but only {kept} are kept: "
            f"shorten the range to {kept} or raise telemetry.retention"
        )

    def _check_recording(self, text: RuleText, key: str) -> None:
        if not METRIC_NAME.fullmatch(text.record):
            self._wrong(f"{key}.record", f"{text.record!r} is not a metric name")
        if text.annotations:
            self._wrong(f"{key}.annotations", "a recording rule has no annotations", "remove them")
        for name, span in (("for", text.hold), ("keep_firing_for", text.keep_firing_for)):
            if span != Span():
                self._wrong(f"{key}.{name}", f"a recording rule has no `{name}`", "remove it")

    def _check_label_names(self, key: str, labels: Mapping[str, str]) -> None:
        for name in labels:
            if not name or name == NAME:
                self._wrong(f"{key}.{name}", f"{name!r} cannot be set by a rule", "use another label name")

    def _templates(self, texts: Mapping[str, str], key: str) -> dict[str, Template]:
        templates = {}
        for name, text in texts.items():
            try:
                templates[name] = compile(text)
            except TemplateError as error:
                self._wrong(f"{key}.{name}", str(error))
        return templates


def _as_far_as_it_goes(model: type[GroupText], entry: Any) -> GroupText | None:
    """A group that has a flaw, for the sake of its rules."""
    if not isinstance(entry, dict) or not isinstance(entry.get("rules"), list):
        return None
    return model.model_construct(name=str(entry.get("name") or ""), rules=entry["rules"])


def _place(group: str, number: int, name: str) -> str:
    return f"group {group}, rule {number}" + (f" {name}" if name else "")
