import numpy as np
import pytest
import torch

from interdiff.files import load_arrays
from interdiff.keyframes.dynamic_programming import path_cost
from interdiff.keyframes.segment_cost import all_segment_costs
from interdiff.maze.planner.settings import MasksSettings
from interdiff.workflow.stage import Stage
from stages.maze import masks


@pytest.mark.parametrize("cost", ["exact", "sampled"])
def test_chosen_keyframes_cost_at_least_what_the_masks_say(cost, prepared_data, tmp_path, monkeypatch):
    """The cost ratio is at least 1, and 1 where the indices are those of the exact cost, whatever cost chose them."""
    data = prepared_data(24)
    monkeypatch.setattr(masks, "load_prepared", lambda path, device: data)
    settings = MasksSettings(levels=[4], nested_levels=[4, 8], cost=cost, cost_samples=2)
    masks.main(
        Stage("maze.masks", {}, settings, {"prepared": [tmp_path]}, {"masks": tmp_path / "m.npz"}, 1, 0, tmp_path)
    )
    written = load_arrays(tmp_path / "m.npz")
    exact = all_segment_costs(data.world_positions(torch.arange(len(data.states))).numpy())
    ratio = path_cost(exact, written["indices_4"]) / written["cost_4"]
    if cost == "sampled":
        assert ratio.min() > 1 - 1e-9
        assert ratio.max() > 1.001
    else:
        np.testing.assert_allclose(ratio, 1, rtol=1e-9)
