"""Train phase 2, the refiner, on the errors that phase 1 makes."""

import torch

from interdiff.checkpoint import save_checkpoint
from interdiff.config import RANKED, RefinerSettings
from interdiff.files import load_arrays
from interdiff.maze.data import load_prepared
from interdiff.maze.phase1 import load_keypoints, load_selector
from interdiff.maze.policies import level_ranks, levels_from
from interdiff.maze.refiner import MaskedAnchors, Refiner, refiner_loss
from interdiff.networks import initialise_from
from stages.runner import Stage, run_stage
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads prepared `train`, its cached anchors, the selector and phase 1's checkpoint; writes a checkpoint."""
    settings: RefinerSettings = stage.settings
    data = load_prepared(stage.inputs["train"], stage.device)
    selector = load_selector(stage.folder("selector"), stage.device)
    cached = load_arrays(stage.inputs["anchors"])
    sources = [(policy, int(k)) for policy in settings.mix for k in cached["counts"]]
    anchors = [
        MaskedAnchors(
            ranks=level_ranks(policy, k, data, selector, stage.rng()),
            levels=levels_from(selector.nested_levels, k),
            indices=torch.as_tensor(cached[f"{RANKED[policy]}_{k}_indices"], device=stage.device),
            keypoints=torch.as_tensor(cached[f"{RANKED[policy]}_{k}_keypoints"], device=stage.device),
            share=settings.mix[policy],
        )
        for policy, k in stage.progress(sources, "masks", unit="policy")
    ]
    config = {
        "frames": data.frames,
        "frames_per_token": settings.frames_per_token,
        "interpolation": settings.corruption.interpolation,
        "noise": settings.corruption.noise,
        **settings.network.model_dump(),
    }
    torch.manual_seed(settings.training.seed)
    model = Refiner(**config)
    if settings.initialise:
        initialise_from(model.backbone, load_keypoints(stage.folder("keypoints"), stage.device).backbone)
    model, history = train_network(
        stage,
        model,
        refiner_loss(data, anchors, settings),
    )
    save_checkpoint(stage.outputs, model, {"kind": "refiner", "model": config}, history)


if __name__ == "__main__":
    run_stage(main, RefinerSettings)
