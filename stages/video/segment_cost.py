"""Train D_phi: the costs of a clip's segments from its prompt."""

import torch

from interdiff.files import load_arrays
from interdiff.keyframes.gaps import max_gap
from interdiff.learning.checkpoints import save_checkpoint
from interdiff.learning.training import Objective
from interdiff.video.data.batches import TrainingClips
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.planner.losses.segment_cost import LatentCosts, TeacherCosts, segment_cost_loss
from interdiff.video.planner.segment_cost import VideoSegmentCost
from interdiff.video.planner.settings import SegmentCostSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.training import train_network


def main(stage: Stage) -> None:
    """Reads an `index` of clips, their `oracle`, and the teacher's `targets` where those are learned; writes a checkpoint."""
    settings: SegmentCostSettings = stage.settings
    data = ShardDataset(stage.path("index"), ["embed"])
    oracle = load_arrays(stage.path("oracle"))
    frames = oracle["cost"].shape[1]
    if settings.targets == "teacher":
        measured = load_arrays(stage.path("targets"))
        embeds = data.batch("embed", range(int(measured["row"].max()) + 1)).float().to(stage.device)
        values = {name: torch.from_numpy(array) for name, array in measured.items()}
        costs: LatentCosts | TeacherCosts = TeacherCosts(embeds, **values, batch_size=settings.training.batch_size)
    else:
        longest = max_gap(frames, int(oracle["k"].min()), float(oracle["max_gap_factor"]))
        clips = TrainingClips([data], settings.training, stage.device)
        costs = LatentCosts(clips, torch.from_numpy(oracle["cost"]), longest)
    size = settings.network.model_dump(exclude={"features"})
    config = {"frames": frames, "features": settings.network.features, "text_dim": data.shape("embed")[1]} | size
    torch.manual_seed(settings.training.seed)
    model, history = train_network(stage, VideoSegmentCost(**config), Objective(costs.draw, segment_cost_loss))
    save_checkpoint(stage.outputs, model, {"kind": "segment_cost", "model": config}, history)


if __name__ == "__main__":
    run_stage(main, SegmentCostSettings)
