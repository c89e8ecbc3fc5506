"""Film clips with descriptions in LSMDC's layout: annotations of its task 1, and pictures of the clips, evenly spaced in time.

A line of an annotation file has six values with tabs between them: the clip, start and end of its sentence, start and end of
the clip that was cut out (padded around the sentence), all in the film's time, and the sentence. Quotes mean nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np

from interdiff.errors import InputError

EXTENSIONS = (".avi", ".mp4", ".mkv", ".webm")
DROPPED = 2
"""Frames that a decoder may leave out at the end, where earlier ones then stand in."""
FORM = "clip, start, end, padded start, padded end, sentence, with tabs between them"
_CLIP = re.compile(r"([^/]+)_\d+(?:\.\d+){3}-\d+(?:\.\d+){3}")
_TIME = re.compile(r"(\d+)[.:](\d\d)[.:](\d\d[.,]\d+)")


@dataclass(frozen=True)
class FilmClip:
    """One line of an annotation file.

    Attributes:
        key: the name without dots, at which readers of shards would cut it; a number tells sentences of one clip apart.
        name: such as 0001_American_Beauty_00.00.51.926-00.00.54.129; its file's but for the extension.
        film: what precedes the times in the name; also the folder, where there is one for each film.
        start, end: of the clip, padding included, in seconds of the film.
        sentence: what happens.
    """

    key: str
    name: str
    film: str
    start: float
    end: float
    sentence: str


def read_annotations(path: Path) -> list[FilmClip]:
    """The clips of an annotation file in its order; the same clip comes once for each of its sentences.

    Raises:
        InputError: the file cannot be read, has no lines, or a line is not of the form (names the line).
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable annotation file ({error})") from error
    seen: Counter[str] = Counter()
    clips = [_clip(line, seen, f"{path}: line {n}") for n, line in enumerate(lines, 1) if line.strip()]
    if not clips:
        raise InputError(f"{path}: no lines; expected {FORM}")
    return clips


def _clip(line: str, seen: Counter[str], where: str) -> FilmClip:
    values = [value.strip() for value in line.split("\t")]
    if len(values) != 6:
        raise InputError(f"{where}: {len(values)} values; expected 6: {FORM}")
    name, sentence = _without_extension(values[0]), values[5]
    match = _CLIP.fullmatch(name)
    if not match:
        raise InputError(f"{where}: clip {name!r}; expected a name such as 0001_Film_00.00.51.926-00.00.54.129")
    if not sentence:
        raise InputError(f"{where}: no sentence; expected {FORM}")
    start, end = (_seconds(value, where) for value in values[3:5])
    seen[name] += 1
    key = name.replace(".", "_") + (f"_{seen[name]}" if seen[name] > 1 else "")
    return FilmClip(key, name, match[1], start, end, sentence)


def _without_extension(name: str) -> str:
    return next((name.removesuffix(extension) for extension in EXTENSIONS if name.endswith(extension)), name)


def _seconds(text: str, where: str) -> float:
    match = _TIME.fullmatch(text)
    if not match:
        raise InputError(f"{where}: time {text!r}; expected hours, minutes and seconds such as 00.00.51.926")
    return 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3].replace(",", "."))


def clip_file(folder: Path, clip: FilmClip) -> Path:
    """The file of a clip, in its film's folder or without one, with any of EXTENSIONS; InputError where there is none."""
    folders = (folder / clip.film, folder)
    for place in folders:
        for extension in EXTENSIONS:
            path = place / f"{clip.name}{extension}"
            if path.is_file():
                return path
    looked = " and ".join(str(place) for place in folders)
    raise InputError(f"{clip.name}: no video of this name in {looked}; expected one with {', '.join(EXTENSIONS)}")


def read_clip(
    path: Path,
    frames: int,
    seconds: float,
    size: tuple[int, int],
    crop: Literal["centre", "random"],
    rng: np.random.Generator,
) -> np.ndarray:
    """Pictures [frames, H, W, 3], uint8 RGB, at even times from first to last: each the video's frame nearest in time.

    Args:
        seconds: what is taken of the video, all of it where it is shorter.
        size: H and W; the pictures are scaled to cover them, and their middle is taken.
        crop: whether these seconds are the middle ones, or begin at a random moment.
        rng: draws the moment.

    Raises:
        InputError: the file cannot be decoded, or has no frames.
    """
    times = _times(path)
    length = min(seconds, times[-1] - times[0])
    room = times[-1] - times[0] - length
    start = times[0] + (room / 2 if crop == "centre" else rng.uniform(0, room))
    wanted = start + np.linspace(0, length, frames)
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
    """A frame whose pixels are `aspect` times as wide as high, scaled to cover H and W: the middle [H, W, 3] of it."""
    scale = max(size[0] / frame.height, size[1] / (frame.width * aspect))
    height = max(size[0], round(frame.height * scale))
    width = max(size[1], round(frame.width * aspect * scale))
    picture = frame.reformat(width=width, height=height, format="rgb24", interpolation="BICUBIC").to_ndarray()
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return picture[top : top + size[0], left : left + size[1]]


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
