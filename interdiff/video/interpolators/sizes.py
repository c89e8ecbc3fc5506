"""What training interpolators and the straightener takes, from their settings: memory by what autograd keeps, and time.

Places: latents of one frame, in rows times columns. M moments.
"""

from __future__ import annotations

from interdiff.video.interpolators.settings import LEARNED, FlowSettings, InterpolatorSettings, ShiftSettings

FP32 = 4
GPU_RATE, CPU_RATE = 20e12, 20e9
"""Arithmetic per second of narrow convolutions."""
LEAST_STEP = 0.05
"""Seconds of a step on a GPU, however small."""


def flow_bytes(flow: FlowSettings, places: int, moments: int) -> int:
    """Bytes that a training step of method flow keeps for a pair and its moments, beside the cost volume as it is made."""
    similarities = (2 * flow.cost_radius + 1) ** 2 if flow.cost_radius else 0
    pair = flow.width * (5 * flow.pair_blocks + 2) + 65 + similarities
    moment = flow.width * (5 * flow.time_blocks + 4) + 545 + 5 * flow.scale**2
    return FP32 * places * (pair + 32 * similarities + moments * moment)


def flow_flops(flow: FlowSettings, places: int, moments: int) -> int:
    """Convolutions of a pair and its moments."""
    similarities = (2 * flow.cost_radius + 1) ** 2 if flow.cost_radius else 0
    pair = 2 * flow.pair_blocks * flow.width**2 + (32 + similarities + 4 * flow.scale**2) * flow.width
    moment = (2 * flow.time_blocks + 2) * flow.width**2 + (80 + flow.scale**2) * flow.width
    return 2 * 9 * places * (pair + moments * moment)


def straightener_bytes(shift: ShiftSettings, couplings: int, places: int, moments: int) -> int:
    """Bytes that a training step of the straightener keeps for a pair and its moments, there and back."""
    return FP32 * places * couplings * (2 * moments + 2) * (shift.width * (5 * shift.blocks + 2) + 8)


def straightener_flops(shift: ShiftSettings, couplings: int, places: int, moments: int) -> int:
    """Convolutions of a pair and its moments, there and back."""
    return 2 * 9 * places * couplings * (2 * moments + 2) * (2 * shift.blocks * shift.width**2 + 16 * shift.width)


def learns(settings: InterpolatorSettings) -> bool:
    """Whether an interpolator has parameters, and no weights for them."""
    return settings.method in LEARNED and not settings.pretrained


def step_seconds(flops: int, gpu: bool) -> float:
    """Of a training step whose forward pass takes so much arithmetic."""
    return max(LEAST_STEP, 3 * flops / GPU_RATE) if gpu else 3 * flops / CPU_RATE
