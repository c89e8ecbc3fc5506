"""What D_phi learns in both domains."""

from __future__ import annotations

from torch import Tensor

from interdiff.keyframes.segment_cost import COST_FLOOR


def cost_regression_loss(predicted: Tensor, target: Tensor, floor: float = COST_FLOOR) -> Tensor:
    """Mean gamma deviance (up to a constant) of predicted against true costs, both >= 0 of any equal shape.

    Its minimiser is the conditional mean of the target, which is what DP over predicted costs needs, and it weighs
    relative errors: costs span four orders of magnitude and DP lives on the small ones. `floor` is added to both.
    """
    predicted = predicted + floor
    return ((target + floor) / predicted + predicted.log()).mean()
