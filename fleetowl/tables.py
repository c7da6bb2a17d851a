"""How answers look in a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import yaml

from fleetowl.visible import visible
from model.labels import format_labels


def as_json(data: Any) -> str:
    """Indented JSON."""
    return json.dumps(data, indent=2, ensure_ascii=False)


def as_yaml(data: Any) -> str:
    """YAML in the order of the answer."""
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True).rstrip()


def table(head: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> str:
    """Columns padded to their widest cell; the last one is not."""
    if not rows:
        return empty
    shown = [[visible(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in shown) for i in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]
    return "\n".join(lines)


def alerts(data: Any) -> str:
    """Alerts, most urgent first."""
    rows = [
        [
            alert.get("tier") or alert["labels"].get("tier", ""),
            alert["labels"].get("alertname", ""),
            alert["state"],
            alert["activeAt"],
            "; ".join(filter(None, [*alert.get("why", ()), alert["annotations"].get("summary", "")])),
        ]
        for alert in data["alerts"]
    ]
    return table(
        ["TIER", "ALERT", "STATE", "SINCE", "SUMMARY"], sorted(rows), "no alert is pending or firing"
    )


def incidents(data: Any) -> str:
    """Incidents as they come: open ones by urgency, then closed ones, the newest first."""
    rows = [
        [item["id"], item["tier"], item["state"], item["opened_at"], item["title"]]
        for item in data["incidents"]
    ]
    return table(["INCIDENT", "TIER", "STATE", "OPENED", "WHAT"], rows, "no incident")


def incident(data: Any) -> str:
    """The story of one incident."""
    return visible(str(data["story"]), keep="\n")


def explained_alerts(data: Any) -> str:
    """The stories of alerts, one after the other."""
    stories = [visible(str(alert["story"]), keep="\n") for alert in data["alerts"]]
    if data["more"]:
        stories.append(f"{len(data['more'])} more alerts match: ask for one by its fingerprint (-o json)")
    return "\n\n---\n\n".join(stories)


def runbooks(data: Any) -> str:
    """Runbooks and their modes."""
    rows = [
        [item["name"], item["mode"], ", ".join(item["alerts"]), item["summary"]] for item in data["runbooks"]
    ]
    return table(["RUNBOOK", "MODE", "ANSWERS", "WHAT"], rows, "no runbook")


def audit(data: Any) -> str:
    """Audit lines and whether the chain holds."""
    rows = [[line["at"], line["state"], line["run"], line["sentence"]] for line in data["lines"]]
    return (
        table(["AT", "STATE", "RUN", "WHAT"], rows, "nothing was done yet") + f"\n{visible(data['verdict'])}"
    )


FORMS: dict[str, Callable[[Any], str]] = {"json": as_json, "yaml": as_yaml}


def feedback(data: Any) -> str:
    """What people said of anomalies."""
    rows = [
        [
            str(mark["id"]),
            str(mark["batch"]),
            mark["verdict"],
            f"{mark['weight']:g}",
            mark["at"],
            mark["who"],
            format_labels(mark["labels"]),
            f"undone by {mark['undone_by']}" if mark.get("undone_by") else mark["why"],
        ]
        for mark in data["feedback"]
    ]
    head = ["ID", "BATCH", "VERDICT", "WEIGHT NOW", "SINCE", "WHO", "ANOMALY", "WHY"]
    return table(head, rows, "nobody has marked an anomaly")


TABLES: dict[str, Callable[[Any], str]] = {
    "alerts": alerts,
    "incidents": incidents,
    "incident": incident,
    "explained alerts": explained_alerts,
    "story": incident,
    "runbooks": runbooks,
    "audit": audit,
    "feedback": feedback,
}
