"""Which detectors there are, from the settings."""

from __future__ import annotations

from collections.abc import Iterator

from detectors.contract import MomentDetector, StreamDetector
from detectors.entity.change import ChangeDetector
from detectors.entity.state import StateDetector
from detectors.peers.detector import PeerDetector
from detectors.settings import DetectorSettings
from detectors.streaming.detector import streaming_detectors
from detectors.trends.detector import TrendDetector


def detectors_of(settings: DetectorSettings) -> list[StreamDetector | MomentDetector]:
    """All that are switched on, in the order in which they see a sample."""
    state = StateDetector(settings.entities, settings.moment_interval)
    return [
        *streaming_detectors(settings.streaming),
        PeerDetector(settings.peers),
        TrendDetector(settings.trends),
        state,
        ChangeDetector(state),
        *_custom(settings, state),
    ]


def _custom(settings: DetectorSettings, state: StateDetector) -> Iterator[StreamDetector | MomentDetector]:
    """Those of other libraries: these take seconds to import, so only where there are some."""
    if settings.custom:
        from detectors.adapters.made import made

        for one in settings.custom:
            yield made(one, state.roster)
