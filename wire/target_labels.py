"""What becomes of a series' labels where they meet those of its target."""

from __future__ import annotations

from collections.abc import Mapping

from model.labels import Labels


def with_target_labels(exposed: Labels, target: Mapping[str, str], honor_labels: bool = False) -> Labels:
    """The exposed labels and the target's.

    Where they clash, the exposed one stays (honor_labels) or becomes `exported_<name>`.
    Source: prometheus/prometheus scrape/scrape.go, mutateSampleLabels.

    >>> with_target_labels(Labels({"__name__": "up", "job": "theirs"}), {"job": "ours"})
    up{exported_job="theirs", job="ours"}
    """
    pairs = target.pairs if isinstance(target, Labels) else tuple(target.items())
    taken = {name for name, _ in pairs}
    if not any(name in taken for name, _ in exposed.pairs):
        return Labels(exposed.pairs + pairs)  # mostly; and all series share the target's pairs
    theirs, ours = dict(exposed.pairs), dict(target)
    if honor_labels:
        return Labels({**ours, **theirs})
    merged = {**theirs, **ours}
    for name in sorted([name for name in ours if name in theirs], key=len):
        kept = "exported_" + name
        while kept in merged:
            kept = "exported_" + kept
        merged[kept] = theirs[name]
    return Labels(merged)
