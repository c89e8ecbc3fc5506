"""results/video/selection.csv: who chooses keyframes how well, on held-out prompts."""

import numpy as np
import torch

from interdiff.files import load_arrays, write_csv
from interdiff.keyframe_dp import global_indices, optimal_indices, random_indices, uniform_indices
from interdiff.video.backbone import load_backbone
from interdiff.video.choosers import load_selector, looks
from interdiff.video.segment_cost import costs_of_prompts, load_video_segment_cost
from interdiff.video.selection import repeat_consistency, selection_row
from interdiff.video.settings import SelectionStageSettings
from interdiff.video.shard_dataset import ShardDataset
from stages.runner import Stage, run_stage

COLUMNS = (
    "selector", "clips", "k", "n", "overlap", "overlap_int", "cost_ratio", "unique_sequences", "overlap_se",
    "overlap_int_se", "cost_ratio_se", "same_prompt", "other_prompt",
)  # fmt: skip


def main(stage: Stage) -> None:
    """Reads clips of both kinds, the data's and the backbone's: `index` and `oracle` of test clips, `train_index` and
    `train_oracle` of training clips; the `backbone`; weights of `selectors` and of D_phis (`segment_costs`), in their order.

    Writes the table. Of the oracle it says how alike the best keyframes are of training clips of the same prompt and of others.
    """
    settings: SelectionStageSettings = stage.settings
    backbone = load_backbone(stage.folder("backbone"), stage.device)
    rows = []
    names = ("index", "oracle", "train_index", "train_oracle")
    for kind, index, oracle, train_index, schedule in zip(
        ("shards", "generated"), *(stage.inputs[name] for name in names), strict=True
    ):
        columns = ["embed", "prompt", *(["noise"] if kind == "generated" else [])]
        data, train = ShardDataset(index, columns), ShardDataset(train_index, ["prompt"])
        exact, trained = load_arrays(oracle), load_arrays(schedule)
        cost, gap = exact["cost"], float(exact["max_gap_factor"])
        embeds = data.batch("embed", range(len(data))).float().to(stage.device)
        prompts = [train[row]["prompt"] for row in range(len(train))]
        alike = {k: repeat_consistency(prompts, trained[f"indices_{k}"]) for k in settings.k}
        for k in settings.k:
            count, frames = cost.shape[:2]
            chosen = {
                "oracle": exact[f"indices_{k}"],
                "fixed": np.tile(global_indices(trained["cost"], k, gap), (count, 1)),
                "uniform": np.tile(uniform_indices(frames, k), (count, 1)),
                "random": random_indices(count, frames, k, stage.rng(k)),
            }
            for name, path, levels in zip(
                settings.segment_costs, stage.inputs["segment_costs"], settings.cost_levels, strict=True
            ):
                model = load_video_segment_cost(path.parent, stage.device)
                predicted = costs_of_prompts(model, embeds, levels)
                chosen[f"segment_cost_{name}"] = optimal_indices(predicted, k, gap)[0]
            for name, path, level in zip(
                settings.selectors, stage.inputs["selectors"], settings.preview_levels, strict=True
            ):
                selector = load_selector(path.parent, stage.device)
                places, look = selector.network.places, None
                if len(places) and kind == "shards":
                    continue  # real clips come from no noise that could be looked at
                if len(places):
                    look = looks(data, backbone, places, level).to(stage.device)
                chosen[f"selector_{name}"] = selector.select(embeds, look, k)
            for name, indices in chosen.items():
                row = selection_row(indices.astype(np.int64), exact[f"indices_{k}"].astype(np.int64), cost)
                rows.append({"selector": name, "clips": kind} | row | (alike[k] if name == "oracle" else {}))
    write_csv(stage.outputs["selection"], rows, COLUMNS)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, SelectionStageSettings)
