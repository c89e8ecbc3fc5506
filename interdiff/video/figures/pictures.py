"""Latents as pictures: MP4, GIF and PNG contact sheets.

T frames, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import av
import numpy as np
from einops import reduce
from PIL import Image, ImageDraw, ImageFont

from interdiff.files import atomic_path

FRAMES_PER_SECOND = 16
"""Wan's, and the laptop clips'."""
LABEL, MARGIN = 12, 2
"""Pixels that a line of text is high, and is away from the edge."""
LONGEST = 128
"""Pixels along a side of a clip among others, before it is enlarged."""


def shrunk(video: np.ndarray) -> np.ndarray:
    """A video [T, H, W, 3] uint8 whose sides are no longer than `LONGEST`, as means over squares of whole pixels."""
    factor = -(-max(video.shape[1:3]) // LONGEST)
    if factor == 1:
        return video
    height, width = (side // factor * factor for side in video.shape[1:3])
    squares = {"p": factor, "q": factor}
    small = [
        reduce(frame[:height, :width].astype(float), "(h p) (w q) c -> h w c", "mean", **squares) for frame in video
    ]
    return np.stack(small).round().astype(np.uint8)


def contact_sheet(rows: Mapping[str, np.ndarray], frames: Sequence[int], scale: int = 1) -> Image.Image:
    """Videos [T, H, W, 3] uint8 by name, one row each, at the same frames; names are broken into lines as wide as rows."""
    sheets = []
    for name, video in rows.items():
        strip = np.concatenate([video[frame] for frame in frames], axis=1)
        picture = Image.fromarray(strip).resize(
            (strip.shape[1] * scale, strip.shape[0] * scale), Image.Resampling.NEAREST
        )
        lines = lines_of(name, picture.width - 2 * MARGIN)
        labelled = Image.new("RGB", (picture.width, picture.height + LABEL * len(lines)), "white")
        labelled.paste(picture, (0, LABEL * len(lines)))
        for number, line in enumerate(lines):
            ImageDraw.Draw(labelled).text((MARGIN, LABEL * number), line, fill="black")
        sheets.append(labelled)
    sheet = Image.new("RGB", (max(s.width for s in sheets), sum(s.height for s in sheets)), "white")
    top = 0
    for strip_picture in sheets:
        sheet.paste(strip_picture, (0, top))
        top += strip_picture.height
    return sheet


def lines_of(text: str, width: int) -> list[str]:
    """A text's words in lines of at most so many pixels, but for single words that are wider."""
    font, lines = ImageFont.load_default(), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        lines = [*lines[:-1], longer] if font.getlength(longer) <= width else [*filter(None, lines), word]
    return lines


def write_png(path: Path, picture: Image.Image) -> None:
    """A picture as PNG, whole or not at all."""
    with atomic_path(path) as temporary:
        picture.save(temporary)


def write_gif(path: Path, video: Iterable[np.ndarray], scale: int = 1) -> None:
    """Frames [H, W, 3] uint8 as an endless GIF, each in 256 colours of its own."""
    pictures = (Image.fromarray(frame).quantize(dither=Image.Dither.NONE) for frame in video)
    frames = (f.resize((f.width * scale, f.height * scale), Image.Resampling.NEAREST) for f in pictures)
    with atomic_path(path) as temporary:
        next(frames).save(temporary, save_all=True, append_images=frames, duration=1000 / FRAMES_PER_SECOND, loop=0)


def write_mp4(path: Path, video: np.ndarray, scale: int = 1) -> None:
    """A video [T, H, W, 3] uint8 as H.264; both sides even, as scaled."""
    with atomic_path(path) as temporary, av.open(str(temporary), "w") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND)
        stream.height, stream.width = (side * scale for side in video.shape[1:3])
        stream.pix_fmt = "yuv420p"
        for frame in video:
            scaled = frame.repeat(scale, axis=0).repeat(scale, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scaled, format="rgb24")))
        container.mux(stream.encode(None))
