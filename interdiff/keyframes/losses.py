"""What D_phi and the selector learn, in both domains.

B samples, T frames, K keyframes.
"""

from __future__ import annotations

from torch import Tensor

from interdiff.keyframes.path_distribution import log_partition, marginals, path_potential
from interdiff.keyframes.segment_cost import COST_FLOOR
from interdiff.keyframes.shapes import check_shapes


def cost_regression_loss(predicted: Tensor, target: Tensor, floor: float = COST_FLOOR) -> Tensor:
    """Mean gamma deviance (McCullagh & Nelder 1989, section 8.3.2), up to a constant, of costs >= 0 of any equal shape.

    Its minimiser is the conditional mean of the target, which is what DP over predicted costs needs, and it weighs
    relative errors: costs span four orders of magnitude and DP lives on the small ones. `floor` is added to both.
    """
    predicted = predicted + floor
    return ((target + floor) / predicted + predicted.log()).mean()


def path_negative_log_likelihood(potential_bij: Tensor, path_bk: Tensor, k: int) -> Tensor:
    """Of paths under their distribution (Lafferty et al. 2001, section 3), per keyframe between the ends.

    potential_bij: [B, T, T]; path_bk: [B, K], K > 2.
    """
    check_shapes("potential_bij B T T, path_bk B K", potential_bij, path_bk, K=k)
    likelihood = path_potential(potential_bij, path_bk) - log_partition(potential_bij, k)
    return -likelihood.mean() / (k - 2)


def kl_to_uniform(potential_bij: Tensor, k: int) -> Tensor:
    """KL divergence of the density of K > 2 keyframes between the ends, by potentials [B, T, T], from the uniform density."""
    density = marginals(potential_bij, k)[:, 1:-1].clamp_min(1e-9) / (k - 2)
    return (density * (density * density.shape[1]).log()).sum(-1).mean()
