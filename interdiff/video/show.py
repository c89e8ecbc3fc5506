"""Clips of shards as pictures that move (MP4, GIF) or lie side by side (PNG): python -m interdiff.video.show --help."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from interdiff.errors import InputError, command
from interdiff.video.codec.codec import FRAMES_PER_LATENT, Codec
from interdiff.video.codec.loading import load_codec
from interdiff.video.codec.settings import CodecUse
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.figures.pictures import contact_sheet, write_gif, write_mp4, write_png

HELP = """
The ending of OUT says what is written: .png is a sheet of every fourth frame, a row per clip; .gif and .mp4 show the clips
beside each other.
"""


def decoded(index: Path, keys: Sequence[str], codec: Codec) -> dict[str, np.ndarray]:
    """Clips [T, H, W, 3] uint8 by their prompts."""
    data = ShardDataset(index, ["latent", "prompt"])
    samples = [data.by_key(key) for key in keys] if keys else [data[n] for n in range(min(4, len(data)))]
    return {
        f"{sample['key']}: {sample['prompt']}": codec.decode(sample["latent"].float()[None])[0].numpy()
        for sample in samples
    }


def write(path: Path, clips: dict[str, np.ndarray], scale: int) -> None:
    """Clips of one size as a picture of the kind that the path's ending names; InputError for another ending."""
    beside = np.concatenate(list(clips.values()), axis=2)
    if path.suffix == ".png":
        write_png(path, contact_sheet(clips, range(0, len(beside), FRAMES_PER_LATENT), scale))
    elif path.suffix == ".gif":
        write_gif(path, beside, scale)
    elif path.suffix == ".mp4":
        write_mp4(path, beside, scale)
    else:
        raise InputError(f"{path}: expected a name that ends in .png, .gif or .mp4")


@command
def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m interdiff.video.show", description=__doc__, epilog=HELP)
    parser.add_argument("index", type=Path, help="index of the shards, such as results/video/index/test.npz")
    parser.add_argument("out", type=Path, metavar="OUT", help="file to write")
    parser.add_argument("--keys", nargs="*", default=[], help="keys of the clips (default: the first four)")
    parser.add_argument(
        "--codec", type=Path, default=Path("pretrained/laptop/codec"), help="folder of the codec or the VAE"
    )
    parser.add_argument("--wan", action="store_true", help="the codec is Wan's VAE in diffusers' layout")
    parser.add_argument("--scale", type=int, default=4, help="pixels per pixel (default: 4)")
    given = parser.parse_args()
    kind = CodecUse(kind="wan_vae" if given.wan else "linear")
    codec = load_codec(kind, given.codec, torch.device("cpu"))
    write(given.out, decoded(given.index, given.keys, codec), given.scale)
    return 0


if __name__ == "__main__":
    sys.exit(main())
