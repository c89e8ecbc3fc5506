"""Train phase 2, the refiner, on the errors that phase 1 makes."""

from pathlib import Path

import torch

from interdiff.files import load_arrays
from interdiff.keyframes.nested_masks import levels_from
from interdiff.learning.checkpoints import save_checkpoint
from interdiff.learning.networks import initialise_from
from interdiff.learning.training import Objective
from interdiff.maze.planner.data import Prepared, load_prepared
from interdiff.maze.planner.losses.refiner import CorruptedSequences, MaskedAnchors, refiner_loss
from interdiff.maze.planner.masks import RANKED
from interdiff.maze.planner.phase1 import load_keyframes, load_selector
from interdiff.maze.planner.policies import level_ranks
from interdiff.maze.planner.refiner import build_refiner
from interdiff.maze.planner.selector import KeyframeSelector
from interdiff.maze.planner.settings import RefinerSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads prepared `train` and `val`, their cached anchors, the selector and phase 1's checkpoint; writes a checkpoint."""
    settings: RefinerSettings = stage.settings
    data, val = (load_prepared(stage.path(split), stage.device) for split in ("train", "val"))
    selector = load_selector(stage.folder("selector"), data)
    draw, held_out = (
        CorruptedSequences(split, _anchors(stage, split, stage.path(anchors), selector), settings).draw
        for split, anchors in ((data, "anchors"), (val, "anchors_val"))
    )
    config = {
        "frames": data.frames,
        "frames_per_token": settings.frames_per_token,
        "interpolation": settings.corruption.interpolation,
        "noise": settings.corruption.noise,
        "neighbours": settings.neighbours,
        **settings.network.described(),
    }
    torch.manual_seed(settings.training.seed)
    model = build_refiner(**config)
    if settings.initialise:
        initialise_from(model.backbone, load_keyframes(stage.folder("keyframes"), data).backbone)
    model, history = train_network(stage, model, Objective(draw, refiner_loss, held_out))
    save_checkpoint(stage.outputs, model, {"kind": "refiner", "model": config}, history)


def _anchors(stage: Stage, data: Prepared, path: Path, selector: KeyframeSelector) -> list[MaskedAnchors]:
    """A split's cached anchors with their nested masks, for each policy and K."""
    cached = load_arrays(path)
    mix = stage.settings.mix
    sources = [(RANKED[policy], int(k), share) for policy, share in mix.items() for k in cached["counts"]]
    anchors = []
    for policy, k, share in stage.progress(sources, "masks", unit="policy"):
        levels = levels_from(selector.nested_levels, k)
        indices, keyframes = (
            torch.as_tensor(cached[f"{policy}_{k}_{name}"], device=stage.device) for name in ("indices", "keyframes")
        )
        ranks = level_ranks(policy, levels, data, selector, stage.rng(), indices)
        anchors.append(MaskedAnchors(ranks, levels, indices, keyframes, share))
    return anchors


if __name__ == "__main__":
    run_stage(main, RefinerSettings)
