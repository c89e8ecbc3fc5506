"""Clips of one's own prompt, by both phases or by the backbone alone: python -m interdiff.workflow.imagine --help."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import yaml

from interdiff.errors import InputError
from interdiff.learning.checkpoints import CONFIG
from interdiff.video.backbone.backbone import load_backbone
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.codec.codec import Codec
from interdiff.video.codec.loading import load_codec
from interdiff.video.data.batches import clip_noise
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.data.text import TextEncoder, load_text_encoder
from interdiff.video.planner.samplers import load_sampler
from interdiff.video.planner.settings import SCHEDULES, SamplesStageSettings
from interdiff.video.show import write
from interdiff.workflow.config import Config, load_config
from interdiff.workflow.pipelines.video_stages import learned_clips, samples_settings
from interdiff.workflow.variants import Variants

HELP = """
The ending of OUT says what is written: .png is a sheet of every fourth frame, a row per clip; .gif and .mp4 show the clips
beside each other. Needs what `snakemake video` makes; METHOD is one of metrics.csv that
needs no clips of the data.
"""


@dataclass(frozen=True)
class Method:
    """What a row of metrics.csv samples with, in the results of a configuration.

    Raises:
        InputError: wherever something is read, that it has not been made yet; or there is no such variant.
    """

    config: Config
    name: str
    device: torch.device

    @property
    def results(self) -> Path:
        """The video's results."""
        return Path(self.config.results) / "video"

    @cached_property
    def variants(self) -> Variants:
        """All variants."""
        return self.config.video.resolved()

    @cached_property
    def settings(self) -> SamplesStageSettings:
        """What it samples with."""
        return samples_settings(self.variants, self.name)

    def folder(self, stage: str) -> Path:
        """Where what it uses of a stage is."""
        if stage == "negative":
            return self.results
        pretrained = self.variants.section("backbone", self.name)["pretrained"]
        if stage == "backbone" and pretrained:
            return Path(pretrained)
        return self.results / stage / self.variants.owner(stage, self.name)

    @property
    def oracle(self) -> Path | None:
        """Costs of training clips, where neither prompt nor noise choose keyframes."""
        if self.settings.sampling.selector not in SCHEDULES:
            return None
        return self.folder("oracle") / f"{learned_clips(self.variants, 'selector', self.name)}.npz"

    @property
    def index(self) -> Path:
        """The index of the test split's clips."""
        return self.results / "index/test.npz"

    @cached_property
    def data(self) -> ShardDataset:
        """The test split's clips."""
        return ShardDataset(self.index, ["latent", "embed"])

    def backbone(self) -> WanDenoiser:
        """The backbone, with its LoRA."""
        lora = self.variants.section("backbone", self.name)["lora"]
        return load_backbone([self.folder("backbone") / CONFIG, *([Path(lora)] if lora else [])], self.device)

    def codec(self) -> Codec:
        """The codec."""
        codec = self.config.video.data.codec
        return load_codec(codec, Path(codec.folder or self.results / "codec"), self.device)

    def text_encoder(self) -> TextEncoder:
        """The text encoder."""
        text = self.config.video.data.text
        return load_text_encoder(text, self.device)


@torch.no_grad()
def imagine(config: Config, method: str, prompts: Sequence[str], seed: int) -> dict[str, np.ndarray]:
    """Clips [T, H, W, 3] uint8 by their prompts.

    Raises:
        InputError: an unknown method, one that shows clips of the data, or something that it samples with has not been made
            yet.
    """
    own = Method(config, method, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    sampling = own.settings.sampling
    if sampling.method == "real" or sampling.exact != "nothing":
        raise InputError(f"{method}: it shows clips of the data, and there is none of a new prompt")
    sample = load_sampler(own.folder, own.data, own.oracle, own.backbone(), own.settings)
    shape = own.data.shape("latent")
    noise = torch.stack([clip_noise(f"{seed}.{n}", shape, seed) for n in range(len(prompts))]).float()
    embed = own.text_encoder()(prompts).float()
    videos = own.codec().decode(sample(noise.to(own.device), embed, None).refined).numpy(force=True)
    return {f"{n + 1}: {prompt}": clip for n, (prompt, clip) in enumerate(zip(prompts, videos, strict=True))}


def read_config(path: Path, results: str | None) -> Config:
    """A configuration, maybe with another results root."""
    values = yaml.safe_load(path.read_text())
    return load_config(values | ({"results": results} if results else {}))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m interdiff.workflow.imagine", description=__doc__, epilog=HELP)
    parser.add_argument("out", type=Path, metavar="OUT", help="file to write")
    parser.add_argument("prompts", nargs="+", help="prompts, one clip each")
    parser.add_argument("--method", default="base", help="variant to sample with (default: base, both phases)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default: 0)")
    parser.add_argument("--scale", type=int, default=4, help="pixels per pixel (default: 4)")
    parser.add_argument("--config", type=Path, default=Path("config.yaml"), help="configuration (default: config.yaml)")
    parser.add_argument("--results", help="results root, in place of the configuration's")
    given = parser.parse_args()
    try:
        config = read_config(given.config, given.results)
        write(given.out, imagine(config, given.method, given.prompts, given.seed), given.scale)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
