"""Data that several tests share."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from interdiff.maze.planner.conditions import steps_from_ends
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.keyframes import KeyframeDenoiser
from interdiff.maze.planner.phase1 import Phase1
from interdiff.maze.planner.refiner import Refiner
from interdiff.maze.planner.segment_cost import SegmentCostModel
from interdiff.maze.planner.selector import KeyframeSelector
from interdiff.maze.world.layouts import load_layout, occupancy, signed_distance
from interdiff.two_phase.keyframe_diffusion import keyframe_scheduler

CELLS = 5
SIZE = {"d_model": 16, "depth": 1, "heads": 2}


@pytest.fixture(scope="session")
def prepared_data() -> Callable[[int], Prepared]:
    """Random walks of so many frames in two layouts, three of each."""

    def make(frames: int) -> Prepared:
        generator = torch.Generator().manual_seed(0)
        walks = torch.randn(6, frames, 2, generator=generator).cumsum(1) / 50
        states = torch.cat([0.5 + walks, walks], dim=-1)
        layouts = [load_layout(name) for name in ("umaze", "umaze_eval")]
        walls = torch.tensor(np.stack([occupancy(layout, CELLS) for layout in layouts])).float()
        numbers, start, goal = torch.arange(2).repeat_interleave(3), states[:, 0], states[:, -1, :2]
        steps, ends = steps_from_ends(walls, numbers, start, goal)
        return Prepared(
            states=states,
            start=start,
            goal=goal,
            layout=numbers,
            occupancy=walls,
            sdf=torch.tensor(np.stack([signed_distance(layout, CELLS, 8) for layout in layouts])).float(),
            steps=steps,
            ends=ends,
            layouts=["umaze", "umaze_eval"],
        )

    return make


@pytest.fixture(scope="session")
def untrained_phases() -> Callable[[int], tuple[Phase1, Refiner]]:
    """The networks of both phases for so many frames, with the same random weights each time."""

    def make(frames: int) -> tuple[Phase1, Refiner]:
        torch.manual_seed(0)
        phase1 = Phase1(
            SegmentCostModel(frames, 8, 4, **SIZE),
            KeyframeSelector(frames, 8, 4, "none", (4, 8, 16), 2.5, **SIZE),
            KeyframeDenoiser(frames, **SIZE),
            keyframe_scheduler(),
        )
        refiner = Refiner(frames, 2, "linear", 0.0, **SIZE).eval()
        return phase1, refiner

    return make
