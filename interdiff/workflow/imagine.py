"""Clips of one's own prompt, by both phases or by the backbone alone: python -m interdiff.workflow.imagine --help."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import yaml

from interdiff.errors import InputError
from interdiff.learning.checkpoints import CONFIG
from interdiff.video.backbone.backbone import load_backbone
from interdiff.video.codec.loading import load_codec
from interdiff.video.data.batches import clip_noise
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.data.text import load_text_encoder
from interdiff.video.planner.samplers import load_sampler
from interdiff.video.planner.settings import SELECTED
from interdiff.video.show import write
from interdiff.workflow.config import Config, load_config
from interdiff.workflow.pipelines.video_stages import learned_clips, samples_settings

HELP = """
The ending of OUT says what is written: .png is a sheet of every fourth frame, a row per clip; .gif and .mp4 show the clips
beside each other. Needs what `snakemake video` makes; METHOD is one of metrics.csv.
"""


@torch.no_grad()
def imagine(config: Config, method: str, prompts: Sequence[str], seed: int) -> dict[str, np.ndarray]:
    """Clips [T, H, W, 3] uint8 by their prompts.

    Raises:
        InputError: an unknown method, or something that it samples with has not been made yet.
    """
    variants, video = config.video.resolved(), config.video
    results, device = Path(config.results) / "video", torch.device("cuda" if torch.cuda.is_available() else "cpu")

    teacher = variants.section("backbone", method)

    def folder(stage: str) -> Path:
        if stage == "negative":
            return results
        if stage == "backbone" and teacher["pretrained"]:
            return Path(teacher["pretrained"])
        return results / stage / variants.owner(stage, method)

    settings = samples_settings(variants, method)
    clips = learned_clips(variants, "selector", method)
    oracle = None if settings.sampling.selector == SELECTED else folder("oracle") / f"{clips}.npz"
    data = ShardDataset(results / "index/test.npz", ["latent", "embed"])
    backbone = load_backbone([folder("backbone") / CONFIG, *map(Path, filter(None, [teacher["lora"]]))], device)
    sample = load_sampler(folder, data, oracle, backbone, settings)
    codec = load_codec(video.data.codec, Path(video.data.codec.folder or results / "codec"), device)
    noise = torch.stack([clip_noise(f"{seed}.{n}", data.shape("latent"), seed) for n in range(len(prompts))]).float()
    embed = load_text_encoder(video.data.text.folder, video.data.text.rows, device)(prompts).float()
    videos = codec.decode(sample(noise.to(device), embed, None).refined).numpy(force=True)
    return {f"{n + 1}: {prompt}": clip for n, (prompt, clip) in enumerate(zip(prompts, videos, strict=True))}


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
        values = yaml.safe_load(given.config.read_text())
        config = load_config(values | ({"results": given.results} if given.results else {}))
        write(given.out, imagine(config, given.method, given.prompts, given.seed), given.scale)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
