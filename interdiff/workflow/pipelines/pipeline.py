"""A domain's pipeline as its rules see it: what each job's stage is told, which files it reads, and its identity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from interdiff.settings import Section
from interdiff.workflow.identity import spec
from interdiff.workflow.pipelines.needs import Need
from interdiff.workflow.variants import Variants

WEIGHTS = ("model.safetensors", "config.json")


class ReportStageSettings(Section):
    """Whose report it is."""

    domain: Literal["maze", "video"] = Field(description="domain")


class Pipeline:
    """A pipeline's stages by name.

    A method of a stage's name gives what the stage is told. A stage without one is told its section of a variant's
    settings, if it has one, or nothing.
    """

    domain: str

    def __init__(self, resolved: Variants, results: str, root: str | Path) -> None:
        self.resolved, self.results, self.root = resolved, results, root

    def settings(self, stage: str, wildcards: Any) -> Mapping[str, Any]:
        """What a job's stage is told."""
        own: Callable[[Any], Mapping[str, Any]] | None = getattr(self, stage, None)
        if own:
            return own(wildcards)
        return self.resolved.section(stage, wildcards.variant) if stage in self.resolved.stages else {}

    def section(self, stage: str, variant: str) -> Mapping[str, Any]:
        """A stage's own settings in a variant."""
        return self.resolved.section(stage, variant)

    def sources(self, stage: str, wildcards: Any) -> Sequence[str]:
        """Files from outside that a job reads."""
        return ()

    def uses(self, stage: str, wildcards: Any) -> Sequence[tuple[str, str]]:
        """The stages and variants whose artifacts a job makes or reads."""
        variant = getattr(wildcards, "variant", None)
        return [(stage, variant)] if variant and stage in self.resolved.stages else []

    def implementations(self, stage: str, wildcards: Any) -> list[str]:
        """Modules that the settings choose by name, of the stages that a job is of or reads, and of all that these follow."""
        uses = self.uses(stage, wildcards)
        return sorted({module for use in uses for module in self.resolved.implementations(*use)})

    def need(self, stage: str, wildcards: Any, gpus: int) -> Need:
        """What a job is estimated to need; by default a quarter of an hour."""
        return Need(seconds=900)

    def spec(self, stage: str, threads: int = 1, shared: str | None = None) -> Callable[[Any], str]:
        """Params function: the identity text of a stage's job, which is all that it depends on beside its inputs.

        shared: a stage that has no domain, by which this one is made.
        """
        return lambda wildcards: spec(
            shared or f"{self.domain}.{stage}",
            self.settings(stage, wildcards),
            root=self.root,
            threads=threads,
            sources=self.sources(stage, wildcards),
            implementations=self.implementations(stage, wildcards),
        )

    def folder(self, stage: str, variant: str) -> str:
        """The folder, below the results root, of what a variant uses of a stage."""
        folder = {"prepare": "prepared"}.get(stage, stage)
        return f"{self.domain}/{folder}/{self.resolved.owner(stage, variant)}"

    def path(self, name: str) -> str:
        """A file of the domain's results."""
        return f"{self.results}/{self.domain}/{name}"

    def files(self, stage: str, variant: str, *names: str) -> list[str]:
        """Files of what a variant uses of a stage."""
        return [f"{self.results}/{self.folder(stage, variant)}/{name}" for name in names]

    def of(self, stage: str, *names: str) -> Callable[[Any], list[str]]:
        """Input function: files of a stage, from the variant that owns them."""
        return lambda wildcards: [path.format(**wildcards) for path in self.files(stage, wildcards.variant, *names)]

    def checkpoint(self, stage: str) -> Callable[[Any], list[str]]:
        """Input function: what it takes to rebuild a stage's network."""
        return self.of(stage, *WEIGHTS)

    def target_stage(self, variant: str) -> str:
        """The last stage of a variant."""
        return "samples"

    def target(self, variant: str) -> list[str]:
        """What a variant is made for."""
        return self.files(self.target_stage(variant), variant, "samples.npz")

    def figures(self, variant: str) -> tuple[str, str | None]:
        """The table that has a variant's figures, and the method whose rows they are, where it has others too."""
        return self.files("samples", variant, "metrics.csv")[0], None

    def owners(self, stage: str) -> str:
        """Wildcard constraint: the variants that have files of their own for a stage."""
        return "|".join(name for name in self.resolved.settings if self.resolved.owner(stage, name) == name)
