"""What a pass over K of 21 frames, and a look, cost beside a pass over all frames: python -m benchmarks.frames.

The laptop's backbone, batches of 8 clips; times are medians, interleaved in one run on one machine. Then
the arithmetic of Wan2.1-1.3B, counted on the meta device.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from statistics import median

import torch
from diffusers import WanTransformer3DModel

from interdiff.learning.costs import counted_flops
from interdiff.video.backbone.backbone import load_backbone
from interdiff.video.backbone.wan import WAN_1_3B, WanDenoiser
from interdiff.video.planner.preview import build_preview
from interdiff.video.planner.settings import PreviewSettings

COUNTS, FRAMES, CLIPS, REPEATS = (4, 6, 8, 21), 21, 8, 15
LAPTOP = Path("pretrained/laptop/model.safetensors")
PROMPT = (8, 384)
"""Rows and numbers of a row of its prompts."""


def inputs(count: int, clips: int, height: int, width: int, rows: int, text: int) -> tuple[torch.Tensor, ...]:
    """Noise, level, embedding and evenly spaced frames of a pass."""
    frames = torch.linspace(0, FRAMES - 1, count).round().long().expand(clips, -1)
    return torch.ones(clips, 16, count, height, width), torch.ones(clips, 1), torch.ones(clips, rows, text), frames


@torch.no_grad()
def main() -> None:
    """Prints a line for each K, and one for the preview."""
    torch.set_num_threads(2)
    small = load_backbone([LAPTOP], torch.device("cpu")).eval()
    calls = {f"K={count}": partial(small, *inputs(count, CLIPS, 8, 8, *PROMPT)) for count in COUNTS}
    noise, _, text, _ = inputs(FRAMES, CLIPS, 8, 8, *PROMPT)
    preview = build_preview(small, **PreviewSettings().model_dump(exclude={"training"})).eval()
    calls["a look"] = partial(preview, noise, text)
    whole = f"K={FRAMES}"
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(1 + REPEATS):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - started)
    flops = {name: counted_flops(call) for name, call in calls.items()}
    for name in calls:
        took, full = median(times[name][1:]), median(times[whole][1:])
        print(f"{name:6s}: {1e3 * took:6.1f} ms, {took / full:.3f} of all; arithmetic {flops[name] / flops[whole]:.3f}")
    with torch.device("meta"):
        wan = WanDenoiser(WanTransformer3DModel(**WAN_1_3B), preconditioned=False)
        large = {count: counted_flops(partial(wan, *inputs(count, 1, 60, 104, 512, 4096))) for count in COUNTS}
    for count in COUNTS:
        print(f"Wan2.1-1.3B K={count}: {large[count] / 1e12:.1f} TFLOP, {large[count] / large[FRAMES]:.3f}")


if __name__ == "__main__":
    main()
