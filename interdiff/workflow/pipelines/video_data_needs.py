"""What the stages of clips and of interpolators need, in closed form from the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from interdiff.learning.settings import TrainingSettings
from interdiff.video.backbone.sizes import FP32, WanSize
from interdiff.video.codec.sizes import codec_bytes, codec_seconds
from interdiff.video.data.sizes import FRAMES_PER_LATENT, Clip, attention_bytes, clips_per_shard, encoder_bytes
from interdiff.video.interpolators import sizes as interpolators
from interdiff.workflow.pipelines import video_sizes
from interdiff.workflow.pipelines.needs import Need
from interdiff.workflow.pipelines.video import VideoConfig, VideoSettings

DOWNLOAD, READING = 10e6, 300e6
"""Bytes per second."""
PROMPTS_TOGETHER = 50
"""Prompts that are embedded at once."""


@dataclass(frozen=True)
class DataNeeds:
    """Needs of jobs in the settings of their variant, on so many GPUs; a method of a stage's name says what it needs."""

    config: VideoConfig
    own: VideoSettings
    gpus: int

    @property
    def _gpu(self) -> bool:
        return self.gpus > 0

    @cached_property
    def _clip(self) -> Clip:
        return video_sizes.clip(self.config.data)

    @cached_property
    def _wan(self) -> WanSize:
        return video_sizes.backbone(self.own.backbone, self.config.data)

    @property
    def _per_shard(self) -> int:
        return clips_per_shard(self.config.data)

    @property
    def _loading(self) -> int:
        """Bytes of the backbone as it is read, in fp32 at most."""
        return FP32 * self._wan.parameters

    def _learned_clips(self, source: str) -> int:
        data = self.config.data
        return (
            data.shard_count("train") if source == "shards" else self.own.generated.shards["train"]
        ) * self._per_shard

    def _codec(self) -> int:
        return codec_bytes(self.config.data.codec, self._clip.pixels, 2 if self._gpu else 4)

    def _codec_seconds(self) -> float:
        clip = self._clip
        frames = 1 + FRAMES_PER_LATENT * (clip.frames - 1)
        return codec_seconds(self.config.data.codec.kind, clip.pixels, frames, self._gpu)

    def _encoder(self, prompts: int) -> int:
        """Bytes of the text encoder and of its attention over so many prompts."""
        config = video_sizes.encoder(self.config.data)
        return encoder_bytes(config) + attention_bytes(config, self._clip.rows, prompts)

    def _passes(self, frames: int, compiled: str, guided: bool) -> float:
        """Seconds of a step of one clip by the backbone."""
        return (2 if guided else 1) * self._wan.seconds(self._clip, frames, compiled == "blocks", self._gpu)

    # Data

    def clips(self) -> Need:
        return Need(host=self._encoder(PROMPTS_TOGETHER) + 10 * self._clip.video, seconds=self._per_shard)

    def download(self) -> Need:
        return Need(seconds=self._per_shard * self._clip.stored / DOWNLOAD)

    def videos(self) -> Need:
        return self.lsmdc()

    def lsmdc(self) -> Need:
        return Need(
            host=encoder_bytes(video_sizes.encoder(self.config.data)) + 10 * self._clip.video,
            gpu=self._encoder(1) + self._codec() + 3 * FP32 * self._clip.video,
            seconds=self._per_shard * (1 + self._codec_seconds()),
        )

    def negative(self) -> Need:
        return Need(host=self._encoder(1), seconds=120)

    def contact_sheet(self) -> Need:
        return Need(
            host=video_sizes.SHEET * self._clip.video,
            gpu=self._codec() + 3 * FP32 * self._clip.video,
            seconds=video_sizes.SHEET * self._codec_seconds(),
        )

    def optical_flow(self) -> Need:
        masks = len(self.config.masks.counts)
        return Need(
            host=10 * masks * self._clip.video,
            gpu=self._codec() + 3 * FP32 * masks * self._clip.video,
            seconds=self._per_shard * masks * 3 * self._codec_seconds(),
        )

    # Interpolators

    def straightener(self) -> Need:
        settings = self.own.straightener
        places = self._clip.height * self._clip.width
        of_pair = settings.shift, settings.couplings, places, settings.moments
        return self._pairs(
            settings.training, interpolators.straightener_bytes(*of_pair), interpolators.straightener_flops(*of_pair)
        )

    def interpolator(self) -> Need:
        settings = self.own.interpolator
        if not interpolators.learns(settings):
            return Need()
        of_pair = settings.flow, self._clip.height * self._clip.width, settings.moments
        return self._pairs(settings.training, interpolators.flow_bytes(*of_pair), interpolators.flow_flops(*of_pair))

    def _pairs(self, training: TrainingSettings, pair: float, flops: int) -> Need:
        """Of a training on pairs of latents; backwards takes half as much memory again."""
        own = training.batch_size / max(1, self.gpus) / training.accumulate
        clips = 2 * self._clip.latents
        step = max(interpolators.step_seconds(flops * training.batch_size, self._gpu), self._reading(training, clips))
        return Need(
            host=4 * training.batch_size * clips, gpu=own * (1.5 * pair + 3 * clips), seconds=training.steps * step
        )

    def _reading(self, training: TrainingSettings, stored: int) -> float:
        """Seconds that reading a batch of so many bytes a clip takes, while the one before is learned."""
        return training.batch_size * stored / READING

    def interpolation(self) -> Need:
        masks, clips = len(self.config.masks.counts), self.config.interpolation.clips
        return Need(
            host=10 * masks * self._clip.video,
            gpu=self._codec() + 3 * FP32 * masks * self._clip.video,
            seconds=clips * (1 + masks) * 2 * self._codec_seconds(),
        )
