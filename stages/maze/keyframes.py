"""Train phase 1, the keyframe denoiser, over a mix of index policies."""

import torch

from interdiff.learning.checkpoints import save_checkpoint
from interdiff.learning.networks import initialise_from
from interdiff.learning.training import Objective
from interdiff.maze.planner.data import Prepared, load_prepared
from interdiff.maze.planner.keyframes import build_keyframes
from interdiff.maze.planner.losses.keyframes import NoisyKeyframes, keyframe_loss
from interdiff.maze.planner.masks import Masks, load_masks
from interdiff.maze.planner.phase1 import load_segment_cost, load_selector
from interdiff.maze.planner.policies import keyframe_indices
from interdiff.maze.planner.segment_cost import SegmentCostModel, frame_outputs
from interdiff.maze.planner.selector import KeyframeSelector
from interdiff.maze.planner.settings import KeyframesSettings
from interdiff.two_phase.keyframe_diffusion import keyframe_scheduler
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads prepared `train` and `val`, their masks, D_phi and the selector; writes a checkpoint."""
    settings: KeyframesSettings = stage.settings
    data, val = (load_prepared(stage.path(split), stage.device) for split in ("train", "val"))
    segment_cost = load_segment_cost(stage.folder("segment_cost"), data)
    selector = load_selector(stage.folder("selector"), data)
    draw, held_out = (
        _noisy(stage, split, load_masks(stage.path(f"masks_{name}")), segment_cost, selector).draw
        for name, split in (("train", data), ("val", val))
    )
    config = {"frames": data.frames, **settings.network.described()}
    torch.manual_seed(settings.training.seed)
    model = build_keyframes(**config)
    initialise_from(model.backbone, segment_cost.queries.backbone)
    model, history = train_network(stage, model, Objective(draw, keyframe_loss, held_out))
    save_checkpoint(stage.outputs, model, {"kind": "keyframes", "model": config}, history)


def _noisy(
    stage: Stage, data: Prepared, masks: Masks, segment_cost: SegmentCostModel, selector: KeyframeSelector
) -> NoisyKeyframes:
    """A split's keyframes, at the indices of each policy and K."""
    settings: KeyframesSettings = stage.settings
    sources = [(policy, k) for policy in settings.mix for k in settings.counts]
    indices = {
        (policy, k): keyframe_indices(policy, k, data, masks, selector, stage.rng())
        for policy, k in stage.progress(sources, "keyframes", unit="policy")
    }
    costs = frame_outputs(segment_cost, data)
    return NoisyKeyframes(data, indices, segment_cost, costs, settings, keyframe_scheduler())


if __name__ == "__main__":
    run_stage(main, KeyframesSettings)
