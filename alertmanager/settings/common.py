"""Types that the parts of this section share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from model.settings import Duration

PositiveDuration = Annotated[Duration, Field(gt=0)]
