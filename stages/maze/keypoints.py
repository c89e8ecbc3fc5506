"""Train phase 1, the keypoint denoiser, over a mix of index policies."""

import torch

from interdiff.checkpoint import save_checkpoint
from interdiff.diffusion import keyframe_scheduler
from interdiff.maze.data import load_prepared
from interdiff.maze.keypoints import KeypointDenoiser, keypoint_loss
from interdiff.maze.masks import load_masks
from interdiff.maze.phase1 import load_segment_cost, load_selector
from interdiff.maze.policies import keyframe_indices
from interdiff.maze.segment_cost import frame_outputs
from interdiff.maze.settings import KeypointsSettings
from interdiff.networks import initialise_from
from stages.runner import Stage, run_stage
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads prepared `train`, its masks, D_phi and the selector; writes a checkpoint."""
    settings: KeypointsSettings = stage.settings
    data, masks = load_prepared(stage.path("train"), stage.device), load_masks(stage.path("masks_train"))
    segment_cost = load_segment_cost(stage.folder("segment_cost"), data)
    selector = load_selector(stage.folder("selector"), data)
    sources = [(policy, k) for policy in settings.mix for k in settings.counts]
    indices = {
        (policy, k): keyframe_indices(policy, k, data, masks, selector, stage.rng())
        for policy, k in stage.progress(sources, "keyframes", unit="policy")
    }
    config = {"frames": data.frames, **settings.network.model_dump()}
    torch.manual_seed(settings.training.seed)
    model = KeypointDenoiser(**config)
    initialise_from(model.backbone, segment_cost.queries.backbone)
    costs = frame_outputs(segment_cost, data)
    model, history = train_network(
        stage, model, keypoint_loss(data, indices, segment_cost, costs, settings, keyframe_scheduler())
    )
    save_checkpoint(stage.outputs, model, {"kind": "keypoints", "model": config}, history)


if __name__ == "__main__":
    run_stage(main, KeypointsSettings)
