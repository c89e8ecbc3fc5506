"""Cache phase 1's keyframes for a split: the errors that the refiner will meet."""

import numpy as np

from interdiff.files import write_arrays
from interdiff.maze.planner.data import load_prepared
from interdiff.maze.planner.masks import load_masks
from interdiff.maze.planner.phase1 import load_phase1
from interdiff.maze.planner.policies import keyframe_indices
from interdiff.maze.planner.settings import AnchorsSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads a `prepared` split, its masks and phase 1's networks; writes `anchors`.

    For every policy P and count K: P_K_indices [N, K] int64 and P_K_keyframes [N, K, 4].
    """
    settings: AnchorsSettings = stage.settings
    data, masks = load_prepared(stage.path("prepared"), stage.device), load_masks(stage.path("masks"))
    phase1 = load_phase1(stage.folder, data)
    generator, rng, arrays = stage.generator(), stage.rng(), {}
    for policy in settings.policies:
        for k in settings.counts:
            indices = keyframe_indices(policy, k, data, masks, phase1.selector, rng)
            chunks = stage.progress(data.chunks(512), f"{policy}, K = {k}", unit="chunk")
            keyframes = phase1.keyframes_of(data, chunks, indices, settings.steps, generator)
            arrays[f"{policy}_{k}_indices"] = indices.numpy(force=True)
            arrays[f"{policy}_{k}_keyframes"] = keyframes.numpy(force=True)
    write_arrays(stage.outputs["anchors"], arrays | {"counts": np.array(settings.counts)}, finite=True)


if __name__ == "__main__":
    run_stage(main, AnchorsSettings)
