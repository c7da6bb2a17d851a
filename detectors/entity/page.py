"""docs/entities.md: what is looked at of each kind of entity, and why."""

from __future__ import annotations

from detectors.entity.kinds import KINDS
from detectors.entity.pool import FRESH, SHOWN
from detectors.entity.state import LEAST_FEATURES, MOST_CLASSES
from model.moment import SECOND

_HEAD = f"""# Entities

A GPU, an engine and a node are judged as a whole: at each moment one row of features goes through an ensemble
of models, and comes out as two scores, `fleetowl_anomaly_score{{entity, detector="state"}}` (against all that
was normal so far) and `{{detector="change"}}` (against lately). Above 1 is anomalous. While `state` is, up to
{SHOWN} features are named as `fleetowl_anomaly_contribution{{metric}}`, with their share in the deviation.

An entity has a row when it has a new sample and something to do, of at least {LEAST_FEATURES} features that
are no older than {FRESH // SECOND} s; without one for so long its scores end. Entities of one class (a model
of GPU, a served model; {MOST_CLASSES} classes a kind at most, the rest together) share their models. Models
are fitted beside the tick. Counters are rates per second. Other engines' names: see [engines](engines.md).

`fleetowl alerts explain NAME` and `/api/v1/explain/alert/...` answer of an alert about an entity, in
`anomaly` and at the end of the verdict, which features are most unusual now: their value, what is usual for
this very entity, and how many robust deviations lie between; then how far each model sees it in its tail.
"""


def page() -> str:
    """The whole document."""
    parts = [_HEAD]
    for kind in KINDS:
        parts.append(f"## {kind.name}\n\n| feature | made of | what moves it |\n| --- | --- | --- |")
        for feature in kind.features:
            made = str(feature).replace("|", "\\|")
            parts[-1] += f"\n| `{feature.name}` | `{made}` | {feature.why} |"
    return "\n\n".join(part.strip() for part in parts) + "\n"


if __name__ == "__main__":
    print(page(), end="")
