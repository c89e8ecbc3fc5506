"""What the maze's report covers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field, model_validator

from interdiff.maze.baselines.settings import BaselinesSettings
from interdiff.maze.evaluation.settings import (
    BudgetSettings,
    DiagnosticsSettings,
    ImprovementSettings,
    RefinementLimitSettings,
    RolloutsSettings,
    SelectionSettings,
    UnseenSettings,
)
from interdiff.settings import BASE, Count, Distinct, Name, Section

NETWORK, SPLITS = ("model.safetensors", "run.json"), ("train.npz", "val.npz", "test.npz")
REPORTED = {
    "prepare": SPLITS,
    "masks": SPLITS,
    "segment_cost": NETWORK,
    "selector": NETWORK,
    "keyframes": NETWORK,
    "anchors": ("train.npz", "val.npz"),
    "refiner": NETWORK,
    "samples": ("samples.npz", "metrics.csv"),
}
"""What every variant is made of: files by stage."""


def reported(networks: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """What a variant is made of that plans with the networks of some stages: files by stage."""
    alone = "sequence_diffusion"
    return REPORTED | ({alone: NETWORK} if alone in networks else {})


class GallerySettings(Section):
    """The pictures of sampled plans."""

    variants: Distinct[Name] = Field([BASE], description="variants to draw, of those that are reported")
    samples_drawn: Count = Field(6, description="plans drawn per layout")


class ReportSettings(Section):
    """What metrics.csv, selection.csv and the figures cover."""

    variants: Distinct[Name] = Field([BASE], min_length=1, description="variants, in this order")
    selection: SelectionSettings = Field(
        default_factory=SelectionSettings, description="comparison of ways to choose keyframes"
    )
    refinement_limit: RefinementLimitSettings = Field(
        default_factory=RefinementLimitSettings, description="what any phase 2 must leave with the true keyframes"
    )
    gallery: GallerySettings = Field(default_factory=GallerySettings, description="pictures of sampled plans")
    baselines: BaselinesSettings = Field(
        default_factory=BaselinesSettings, description="learned planners to compare with"
    )
    rollouts: RolloutsSettings = Field(default_factory=RolloutsSettings, description="planners in the simulator")
    unseen: UnseenSettings = Field(
        default_factory=UnseenSettings, description="plans in mazes that no network was trained on"
    )
    improvement: ImprovementSettings = Field(
        default_factory=ImprovementSettings, description="demonstrations by a planner"
    )
    budget: BudgetSettings = Field(default_factory=BudgetSettings, description="quality against compute")
    controls: Distinct[Name] = Field(
        [BASE], min_length=1, description="variants of controls.csv, each with all its training seeds"
    )
    ablations: dict[Name, Distinct[Name]] = Field(
        default_factory=dict, description="variants of ablations.csv, by what they change"
    )
    quick_ablations: Distinct[Name] = Field(
        [],
        description="those of them that report.html always shows, from quick_ablations.csv: best such as train nothing",
    )
    diagnostics: DiagnosticsSettings = Field(
        default_factory=DiagnosticsSettings, description="what goes on in the plans of a variant"
    )
    include: list[Literal["rollouts", "unseen", "controls", "budget", "ablations", "diagnostics"]] = Field(
        [], description="what report.html shows beside metrics.csv and selection.csv; it is made if it is not there"
    )

    @model_validator(mode="after")
    def _quick_among_all(self) -> ReportSettings:
        for name in self.quick_ablations:
            if name not in self.ablations:
                raise ValueError(f"quick_ablations: {name!r} is not among ablations: {', '.join(self.ablations)}")
        return self

    def driven_variants(self) -> list[tuple[str, str]]:
        """Keys and the variants whose plans are driven."""
        planners = {f"rollouts.planners.{name}": planner for name, planner in self.rollouts.planners.items()}
        planners |= {f"unseen.planners.{name}": planner for name, planner in self.unseen.planners.items()}
        planners |= {f"budget.planners.{name}": planner for name, planner in self.budget.planners.items()}
        return [(f"{key}.variant", planner.variant) for key, planner in planners.items()]

    def named_variants(self) -> list[tuple[str, str]]:
        """Keys and the variants that they name, but for the baselines': a configuration may do without."""
        return [
            *(("variants", name) for name in self.variants),
            *(("gallery.variants", name) for name in self.gallery.variants),
            *self.paired_variants(),
            *self.driven_variants(),
        ]

    def paired_variants(self) -> list[tuple[str, str]]:
        """Keys and the variants whose plans are compared with base's, one by one."""
        return [
            *(("controls", name) for name in self.controls),
            *((f"ablations.{group}", name) for group, names in self.ablations.items() for name in names),
        ]
