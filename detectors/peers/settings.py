"""Settings of the comparison with peers."""

from __future__ import annotations

from pydantic import Field

from model.moment import HOUR, MINUTE
from model.settings import Duration, Settings


class PeerSettings(Settings):
    """The peer detector. Deviations are parts of the peers' median: 0.1 is ten per cent off."""

    floor: float = Field(
        default=0.025,
        gt=0,
        lt=1,
        description="The spread among peers is taken to be at least this part of their median; times the"
        " threshold that is the smallest deviation which can be anomalous (10 %). Healthy GPUs of one"
        " model differ by a few per cent, and identical ones not at all.",
    )
    threshold: float = Field(
        default=4.0, gt=0, description="So many spreads off its peers, more than usual, is anomalous."
    )
    large: float = Field(
        default=0.25,
        gt=0,
        description="So far off its peers is anomalous even if it has always been so.",
    )
    offset_time: Duration = Field(
        6 * HOUR, ge=MINUTE, description="Time constant of learning what a member's usual deviation is."
    )
    spread_time: Duration = Field(
        HOUR, ge=MINUTE, description="Time constant of learning how much that deviation varies."
    )
    warm_up: int = Field(
        default=24,
        ge=3,
        description="Samples of a member before a change counts; a large deviation always does.",
    )
    fresh: Duration = Field(
        90_000, ge=1_000, description="A member without a sample for so long is not there."
    )
