"""Settings of the codec."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from interdiff.settings import Count, Fraction, PathText, Section

CodecKind = Literal["linear", "wan_vae"]


class CodecUse(Section):
    """Which codec, and how it runs."""

    kind: CodecKind = Field("linear", description="principal components fitted on rendered clips, or Wan's VAE")
    tiled: bool = Field(
        False, description="overlapping tiles of a picture one by one, where memory lacks for all of it (wan_vae)"
    )


class CodecSettings(CodecUse):
    """What turns videos into latents."""

    factor: Count = Field(4, description="pixels per latent and axis (linear; Wan's are 8)")
    clips: Count = Field(200, description="clips that it is fitted on (linear)")
    whitening: Fraction = Field(
        1.0,
        description="what latents are divided by: their deviations to this power, 1: all vary alike, 0: as pixels do (linear)",
    )
    folder: PathText | None = Field(
        None,
        description="folder of the VAE in diffusers' layout (wan_vae), or of a codec that is not fitted here (linear)",
    )

    @model_validator(mode="after")
    def _has_folder(self) -> CodecSettings:
        if self.kind == "wan_vae" and self.folder is None:
            raise ValueError("folder: expected the VAE's, for kind wan_vae")
        return self
