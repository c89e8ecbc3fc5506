"""How near chosen keyframes come to the best ones: the figures of selection.csv.

N clips, T frames, K keyframes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from interdiff.keyframes.dynamic_programming import path_cost
from interdiff.video.evaluation.interpolation import Estimate, jackknife


def shared(indices_nk: np.ndarray, best_nk: np.ndarray) -> np.ndarray:
    """The share of each clip's keyframes [N, K] that are among its best ones [N, K]: [N]."""
    return (indices_nk[:, :, None] == best_nk[:, None, :]).any(2).mean(1)


def mean_over(values_n: np.ndarray) -> Estimate:
    """A mean over clips and its standard error."""
    return Estimate(float(values_n.mean()), float(values_n.std(ddof=1) / np.sqrt(len(values_n))))


def selection_row(chosen_nk: np.ndarray, best_nk: np.ndarray, cost_nij: np.ndarray) -> dict[str, float | int]:
    """A row of selection.csv, but for the selector's name: chosen keyframes beside the best of the same clips.

    overlap, overlap_int: shares of all keyframes, and of those between the ends, that are among the best; cost_ratio: summed
    exact cost over the summed cost of the best; unique_sequences: different choices among the clips.
    """
    costs = np.stack([path_cost(cost_nij, indices) for indices in (chosen_nk, best_nk)], 1).astype(np.float64)
    estimates = {
        "overlap": mean_over(shared(chosen_nk, best_nk)),
        "overlap_int": mean_over(shared(chosen_nk[:, 1:-1], best_nk[:, 1:-1])),
        "cost_ratio": jackknife(lambda sums: sums[:, 0] / sums[:, 1], costs),
    }
    row: dict[str, float | int] = {"k": chosen_nk.shape[1], "n": len(chosen_nk)}
    for name, estimate in estimates.items():
        row |= {name: estimate.mean, f"{name}_se": estimate.se}
    return row | {"unique_sequences": len(np.unique(chosen_nk, axis=0))}


def repeat_consistency(prompts: Sequence[str], indices_nk: np.ndarray) -> dict[str, float]:
    """How alike keyframes between the ends are for clips of the same prompt, and for clips of different prompts.

    Means of the shares that two clips have in common, over all pairs of either kind.
    """
    names = np.asarray(prompts)
    same, different = [], []
    for n in range(1, len(names)):
        common = shared(np.repeat(indices_nk[n : n + 1, 1:-1], n, 0), indices_nk[:n, 1:-1])
        equal = names[:n] == names[n]
        same.append(common[equal])
        different.append(common[~equal])
    pairs: Mapping[str, np.ndarray] = {"same_prompt": np.concatenate(same), "other_prompt": np.concatenate(different)}
    return {name: float(values.mean()) if len(values) else float("nan") for name, values in pairs.items()}
