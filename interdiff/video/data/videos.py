"""Pictures of video files, upright and evenly spaced in time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np

from interdiff.errors import InputError

DROPPED = 2
"""Frames that a decoder may leave out at the end, where earlier ones then stand in."""


class TooShort(InputError):
    """A video is shorter than what is to be taken of it."""


def read_clip(
    path: Path,
    frames: int,
    seconds: float,
    size: tuple[int, int],
    crop: Literal["centre", "random"],
    rng: np.random.Generator,
    pad: bool = False,
) -> np.ndarray:
    """Pictures [frames, H, W, 3], uint8 RGB, upright, at even times from first to last: each the frame nearest in time.

    Args:
        seconds: what is taken of the video.
        size: H and W; the pictures are scaled to cover them, and their middle is taken.
        crop: whether these seconds are the middle ones, or begin at a random moment.
        rng: draws the moment.
        pad: let the last frame of a video that is shorter stand until the end.

    Raises:
        TooShort: the video is shorter.
        InputError: the file cannot be decoded, or has no frames.
    """
    times = _times(path)
    # The last frame is shown as long as the others.
    interval = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    lasts = times[-1] - times[0] + interval
    if lasts < seconds - interval / 2 and not pad:
        raise TooShort(
            f"{path}: {lasts:.2f} s; expected {seconds} s (short: skip leaves it out, pad repeats its last frame)"
        )
    room = max(0.0, times[-1] - times[0] - seconds)
    start = times[0] + (room / 2 if crop == "centre" else rng.uniform(0, room))
    wanted = start + np.linspace(0, seconds, frames)
    return _pictures(path, np.abs(wanted[:, None] - times).argmin(1), size)


def _times(path: Path) -> np.ndarray:
    """When each frame is shown, in seconds, ascending; nothing is decoded."""
    with _opened(path) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size and not packet.is_discard]
        stamps = [packet.dts if packet.pts is None else packet.pts for packet in packets]
        if not stamps:
            raise InputError(f"{path}: no frames")
        if None in stamps:
            raise InputError(f"{path}: frames without times")
        return np.sort(np.array([float(stamp * packets[0].time_base) for stamp in stamps]))


def _pictures(path: Path, numbers: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Frames by ascending number, in the order in which they are shown."""
    last, number, kept = int(numbers[-1]), -1, {}
    with _opened(path) as container:
        aspect = float(container.streams.video[0].sample_aspect_ratio or 1)
        # Counted, as decoders put frames in order: their times are wrong in AVI files with reordered frames.
        for number, frame in enumerate(container.decode(video=0)):
            if number in numbers:
                kept[number] = _fitted(frame, aspect, size)
            if number == last:
                break
    if not kept or last - number > DROPPED:
        raise InputError(f"{path}: only {number + 1} frames can be decoded; expected more than {last}")
    return np.stack([kept.get(n, kept[max(kept)]) for n in numbers.tolist()])


def _fitted(frame: Any, aspect: float, size: tuple[int, int]) -> np.ndarray:
    """A frame whose pixels are `aspect` times as wide as high, upright, scaled to cover H and W: the middle [H, W, 3] of it.

    The container says by how many degrees it is to be turned, as phones do that were held upright.
    """
    turns = round(frame.rotation / 90)
    high, wide = size[::-1] if turns % 2 else size
    scale = max(high / frame.height, wide / (frame.width * aspect))
    height = max(high, round(frame.height * scale))
    width = max(wide, round(frame.width * aspect * scale))
    picture = frame.reformat(width=width, height=height, format="rgb24", interpolation="BICUBIC").to_ndarray()
    top, left = (height - high) // 2, (width - wide) // 2
    return np.rot90(picture[top : top + high, left : left + wide], turns)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A container with a video stream; InputError for what goes wrong with it inside the block."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"{path}: no video in it")
            yield container
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{path}: not a readable video ({error.strerror})") from error
