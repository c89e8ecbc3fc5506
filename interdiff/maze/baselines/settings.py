"""Settings of the learned baselines."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from interdiff.maze.planner.settings import NetworkOfPlansSettings
from interdiff.settings import Count, Name, Section

NOT_LEARNED = ("shortest_path_chase", "controller", "shortest_path_planned")
"""What drives beside our planners without having learned, by its name in tables."""
LEARNED = ("full_sequence", "full_sequence_few_steps", "hierarchical")
"""The learned baselines in rollouts.csv."""


def check_names(planners: Iterable[str], taken: Iterable[str]) -> None:
    """ValueError where a planner of ours has the name of another row of its table."""
    if both := sorted({*planners} & {*taken}):
        raise ValueError(f"planners: {both[0]!r} is the name of another row of the table")


class WindowDiffusionSettings(NetworkOfPlansSettings):
    """A learned baseline: diffusion over the states at equally spaced steps of windows of fixed horizon."""

    interval: Count = Field(4, description="steps of 0.01 s from one token to the next; divides every horizon")


class SegmentFillSettings(NetworkOfPlansSettings):
    """The hierarchical baseline's low level: diffusion over all steps between two sub-goals."""

    interval: Count = Field(15, description="steps between sub-goals, that of the high level")


class FullSequenceSettings(Section):
    """Plans of full-sequence diffusion."""

    variant: Name = Field("full_sequence", description="variant whose network plans")
    steps: Count | dict[Name, Count] = Field(
        {"umaze": 64, "medium": 256, "large": 256},
        description="denoising steps, one number or some by layout; others take that of the D4RL map nearest in size",
    )


class HierarchicalSettings(FullSequenceSettings):
    """Plans of the hierarchical baseline; `variant` and `steps` are those of its sub-goals."""

    variant: Name = Field("hierarchical", description="variant whose networks plan")
    fill_steps: Count = Field(128, description="denoising steps between sub-goals")


class BaselinesSettings(Section):
    """The learned baselines, as rollouts.csv runs them."""

    full_sequence: FullSequenceSettings = Field(
        default_factory=FullSequenceSettings, description="full-sequence diffusion"
    )
    few_steps: FullSequenceSettings = Field(
        default_factory=lambda: FullSequenceSettings(steps=2),
        description="full-sequence diffusion at about the compute of our plans",
    )
    hierarchical: HierarchicalSettings = Field(
        default_factory=HierarchicalSettings, description="sub-goals, then what is between them"
    )
