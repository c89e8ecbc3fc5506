"""Settings of what is measured."""

from __future__ import annotations

from pydantic import Field

from interdiff.settings import Count, Section
from interdiff.video.data.settings import Split


class InterpolationSettings(Section):
    """Figures of an interpolator on held-out clips."""

    split: Split = Field("test", description="split of the clips")
    clips: Count = Field(200, description="clips, the first ones")
