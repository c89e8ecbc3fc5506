"""results/video/selection.csv: who chooses keyframes how well, on held-out prompts."""

from pathlib import Path

import numpy as np
import torch

from interdiff.files import load_arrays, write_csv
from interdiff.keyframes.dynamic_programming import global_indices, optimal_indices, random_indices, uniform_indices
from interdiff.video.backbone.backbone import load_backbone
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.evaluation.selection import repeat_consistency, selection_row
from interdiff.video.planner.choosers import load_selector, seen_costs_of
from interdiff.video.planner.preview import load_preview
from interdiff.video.planner.segment_cost import costs_of_prompts, load_video_segment_cost
from interdiff.workflow.pipelines.video_stages import SelectionStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage

COLUMNS = (
    "selector", "clips", "k", "n", "overlap", "overlap_int", "cost_ratio", "unique_sequences", "overlap_se",
    "overlap_int_se", "cost_ratio_se", "same_prompt", "other_prompt",
)  # fmt: skip


def main(stage: Stage) -> None:
    """Reads of the data's clips, and maybe of the backbone's, `index` and `oracle` of test clips, `train_index` and
    `train_oracle` of training clips; the `backbone` and its `preview`, if a selector looks; weights of `selectors` and of
    D_phis (`segment_costs`), in their order.

    Writes the table, of the test clips whose prompt no training clip has. Of the oracle it says how alike the best keyframes
    are of training clips of the same prompt and of others.
    """
    settings: SelectionStageSettings = stage.settings
    preview = None
    if "preview" in stage.inputs:
        preview = load_preview(stage.folder("preview"), load_backbone(stage.inputs["backbone"], stage.device))
    segment_costs = {
        f"segment_cost_{name}": (load_video_segment_cost(path.parent, stage.device), levels)
        for name, path, levels in zip(
            settings.segment_costs, stage.inputs["segment_costs"], settings.cost_levels, strict=True
        )
    }
    selectors = {
        f"selector_{name}": load_selector(path.parent, stage.device)
        for name, path in zip(settings.selectors, stage.inputs["selectors"], strict=True)
    }
    rows = []
    names = ("index", "oracle", "train_index", "train_oracle")
    kinds = ("shards", "generated")[: len(stage.inputs["index"])]
    learned = {prompt for path in stage.inputs["train_index"] for prompt in _prompts(path)}
    for kind, index, oracle, train_index, schedule in zip(kinds, *(stage.inputs[name] for name in names), strict=True):
        noisy = kind == "generated"  # real clips come from no noise that could be looked at
        data = ShardDataset(index, ["embed", *(["noise"] if noisy else [])])
        exact, trained, prompts = load_arrays(oracle), load_arrays(schedule), _prompts(train_index)
        held_out = [row for row, prompt in enumerate(_prompts(index)) if prompt not in learned]
        cost, gap = exact["cost"][held_out], float(exact["max_gap_factor"])
        count, frames = cost.shape[:2]
        embeds = data.batch("embed", held_out).float().to(stage.device)
        expected = {name: costs_of_prompts(model, embeds, levels) for name, (model, levels) in segment_costs.items()}
        seen = seen_costs_of(data, held_out, preview) if preview and noisy else None
        able = {name: selector for name, selector in selectors.items() if seen is not None or not selector.looks}
        for k in settings.k:
            best = exact[f"indices_{k}"][held_out].astype(np.int64)
            chosen = {
                "oracle": best,
                "fixed": np.tile(global_indices(trained["cost"], k, gap), (count, 1)),
                "uniform": np.tile(uniform_indices(frames, k), (count, 1)),
                "random": random_indices(count, frames, k, stage.rng(k)),
            }
            chosen |= {name: optimal_indices(costs, k, gap)[0] for name, costs in expected.items()}
            chosen |= {name: selector.select(embeds, seen, k) for name, selector in able.items()}
            alike = repeat_consistency(prompts, trained[f"indices_{k}"])
            for name, indices in chosen.items():
                row = selection_row(indices.astype(np.int64), best, cost)
                rows.append({"selector": name, "clips": kind} | row | (alike if name == "oracle" else {}))
    write_csv(stage.outputs["selection"], rows, COLUMNS)


def _prompts(index: Path) -> list[str]:
    data = ShardDataset(index, ["prompt"])
    return [data[row]["prompt"] for row in range(len(data))]


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run_stage(main, SelectionStageSettings)
