"""Settings of how many keyframes there are, of both domains."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from interdiff.settings import Section

Keyframes = Annotated[int, Field(ge=2)]
CountOrAuto = Annotated[
    Annotated[Keyframes, Tag("[count]")] | Annotated[Literal["auto"], Tag("[auto]")],
    Discriminator(lambda value: "[auto]" if isinstance(value, str) else "[count]"),
]


class FrameBudgetSettings(Section):
    """K, or how it is chosen for each sequence."""

    k: CountOrAuto = Field(
        8,
        description="K, keyframes; auto: for each sequence the least of auto_counts whose predicted cost is tolerable",
    )
    auto_counts: list[Keyframes] = Field(
        [4, 8],
        min_length=1,
        description="numbers of keyframes that k: auto chooses from; the greatest where none is tolerable",
    )
    tolerance: float = Field(
        0.01,
        ge=0,
        description="of k: auto: mean squared error, in squared cells or of latents, that interpolation may leave, as D_phi"
        " predicts",
    )

    @property
    def counts(self) -> list[int]:
        """The numbers of keyframes that sequences may have."""
        return sorted(self.auto_counts) if self.k == "auto" else [self.k]
