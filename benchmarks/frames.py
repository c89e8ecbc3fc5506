"""What a pass over K of 21 frames costs beside one over all of them: python -m benchmarks.frames.

The laptop's backbone with random weights, batches of 8 clips; times are medians, interleaved in one run on one machine. Then
the arithmetic of Wan2.1-1.3B, counted on the meta device.
"""

from __future__ import annotations

import time
from functools import partial
from statistics import median

import torch
from diffusers import WanTransformer3DModel

from interdiff.flops import counted_flops
from interdiff.video.backbone import build_backbone, transformer_config
from interdiff.video.settings import TransformerSettings
from interdiff.video.wan import WAN_1_3B, WanDenoiser

COUNTS, FRAMES, CLIPS, REPEATS = (4, 6, 8, 21), 21, 8, 15


def inputs(count: int, clips: int, height: int, width: int, rows: int, text: int) -> tuple[torch.Tensor, ...]:
    """Noise, level, embedding and evenly spaced frames of a pass."""
    frames = torch.linspace(0, FRAMES - 1, count).round().long().expand(clips, -1)
    return torch.ones(clips, 16, count, height, width), torch.ones(clips, 1), torch.ones(clips, rows, text), frames


@torch.no_grad()
def main() -> None:
    """Prints a line for each K."""
    torch.set_num_threads(2)
    small = build_backbone(**transformer_config(TransformerSettings(), text_dim=384)).eval()
    passes = {count: inputs(count, CLIPS, 8, 8, 64, 384) for count in COUNTS}
    times: dict[int, list[float]] = {count: [] for count in COUNTS}
    for _ in range(1 + REPEATS):
        for count, values in passes.items():
            started = time.perf_counter()
            small(*values)
            times[count].append(time.perf_counter() - started)
    with torch.device("meta"):
        wan = WanDenoiser(WanTransformer3DModel(**WAN_1_3B), preconditioned=False)
        large = {count: counted_flops(partial(wan, *inputs(count, 1, 60, 104, 512, 4096))) for count in COUNTS}
    flops = {count: counted_flops(partial(small, *values)) for count, values in passes.items()}
    for count in COUNTS:
        took, full = median(times[count][1:]), median(times[FRAMES][1:])
        print(
            f"K={count:2d}: {1e3 * took:6.1f} ms, {took / full:.3f} of all frames; "
            f"arithmetic {flops[count] / flops[FRAMES]:.3f}; "
            f"Wan2.1-1.3B {large[count] / 1e12:.1f} TFLOP, {large[count] / large[FRAMES]:.3f}"
        )


if __name__ == "__main__":
    main()
