"""The video's sparse attention and students as their rules see them: who samples with them, and what is compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from interdiff.settings import BASE
from interdiff.workflow.pipelines import video_sizes
from interdiff.workflow.pipelines.pipeline import WEIGHTS
from interdiff.workflow.pipelines.video_data_pipeline import VideoDataPipeline
from interdiff.workflow.pipelines.video_stages import samples_settings

STUDENTS = {
    "distilled": "student",
    "distilled_keyframes": "student of phase 1",
    "distilled_refiner": "student of phase 2",
}
"""What distillation makes, by stage."""


class VideoAttentionPipeline(VideoDataPipeline):
    """The stages of attention.csv, and of what else attention costs; and those of students."""

    def samples_with(self, stage: str, variant: str) -> bool:
        """Whether a method samples with the student that a stage makes."""
        sampling = self.section("samples", variant)
        if stage == "distilled":
            return sampling["method"] in ("student", "unguided")
        return stage.removeprefix("distilled_") in sampling["distilled"]

    def student_files(self, stage: str) -> Callable[[Any], list[str]]:
        """Input function: a student, where a method samples with it."""

        def files(wildcards: Any) -> list[str]:
            used = self.samples_with(stage, wildcards.variant)
            return self.files(stage, wildcards.variant, *WEIGHTS) if used else []

        return files

    def distilled_keyframes(self, wildcards: Any) -> Mapping[str, Any]:
        variant = wildcards.variant
        return {
            "student": self.section("distilled_keyframes", variant),
            "keyframes": self.section("keyframes", variant),
        }

    def distilled_refiner(self, wildcards: Any) -> Mapping[str, Any]:
        gaps = self.section("oracle", wildcards.variant)["max_gap_factor"]
        return {"student": self.section("distilled_refiner", wildcards.variant), "max_gap_factor": gaps}

    def adapted_files(self, stage: str) -> Callable[[Any], list[str]]:
        """Input function: the adapted backbone, where a stage's network is made of it, or what a method samples with."""

        def files(wildcards: Any) -> list[str]:
            variant = wildcards.variant
            used = self.samples_adapted(variant) if stage == "samples" else self.section(stage, variant)["adapted"]
            return self.files("adapted", variant, *WEIGHTS) if used else []

        return files

    def samples_adapted(self, variant: str) -> bool:
        """Whether a method samples with the adapted backbone, or with what is made of it."""
        return bool(samples_settings(self.resolved, variant).adapted)

    def dense_teacher(self, variant: str) -> bool:
        """Whether a method is the backbone itself."""
        return self.section("samples", variant)["method"] == "teacher" and self.attention_of(variant)["kind"] == "dense"

    def attention_of(self, variant: str) -> Mapping[str, Any]:
        """Among the tokens of a teacher's clips: as it was adapted to, or as it samples."""
        sampling = self.section("samples", variant)
        own: Mapping[str, Any] = sampling["attention"]
        return self.section("adapted", variant)["tuning"]["attention"] if sampling["adapted"] else own

    def faithfulness(self, wildcards: Any) -> Mapping[str, Any]:
        sampling = self.section("samples", wildcards.variant)
        seed = self.section("generated", wildcards.variant)["seed"]
        return {
            "attention": sampling["attention"],
            "clips": sampling["clips"],
            "batch": sampling["batch"],
            "seed": seed,
        }

    def attention(self, wildcards: Any) -> Mapping[str, Any]:
        rows = []
        for name in self.reported.attention:
            told = self.attention_of(name)
            dense = told["kind"] == "dense"
            rows.append(
                {
                    "kind": told["kind"],
                    "feature_map": None if dense else told["feature_map"],
                    "keep": 1.0 if dense else told["keep"],
                    "adapted": "yes" if self.section("samples", name)["adapted"] else "no",
                    "reuse": self.section("samples", name)["reuse"],
                }
            )
        return {"methods": self.reported.attention, "attention": rows}

    def compared_methods(self, table: str) -> list[str]:
        """The variants behind the rows of a table of the report; of milestone.csv with all their training seeds."""
        names: list[str] = getattr(self.reported, table)
        seeded = table in ("milestone", "diverse")
        return [run for name in names for run in self.resolved.of_all_seeds(name)] if seeded else names

    def milestone(self, wildcards: Any) -> Mapping[str, Any]:
        rows = []
        for name in self.reported.milestone:
            sampling = self.section("samples", name)
            rows.append(
                {
                    "method": name,
                    "runs": self.resolved.of_all_seeds(name),
                    "steps": sampling["steps"],
                    "passes": sampling["refiner_steps"] if sampling["method"] == "two_phase" else None,
                    "attention": self._attention_kind(name),
                }
            )
        owner = self.resolved.owner
        teachers = [
            name for name in self.reported.milestone if self.dense_teacher(name) and owner("backbone", name) == BASE
        ]
        frames = video_sizes.clip(self.data).frames
        return {"rows": rows, "frames": frames, "teachers": teachers, "diverse": self.compared_methods("diverse")}

    def _attention_kind(self, variant: str) -> str | None:
        """Among the tokens of the network that runs last, which is the one on all frames if there is such."""
        sampling = self.section("samples", variant)
        if sampling["method"] == "real":
            return None
        if sampling["method"] == "teacher":
            return str(self.attention_of(variant)["kind"])
        phase = "refiner" if sampling["refiner_steps"] else "keyframes"
        student = f"distilled_{phase}" if phase in sampling["distilled"] else phase
        own = self.section(student if sampling["method"] == "two_phase" else "distilled", variant)
        adapted = self.section("adapted", variant) if own.get("adapted") else own
        return str(adapted["tuning"]["attention"]["kind"])

    def attention_costs(self, wildcards: Any) -> Mapping[str, Any]:
        clip = video_sizes.clip(self.data)
        return {
            "transformer": self.section("backbone", BASE)["transformer"],
            "block": self.section("adapted", BASE)["tuning"]["attention"]["block"],
            **{name: getattr(clip, name) for name in ("height", "width", "rows", "text_dim")},
            "preview": self.section("preview", BASE),
            "sampling": self.section("samples", BASE),
            "counts": self.config.base.oracle.k,
        }

    def profile(self, wildcards: Any) -> Mapping[str, Any]:
        return self.codec_use | {
            "refiner": self.section("refiner", BASE),
            "attention": self.section("adapted", BASE)["tuning"]["attention"],
            "k": self.section("samples", BASE)["k"],
            "clips": self.config.base.profiled_clips,
        }
