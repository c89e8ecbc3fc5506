"""Settings of shards: rendered clips, the hub, film clips, and prompts."""

from __future__ import annotations

from glob import glob
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from interdiff.settings import Count, Fraction, PathText, Section
from interdiff.video.codec.settings import CodecSettings, CodecUse

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
EXTENSIONS = (".avi", ".mp4", ".mkv", ".webm", ".mov")
"""Of video files."""
Source = Literal["clips", "hub", "lsmdc", "folder", "shards"]


def _whole_latents(frames: int) -> int:
    if frames % 4 != 1:
        raise ValueError(f"{frames} frames; expected 1 + 4 k")
    return frames


VideoFrames = Annotated[Count, AfterValidator(_whole_latents)]
"""Frames of a video that Wan's VAE makes whole latent frames of."""


class ClipsSettings(Section):
    """Videos rendered here."""

    side: Count = Field(32, description="pixels per side")
    frames: VideoFrames = Field(81, description="frames, 1 + 4 k")
    per_shard: Count = Field(200, description="clips per shard")
    seed: int = Field(0, ge=0, description="seed of the scenes")

    @property
    def latent_frames(self) -> int:
        """T, frames of latents."""
        return 1 + (self.frames - 1) // 4


class HubSettings(Section):
    """Shards of a public data set, downloaded."""

    repository: str = Field("worstcoder/Wan_datasets", description="data set on the Hugging Face hub")
    revision: str = Field("main", description="its branch, tag or commit")
    file: str = Field(
        "Wan2.1_14B_480p_16:9_Euler-step100_shift-3.0_cfg-5.0_seed-0_250K/shard-{number:05d}.tar",
        description="path of a shard in it, by number; the splits take numbers one after the other",
    )

    @field_validator("file")
    @classmethod
    def _numbered(cls, file: str) -> str:
        try:
            if file.format(number=0) == file.format(number=1):
                raise ValueError("expected {number} in it, such as shard-{number:05d}.tar")
        except (KeyError, IndexError) as error:
            raise ValueError(f"expected {{number}} alone in braces, not {error}") from error
        return file


class VideosSettings(Section):
    """What is taken of video files."""

    seconds: float = Field(5.0, gt=0, description="length of what is taken of a video")
    short: Literal["error", "skip", "pad"] = Field(
        "error",
        description="a video that is shorter: stops, is left out and counted, or its last frame stands until the end",
    )
    crop: Literal["centre", "random"] = Field("centre", description="where in the video")
    size: tuple[Count, Count] = Field((480, 832), strict=False, description="height and width in pixels")
    seed: int = Field(0, ge=0, description="seed of random crops")


class LsmdcSettings(VideosSettings):
    """Film clips with descriptions, in LSMDC's layout."""

    annotations: dict[Split, PathText] = Field({}, description="annotation file of task 1 by split")
    videos: PathText = Field("videos", description="folder of the clips, with or without one folder per film")
    per_shard: Count = Field(256, description="clips per shard")


class FolderSettings(VideosSettings):
    """Videos with captions: metadata.csv or metadata.jsonl with file_name and text, or a .txt beside each."""

    path: PathText = Field("videos", description="folder of the videos")
    val_fraction: float = Field(
        0.1, gt=0, lt=1, description="share for validation, where neither table nor folders say"
    )
    test_fraction: float = Field(0.1, gt=0, lt=1, description="share for the test split, where neither says")
    left_out: Fraction = Field(
        0.1, description="share of the videos that may have no caption, or of captions no video; more is an error"
    )


class TextSettings(Section):
    """The text encoder of prompts."""

    folder: PathText | None = Field(
        None,
        description="encoder in transformers' layout, such as Wan's text_encoder beside its tokenizer; null: MiniLM's package",
    )
    rows: Count = Field(64, description="rows of an embedding; longer prompts are cut")
    sentences: bool = Field(
        False,
        description="a row for each sentence, embedded by itself, which small encoders need; false: one for each token",
    )


class DataSettings(Section):
    """Shards of latents, embeddings and prompts."""

    source: Source = Field(
        "clips",
        description="where they come from: rendered here, the hub, film clips, a folder, or shards that are there",
    )
    shards: dict[Split, Count] = Field({"train": 10, "val": 1, "test": 1}, description="number of shards by split")
    clips: ClipsSettings = Field(default_factory=ClipsSettings, description="videos rendered here")
    hub: HubSettings = Field(default_factory=HubSettings, description="public shards")
    lsmdc: LsmdcSettings = Field(default_factory=LsmdcSettings, description="film clips")
    folder: FolderSettings = Field(default_factory=FolderSettings, description="videos of one's own")
    tars: dict[Split, list[PathText]] = Field(
        {}, description="shards of one's own by split, paths or patterns such as data/train-*.tar (source shards)"
    )
    codec: CodecSettings = Field(default_factory=CodecSettings, description="videos to latents and back")
    text: TextSettings = Field(default_factory=TextSettings, description="prompts to embeddings")

    def own_shards(self, split: Split) -> list[str]:
        """Paths of the shards of one's own of a split, in their order."""
        return [path for pattern in self.tars[split] for path in sorted(glob(pattern)) or [pattern]]

    def shard_count(self, split: Split) -> int:
        """How many shards a split has."""
        return len(self.own_shards(split)) if self.source == "shards" else self.shards[split]

    @model_validator(mode="after")
    def _consistent(self) -> DataSettings:
        for split in SPLITS:
            if self.source == "shards" and not self.tars.get(split):
                raise ValueError(f"tars: no shards for {split}")
            if split not in self.shards:
                raise ValueError(f"shards: no number for {split}")
            if self.source == "lsmdc" and split not in self.lsmdc.annotations:
                raise ValueError(f"lsmdc.annotations: no file for {split}")
        if self.source == "clips" and self.codec.kind == "linear" and self.clips.side % self.codec.factor:
            raise ValueError(f"codec.factor={self.codec.factor} does not divide clips.side={self.clips.side}")
        return self


class ContactSheetSettings(Section):
    """What a contact sheet of a split is told."""

    codec: CodecUse = Field(description="the codec")
    clips: Count = Field(description="clips shown, at most")
