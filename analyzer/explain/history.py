"""What an analyzer has recorded, as the history that a simulation reads."""

from __future__ import annotations

from collections.abc import Iterator

from analyzer.formats import encode
from analyzer.pipeline import Pipeline
from model.moment import format_moment


def history_lines(pipeline: Pipeline, since: int) -> Iterator[str]:
    """The alerts that began or ended since then (ms), one JSON object a line; nobody knows their faults."""
    with pipeline.database.reading() as tx:
        for change in pipeline.records.changes(tx, since=since):
            alert = {
                "labels": dict(change.labels),
                "startsAt": format_moment(change.starts_at),
                "generatorURL": change.generator_url,
                "status": "resolved" if change.ended else "firing",
            }
            if change.ends_at is not None:
                alert["endsAt"] = format_moment(change.ends_at)
            yield encode({"at": format_moment(change.at), "alert": alert, "fault": None})
