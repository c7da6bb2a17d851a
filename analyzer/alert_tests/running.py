"""Runs the tests of a file through a simulation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from alertmanager.matching import parse_matchers
from alertmanager.route import build_route, routing_labels
from alertmanager.silences.silence import Draft
from analyzer.alert_tests.document import Case, Expected, Pattern, Quiet, RouteCase, TestFile, matching
from analyzer.alerting import Explains
from analyzer.central import CentralSettings
from analyzer.simulation import Line, Result, Sent, Simulation, in_order
from model.alert import Alert
from model.labels import Labels, format_labels
from model.moment import HOUR, format_duration


@dataclass(frozen=True, slots=True)
class Failure:
    """What did not come out as expected: lines that were expected, and lines that came instead."""

    test: str
    subject: str
    expected: tuple[str, ...] = ()
    got: tuple[str, ...] = ()


def run_tests(file: TestFile, settings: CentralSettings, explains: Explains) -> Iterator[Failure]:
    """The failures of all tests of a file."""
    for number, route in enumerate(file.routes, 1):
        yield from _route(route, number, settings)
    for number, case in enumerate(file.tests, 1):
        yield from _case(case, case.name or f"test {number}", settings, explains)


def _route(case: RouteCase, number: int, settings: CentralSettings) -> Iterator[Failure]:
    own, labels = settings.alertmanager, Labels(case.labels)
    seen = routing_labels(Alert(labels), plain=own.plain)
    found = tuple(route.receiver for route in build_route(own.route).match(seen))
    if found != case.receivers:
        subject = f"routes of {format_labels(labels)}"
        yield Failure(f"route {number}", subject, (", ".join(case.receivers),), (", ".join(found),))


def _case(case: Case, name: str, settings: CentralSettings, explains: Explains) -> Iterator[Failure]:
    result = _simulated(case, settings, explains)
    missing, left = _paired(case, result)
    if missing or (left and not case.others):
        expected = tuple(_expected_line(one) for one in missing)
        got = tuple(_sent_line(one, case.start) for one in left)
        yield Failure(name, "notifications", expected, got)
    for quiet in case.quiet:
        yield from _quiet(quiet, name, result)


def _simulated(case: Case, settings: CentralSettings, explains: Explains) -> Result:
    lines = []
    for alert in case.alerts:
        begin, labels = case.start + alert.at, Labels(alert.labels)
        lines.append(Line(begin, Alert(labels, alert.annotations, begin)))
        lasts = alert.for_ if alert.for_ is not None else _length(case)
        end = begin + lasts
        lines.append(Line(end, Alert(labels, alert.annotations, begin, end)))
    silences = [
        Draft(
            tuple(matcher for line in one.matchers for matcher in parse_matchers(line)),
            case.start + one.at,
            case.start + one.at + one.for_,
            "test",
            one.comment,
        )
        for one in case.silences
    ]
    simulation = Simulation(settings, explains, silences=silences)
    return simulation.run(in_order(lines), case.start + _length(case))


def _length(case: Case) -> int:
    """Unless it is said: an hour after the last thing that the test names."""
    if case.until is not None:
        return case.until
    named = [alert.at + (alert.for_ or 0) for alert in case.alerts]
    named += [one.at + one.for_ for one in case.silences]
    named += [sum(one.span) if one.within is not None else one.at or 0 for one in case.expect]
    return max(named) + HOUR


def _paired(case: Case, result: Result) -> tuple[list[Expected], list[Sent]]:
    """What was expected and did not come, and what came and was not expected."""
    left = list(result.sent)
    missing = []
    for expected in case.expect:
        found = next((one for one in left if _fits(expected, one, case.start)), None)
        if found is None:
            missing.append(expected)
        else:
            left.remove(found)
    return missing, left


def _fits(expected: Expected, sent: Sent, start: int) -> bool:
    first, last = expected.span
    told = sent.notification
    if not first <= sent.at - start <= last or told.receiver != expected.receiver:
        return False
    if expected.group is not None and dict(told.group_labels) != expected.group:
        return False
    firing = [alert for alert in told.alerts if not alert.resolved_at(told.at)]
    resolved = [alert for alert in told.alerts if alert.resolved_at(told.at)]
    return _all_of(expected.firing, firing) and _all_of(expected.resolved, resolved)


def _all_of(patterns: Sequence[Pattern] | None, alerts: Sequence[Alert]) -> bool:
    """Whether each pattern takes one alert of its own, and no alert is left."""
    if patterns is None:
        return True
    left = list(alerts)
    for pattern in patterns:
        takes = matching(pattern)
        found = next((alert for alert in left if takes(alert.labels)), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def _quiet(quiet: Quiet, name: str, result: Result) -> Iterator[Failure]:
    takes = matching(quiet.alerts)
    found = [verdict for verdict in result.verdicts if takes(verdict.alert.labels)]
    stage = f" because of {quiet.stage}" if quiet.stage else ""
    expected = (f"nobody is told{stage}",)
    if not found:
        yield Failure(name, f"quiet {_shown(quiet.alerts)}", expected, ("no alert of the test matches",))
    for verdict in found:
        if verdict.told or (quiet.stage and quiet.stage not in verdict.held):
            subject = f"quiet {format_labels(verdict.alert.labels)}"
            yield Failure(name, subject, expected, (verdict.why,))


def _expected_line(expected: Expected) -> str:
    first, last = expected.span
    when = f"at {format_duration(first)}" if expected.at is not None else "at any time"
    if expected.within is not None:
        when = f"from {format_duration(first)} to {format_duration(last)}"
    parts = [when, f"to {expected.receiver}"]
    if expected.group is not None:
        parts.append(f"group {format_labels(expected.group)}")
    for word, patterns in (("firing", expected.firing), ("resolved", expected.resolved)):
        if patterns:
            parts.append(f"{word} {', '.join(map(_shown, patterns))}")
    return "  ".join(parts)


def _sent_line(sent: Sent, start: int) -> str:
    told = sent.notification
    parts = [f"at {format_duration(sent.at - start)}", f"to {told.receiver}"]
    parts.append(f"group {format_labels(told.group_labels)}")
    for word, ended in (("firing", False), ("resolved", True)):
        alerts = [alert for alert in told.alerts if alert.resolved_at(told.at) is ended]
        if alerts:
            parts.append(f"{word} {', '.join(format_labels(alert.labels) for alert in alerts)}")
    return "  ".join(parts)


def _shown(pattern: Pattern) -> str:
    return format_labels(pattern) if isinstance(pattern, dict) else pattern
