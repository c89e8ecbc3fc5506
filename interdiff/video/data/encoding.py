"""Samples of shards from video files and their captions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from interdiff.errors import InputError
from interdiff.video.codec.codec import Codec, latent_frames
from interdiff.video.data.folder import Video
from interdiff.video.data.settings import VideosSettings
from interdiff.video.data.videos import TooShort, read_clip


def pictures(video: Video, frames: int, settings: VideosSettings) -> np.ndarray | None:
    """What is taken of a video, [frames, H, W, 3] uint8; None where it is too short and may be left out.

    Where a random part begins depends on seed and key alone, not on the order of videos.

    Raises:
        InputError: the file cannot be read, or is too short and may not be left out.
    """
    rng = np.random.default_rng([settings.seed, *video.key.encode()])
    taken = settings.seconds, settings.size, settings.crop
    try:
        return read_clip(video.path, frames, *taken, rng, pad=settings.short == "pad")
    except TooShort:
        if settings.short == "skip":
            return None
        raise


def encoded(
    videos: Iterable[Video],
    frames: int,
    settings: VideosSettings,
    codec: Codec,
    encoder: Callable[[list[str]], Tensor],
    device: torch.device,
) -> Iterator[tuple[str, dict[str, Tensor | str]]]:
    """Key, and latent [16, T, h, w], embedding [L, D] and prompt of each video that is long enough; says how many are not.

    Raises:
        InputError: the size does not suit the codec, or as of `pictures`.
    """
    latent_frames(frames)
    if any(side % (2 * codec.factor) for side in settings.size):
        height, width = settings.size
        raise InputError(f"size: {height} x {width}; expected multiples of {2 * codec.factor}, two latents")
    skipped = 0
    for video in videos:
        taken = pictures(video, frames, settings)
        if taken is None:
            skipped += 1
            continue
        latent = codec.encode(torch.from_numpy(taken)[None].to(device))[0]
        embed = encoder([video.caption])[0]
        yield video.key, {"latent": latent.bfloat16(), "embed": embed.bfloat16(), "prompt": video.caption}
    print(f"left out: {skipped} videos shorter than {settings.seconds} s", flush=True)
