"""The video's data as their rules see them: codec, shards from every source, their indices, optical flow."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interdiff.files import canonical_json
from interdiff.video.codec.settings import CodecUse
from interdiff.video.data.folder import Video, shard_videos, split_videos
from interdiff.video.data.settings import SPLITS, Split
from interdiff.workflow.pipelines import video_sizes
from interdiff.workflow.pipelines.pipeline import Pipeline
from interdiff.workflow.pipelines.video import VideoConfig

CODEC_SPLITS: tuple[Split, ...] = ("train", "test")
"""Splits whose videos the laptop's codec is fitted and measured on."""


def _digest(videos: list[Video]) -> str:
    named = [[video.key, video.caption] for video in videos]
    return hashlib.sha256(canonical_json(named).encode()).hexdigest() if videos else ""


class VideoDataPipeline(Pipeline):
    """The stages that data come from."""

    domain = "video"

    def __init__(self, config: VideoConfig, results: str, root: str | Path) -> None:
        super().__init__(config.resolved(), results, root)
        self.config, self.reported, self.data = config, config.report, config.data
        self.codec_use = {"codec": config.data.codec.model_dump(include=set(CodecUse.model_fields))}

    def codec(self, wildcards: Any) -> Mapping[str, Any]:
        return {
            "codec": self.data.codec.model_dump(),
            "rendered": self.data.clips.model_dump(exclude={"per_shard"}),
            "folder": self.data.folder.model_dump() if self.data.source == "folder" else None,
            "digest": _digest(self.codec_videos()),
        }

    def codec_videos(self) -> list[Video]:
        """The videos of one's own that the laptop's codec is fitted on, and those it is measured on."""
        if self.data.source != "folder":
            return []
        splits = split_videos(self.data.folder)
        return [video for split in CODEC_SPLITS for video in splits[split][: self.data.codec.clips]]

    def clips(self, wildcards: Any) -> Mapping[str, Any]:
        return self.codec_use | {
            "rendered": self.data.clips.model_dump(),
            "text": self.data.text.model_dump(),
            "split": wildcards.split,
            "number": int(wildcards.number),
        }

    def download(self, wildcards: Any) -> Mapping[str, Any]:
        """The splits take numbers one after the other."""
        before = SPLITS[: SPLITS.index(wildcards.split)]
        number = sum(self.data.shard_count(split) for split in before) + int(wildcards.number)
        return {"hub": self.data.hub.model_dump(), "number": number}

    def lsmdc(self, wildcards: Any) -> Mapping[str, Any]:
        return self.codec_use | {
            "lsmdc": self.data.lsmdc.model_dump(exclude={"annotations"}),
            "text": self.data.text.model_dump(),
            "frames": self.data.clips.frames,
            "number": int(wildcards.number),
        }

    def shard_videos_of(self, wildcards: Any) -> list[Video]:
        """The videos of a shard of a folder."""
        split = wildcards.split
        return shard_videos(self.data.folder, split, int(wildcards.number), self.data.shard_count(split))

    def videos(self, wildcards: Any) -> Mapping[str, Any]:
        return self.codec_use | {
            "folder": self.data.folder.model_dump(),
            "text": self.data.text.model_dump(),
            "frames": self.data.clips.frames,
            "split": wildcards.split,
            "number": int(wildcards.number),
            "shards": self.data.shard_count(wildcards.split),
            "digest": _digest(self.shard_videos_of(wildcards)),
        }

    def contact_sheet(self, wildcards: Any) -> Mapping[str, Any]:
        return self.codec_use | {"clips": video_sizes.SHEET}

    def optical_flow(self, wildcards: Any) -> Mapping[str, Any]:
        return self.codec_use | {
            "optical_flow": self.config.in_pixels(wildcards.pixels).model_dump(),
            "masks": self.config.masks.model_dump(),
            "number": int(wildcards.number),
        }

    def optical_flow_index(self, wildcards: Any) -> Mapping[str, Any]:
        return {"kind": "optical_flow", "partial": self.config.in_pixels(wildcards.pixels).partial}

    def index(self, wildcards: Any) -> Mapping[str, Any]:
        return {"kind": "clips", "partial": False}

    def negative(self, wildcards: Any) -> Mapping[str, Any]:
        return {"text": self.data.text.model_dump(), "prompt": self.config.negative_prompt}
