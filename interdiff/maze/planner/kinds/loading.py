"""A planner of any kind from the folders of its networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from interdiff.errors import InputError
from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.kinds.auto import AutoPlanner
from interdiff.maze.planner.kinds.full_sequence import FullSequence, load_sequence_denoiser
from interdiff.maze.planner.kinds.shortest_path import ShortestPath
from interdiff.maze.planner.kinds.waypoints import WaypointsPlanner
from interdiff.maze.planner.phase1 import load_phase1
from interdiff.maze.planner.plans import AnyPlanner, Planner
from interdiff.maze.planner.refiner import load_refiner
from interdiff.maze.planner.settings import SamplingSettings
from interdiff.two_phase.keyframe_diffusion import keyframe_scheduler


def sampled_as(planner: AnyPlanner, sampling: SamplingSettings) -> AnyPlanner:
    """A two-phase planner's networks, sampled another way.

    Raises:
        InputError: the planner has no two phases.
    """
    if not isinstance(planner, Planner):
        raise InputError(f"planner {planner.settings.planner}: expected one of two phases")
    kind = AutoPlanner if sampling.k == "auto" else Planner
    return kind(planner.phase1, planner.refiner, sampling)


def load_planner(folder: Callable[[str], Path], data: Prepared, sampling: SamplingSettings) -> AnyPlanner:
    """The planner that the settings name, from the checkpoints of `settings.NETWORKS`, whose folders `folder` gives."""
    refiner = load_refiner(folder("refiner"), data)
    if sampling.planner == "shortest_path":
        return ShortestPath(refiner, sampling)
    if sampling.planner == "full_sequence":
        model = load_sequence_denoiser(folder("sequence_diffusion"), data)
        return FullSequence(refiner, sampling, model, keyframe_scheduler())
    kind = {"two_phase": AutoPlanner if sampling.k == "auto" else Planner, "waypoints": WaypointsPlanner}[
        sampling.planner
    ]
    return kind(load_phase1(folder, data), refiner, sampling)
