"""The demo's narrator: reads what the cluster and the analyzer note anyway, and tells it with times."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Mapping
from enum import Enum
from typing import Any

from analyzer.pipeline import Pipeline
from runbooks.run import State
from simulator.cluster import Cluster
from simulator.episode import Episode

WIDTH = 100


class Chapter(Enum):
    """Who speaks, and the colour of the word."""

    SCENE = ("", "0")
    INJECTED = ("injected", "35")
    CLUSTER = ("cluster", "2")
    DETECTED = ("detected", "33")
    INCIDENT = ("incident", "31")
    NOTIFIED = ("notified", "36")
    RUNBOOK = ("runbook", "34")
    RESOLVED = ("resolved", "32")


_BY_KIND = {
    "opened": Chapter.INCIDENT,
    "joined": Chapter.INCIDENT,
    "tier": Chapter.INCIDENT,
    "again": Chapter.DETECTED,
    "ended": Chapter.INCIDENT,
    "not notified": Chapter.NOTIFIED,
    "action": Chapter.RUNBOOK,
    "resolved": Chapter.RESOLVED,
}


class Story:
    """Follows one fault through cluster and pipeline. Times are seconds since the fault."""

    def __init__(self, cluster: Cluster, pipeline: Pipeline) -> None:
        self._cluster = cluster
        self._pipeline = pipeline
        self._began = time.monotonic()
        self._onset: float | None = None
        self._episode: Episode | None = None
        self._told_of_cluster = 0
        self._told_of_incident: dict[str, int] = {}
        self._told_alerts: set[int] = set()
        self.moments: dict[str, float] = {}
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._paint = (lambda text, code: f"\x1b[{code}m{text}\x1b[0m") if colour else (lambda text, _: text)

    def say(self, chapter: Chapter, text: str) -> None:
        """One line of the story; the first of a chapter is remembered with its time."""
        word, code = chapter.value
        since = time.monotonic() - (self._onset or self._began)
        sign = "+" if self._onset is not None else " "
        clock = f"{sign}{since:5.1f} s" if self._onset is not None else "        "
        if word and self._onset is not None:
            self.moments.setdefault(word, since)
        lines = textwrap.wrap(text, WIDTH - 20) or [""]
        print(f"{clock}  {self._paint(f'{word:<9}', code)} {lines[0]}", flush=True)
        for line in lines[1:]:
            print(f"{'':20}{line}", flush=True)

    def health(self) -> str:
        """How things stand before the fault."""
        firing = [alert.name for alert in self._pipeline.alerts]
        series = self._pipeline.window.series_count
        return f"{series} series are watched; " + (
            f"already firing: {', '.join(firing)}" if firing else "all quiet"
        )

    def begin(self, fault: str) -> None:
        """Break something."""
        self._onset = time.monotonic()
        self._episode = self._cluster.inject(fault)
        episode = self._episode
        self.say(Chapter.INJECTED, f"{episode.fault.name} on {episode.target}")
        for entry in episode.fault.compressed:
            self.say(Chapter.SCENE, f"(compressed time: {entry})")

    def page(self, body: Mapping[str, Any]) -> None:
        """Show what arrived on the phone, after what led to it."""
        if self._episode is not None:
            self.follow()
        for alert in body["alerts"]:
            labels, summary = alert["labels"], alert["annotations"]["summary"]
            title = f"[{labels['tier']} {alert['status']}] {labels['alertname']}"
            self.say(Chapter.NOTIFIED, f"the phone rings: {title}: {summary}")

    @property
    def finished(self) -> bool:
        """Whether the fault is over, every incident that it made is closed, and the phone knows."""
        opened = self._pipeline.incidents.ordered(everything=True)
        return (
            self._episode is not None
            and self._episode.over
            and bool(opened)
            and not any(incident.open for incident in opened)
            and not any(alert.incident for alert in self._pipeline.dispatcher.alerts)
        )

    def follow(self) -> None:
        """Tell what is new."""
        assert self._episode is not None
        for happening in self._episode.log[self._told_of_cluster :]:
            self.say(Chapter.CLUSTER, f"{happening.entity} {happening.sentence}")
        self._told_of_cluster = len(self._episode.log)
        for alert in self._pipeline.alerts:
            if alert.incident and alert.fingerprint not in self._told_alerts and alert.ends_at is None:
                self._told_alerts.add(alert.fingerprint)
                summary = alert.annotations.get("summary", "")
                self.say(Chapter.DETECTED, f"{alert.tier.name} {alert.name}: {summary}")
        for incident in self._pipeline.incidents.ordered(everything=True):
            entries = self._pipeline.incidents.timeline(incident.id)
            for entry in entries[self._told_of_incident.get(incident.id, 0) :]:
                if entry.kind == "notified":
                    continue  # the pager has shown it
                self.say(_BY_KIND.get(entry.kind, Chapter.INCIDENT), f"{incident.id}: {entry.sentence}")
            self._told_of_incident[incident.id] = len(entries)

    def sum_up(self) -> int:
        """Say what happened and what did not; 0 if all of it did."""
        incidents = self._pipeline.incidents.ordered(everything=True)
        cordoned = [run for run in self._pipeline.runbooks.runs() if run.state is State.DONE]
        wanted = {
            "the fault was detected": "detected" in self.moments,
            "it became one incident": len(incidents) == 1,
            "it was notified": "notified" in self.moments,
            "a runbook answered": bool(cordoned),
            "it recovered and resolved": self.finished,
        }
        print(flush=True)
        for sentence, happened in wanted.items():
            mark = self._paint("yes", "32") if happened else self._paint("NO", "31")
            print(f"  {sentence:<28} {mark}", flush=True)
        times = ", ".join(
            f"{word} {seconds:.1f} s" for word, seconds in self.moments.items() if word != "cluster"
        )
        print(f"  after the fault: {times}", flush=True)
        for run in cordoned:
            print(f"  {run.node} stays cordoned until somebody has tested the GPU ({run.id})", flush=True)
        return 0 if all(wanted.values()) else 1
