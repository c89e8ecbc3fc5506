"""Exact costs of filling every segment of clips, and the keyframes that dynamic programming finds best."""

import numpy as np
import torch

from interdiff.files import write_arrays
from interdiff.keyframes.dynamic_programming import optimal_indices
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.interpolators.loading import load_interpolator, load_straightener
from interdiff.video.planner.oracle import interpolator_costs, line_costs
from interdiff.video.planner.settings import OracleSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads an `index` of clips, and the `straightener` or `interpolator` that costs are of.

    Writes `oracle`: `cost` [N, T, T] float32, and `indices_K` [N, K] and `cost_K` [N] for every K.
    """
    settings: OracleSettings = stage.settings
    data = ShardDataset(stage.path("index"), ["latent"])
    straightener = (
        load_straightener(stage.folder("straightener"), stage.device) if "straightener" in stage.inputs else None
    )
    interpolator = (
        load_interpolator(stage.folder("interpolator"), stage.device) if "interpolator" in stage.inputs else None
    )
    rows = []
    for number in stage.progress(range(len(data)), "clips", unit="clip"):
        z = data[number]["latent"].float().to(stage.device)
        rows.append(interpolator_costs(z, interpolator) if interpolator else line_costs(z[None], straightener)[0])
    cost = np.stack(rows)
    arrays = {"cost": cost, "k": np.array(settings.k), "max_gap_factor": np.array(settings.max_gap_factor)}
    for k in settings.k:
        arrays[f"indices_{k}"] = optimal_indices(cost, k, settings.max_gap_factor)[0]
    write_arrays(stage.outputs["oracle"], arrays)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, OracleSettings)
