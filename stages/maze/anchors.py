"""Cache phase 1's keypoints for a split: the errors that the refiner will meet."""

import numpy as np

from interdiff.files import write_arrays
from interdiff.maze.data import load_prepared
from interdiff.maze.masks import load_masks
from interdiff.maze.phase1 import load_phase1
from interdiff.maze.policies import keyframe_indices
from interdiff.maze.settings import AnchorsSettings
from stages.runner import Stage, run_stage


def main(stage: Stage) -> None:
    """Reads a `prepared` split, its masks and phase 1's networks; writes `anchors`.

    For every policy P and count K: P_K_indices [N, K] int64 and P_K_keypoints [N, K, 4].
    """
    settings: AnchorsSettings = stage.settings
    data, masks = load_prepared(stage.path("prepared"), stage.device), load_masks(stage.path("masks"))
    phase1 = load_phase1(stage.folder, data)
    generator, rng, arrays = stage.generator(), stage.rng(), {}
    for policy in settings.policies:
        for k in settings.counts:
            indices = keyframe_indices(policy, k, data, masks, phase1.selector, rng)
            chunks = stage.progress(data.chunks(512), f"{policy}, K = {k}", unit="chunk")
            keypoints = phase1.keypoints_of(data, chunks, indices, settings.steps, generator)
            arrays[f"{policy}_{k}_indices"] = indices.numpy(force=True)
            arrays[f"{policy}_{k}_keypoints"] = keypoints.numpy(force=True)
    write_arrays(stage.outputs["anchors"], arrays | {"counts": np.array(settings.counts)})


if __name__ == "__main__":
    run_stage(main, AnchorsSettings)
