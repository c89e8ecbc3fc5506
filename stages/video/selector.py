"""Train the selector: keyframes from the prompt, and from the costs of what a look at the noise shows."""

import numpy as np
import torch

from interdiff.files import load_arrays
from interdiff.keyframes.dynamic_programming import optimal_indices
from interdiff.learning.checkpoints import save_checkpoint
from interdiff.learning.training import Objective
from interdiff.video.backbone.backbone import load_backbone
from interdiff.video.data.batches import TrainingClips
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.planner.choosers import seen_costs_of
from interdiff.video.planner.keyframes import best_keyframes
from interdiff.video.planner.losses.selector import Paths, selector_loss
from interdiff.video.planner.preview import load_preview
from interdiff.video.planner.segment_cost import costs_of_prompts, load_video_segment_cost
from interdiff.video.planner.selector import VideoSelector
from interdiff.video.planner.settings import SelectorSettings
from interdiff.workflow.pipelines.video_stages import SelectorStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads an `index` of clips and their `oracle`; the `backbone` and its `preview`, if the selector looks; D_phi's
    `segment_cost`, if that labels. Writes a checkpoint.
    """
    settings: SelectorSettings = stage.settings.selector
    data = ShardDataset(stage.path("index"), ["embed"])
    oracle = load_arrays(stage.path("oracle"))
    frames, gap = oracle["cost"].shape[1], float(oracle["max_gap_factor"])
    cost, labels = oracle["cost"], best_keyframes(oracle)
    if settings.labels == "segment_cost":
        segment_cost = load_video_segment_cost(stage.folder("segment_cost"), stage.device)
        embeds = data.batch("embed", range(len(data))).float().to(stage.device)
        cost = costs_of_prompts(segment_cost, embeds, stage.settings.cost_levels)
        best = {k: optimal_indices(cost, k, gap)[0].astype(np.int64) for k in labels}
        labels = {k: torch.from_numpy(indices) for k, indices in best.items()}
    seen = None
    if settings.preview:
        preview = load_preview(stage.folder("preview"), load_backbone(stage.inputs["backbone"], stage.device))
        noisy = ShardDataset(stage.path("index"), ["noise", "embed"])
        seen = seen_costs_of(noisy, range(len(noisy)), preview).cpu()
    size = settings.network.model_dump(exclude={"features"})
    config = {"frames": frames, "features": settings.network.features, "text_dim": data.shape("embed")[1]}
    config |= {"looks": settings.preview, "max_gap_factor": gap} | size
    torch.manual_seed(settings.training.seed)
    clips = TrainingClips([data], settings.training, stage.device)
    paths = Paths(clips, seen, torch.from_numpy(cost), labels, settings.path_weight, settings.uniform_weight)
    model, history = train_network(stage, VideoSelector(**config), Objective(paths.draw, selector_loss))
    save_checkpoint(stage.outputs, model, {"kind": "selector", "model": config}, history)


if __name__ == "__main__":
    run_stage(main, SelectorStageSettings)
