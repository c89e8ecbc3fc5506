"""The video pipeline as its rules see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from interdiff.keyframes.gaps import max_gap
from interdiff.settings import BASE
from interdiff.video.interpolators.settings import IN_PIXELS, LEARNED
from interdiff.workflow.pipelines.needs import Need
from interdiff.workflow.pipelines.pipeline import WEIGHTS
from interdiff.workflow.pipelines.video import VideoSettings
from interdiff.workflow.pipelines.video_attention_pipeline import STUDENTS, VideoAttentionPipeline
from interdiff.workflow.pipelines.video_needs import VideoNeeds
from interdiff.workflow.pipelines.video_stages import cost_levels, learned_clips, samples_settings


class VideoPipeline(VideoAttentionPipeline):
    """The video's stages."""

    def figures(self, variant: str) -> tuple[str, str | None]:
        """Its row of metrics.csv."""
        return self.path("metrics.csv"), variant

    def need(self, stage: str, wildcards: Any, gpus: int) -> Need:
        """What a job is estimated to need, by its sizes."""
        settings = self.resolved.models[getattr(wildcards, "variant", BASE)]
        assert isinstance(settings, VideoSettings)
        own: Callable[[], Need] | None = getattr(VideoNeeds(self.config, settings, gpus), stage, None)
        return own() if own else super().need(stage, wildcards, gpus)

    def uses(self, stage: str, wildcards: Any) -> Sequence[tuple[str, str]]:
        """Pictures of interpolators read those of several variants, and an oracle that of the variant it names; other noise
        makes samples.
        """
        if stage == "interpolation_pictures":
            return [("interpolator", name) for name in self.reported.interpolators if name not in IN_PIXELS]
        if stage == "other_noise":
            return [("samples", wildcards.variant)]
        of = self.section("oracle", wildcards.variant)["of"] if stage == "oracle" else None
        return [*super().uses(stage, wildcards), *([("interpolator", of)] if of else [])]

    def sources(self, stage: str, wildcards: Any) -> Sequence[str]:
        """The LoRA that a tuned network starts from, and the weights that a backbone starts from."""
        if stage == "backbone" and (start := self.section(stage, wildcards.variant)["start"]):
            return [f"{start}/{WEIGHTS[0]}"]
        tunes = stage in ("adapted", "keyframes", "refiner", *STUDENTS)
        start = self.section(stage, wildcards.variant)["tuning"]["start"] if tunes else None
        return [start] if start else super().sources(stage, wildcards)

    def implementations(self, stage: str, wildcards: Any) -> list[str]:
        """Also what no setting chooses: what spreads the errors of anchors, and the report's contents."""
        spread = "interdiff.two_phase.interpolators.linear"
        fixed = {"refiner": spread, "distilled_refiner": spread, "report": "interdiff.workflow.report.video"}
        return sorted({*super().implementations(stage, wildcards), *([fixed[stage]] if stage in fixed else [])})

    def backbone_of(self, variant: str) -> list[str]:
        """A variant's backbone: its checkpoint, or a folder of Wan in diffusers' layout and a LoRA from elsewhere."""
        backbone = self.section("backbone", variant)
        folder, lora = backbone["pretrained"], backbone["lora"]
        if folder is None:
            return self.files("backbone", variant, *WEIGHTS)
        weights = sorted(str(path) for path in Path(folder).glob("*.safetensors"))
        return [f"{folder}/config.json", *weights, *([lora] if lora else [])]

    def clips_index(self, wildcards: Any) -> list[str]:
        """Input function: the index of a split's clips, or of those that the backbone made of its prompts."""
        split = wildcards.clips.removeprefix("generated_")
        if split == wildcards.clips:
            return [self.path(f"index/{split}.npz")]
        return self.files("generated", wildcards.variant, f"{split}.npz")

    def generated_shards(self, wildcards: Any) -> list[str]:
        """Input function: the shards of the backbone's clips of a split."""
        count = self.section("generated", wildcards.variant)["shards"][wildcards.split]
        folder = self.path(f"generated/{wildcards.variant}/{wildcards.split}")
        return [f"{folder}/{number:05d}.tar" for number in range(count)]

    def anchor_shards(self, wildcards: Any) -> list[str]:
        """Input function: phase 1's outputs for the clips that phase 2 learns from."""
        anchors = self.section("anchors", wildcards.variant)
        made = anchors["source"] == "generated"
        there = (
            self.section("generated", wildcards.variant)["shards"]
            if made
            else {"train": self.data.shard_count("train")}
        )
        folder = self.path(f"anchors/{wildcards.variant}")
        return [f"{folder}/{number:05d}.tar" for number in range(min(anchors["shards"], there["train"]))]

    def learned_index(self, stage: str) -> Callable[[Any], list[str]]:
        """Input function: the index of the clips that a stage learns from."""

        def index(wildcards: Any) -> list[str]:
            if learned_clips(self.resolved, stage, wildcards.variant) == "train":
                return [self.path("index/train.npz")]
            return self.files("generated", wildcards.variant, "train.npz")

        return index

    def learned_oracle(self, stage: str) -> Callable[[Any], list[str]]:
        """Input function: their oracle."""

        def oracle(wildcards: Any) -> list[str]:
            clips = learned_clips(self.resolved, stage, wildcards.variant)
            return self.files("oracle", wildcards.variant, f"{clips}.npz")

        return oracle

    def report(self, wildcards: Any) -> Mapping[str, Any]:
        return {"domain": "video"}

    def renders(self, stage: str, variant: str) -> bool:
        """Whether a variant's backbone or interpolator learns from clips that are rendered as they are needed."""
        section = self.section(stage, variant)
        return section["clips"] == "rendered" and not section["pretrained"]

    def backbone(self, wildcards: Any) -> Mapping[str, Any]:
        return self._learning("backbone", wildcards.variant, self.data.text.model_dump())

    def interpolator(self, wildcards: Any) -> Mapping[str, Any]:
        return self._learning("interpolator", wildcards.variant, None)

    def _learning(self, stage: str, variant: str, text: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """A network's settings, and how clips are rendered for it."""
        rendered = self.codec_use | {"clips": self.data.clips.model_dump(), "text": text}
        return {stage: self.section(stage, variant), "rendered": rendered if self.renders(stage, variant) else None}

    def generated_index(self, wildcards: Any) -> Mapping[str, Any]:
        return {"kind": "generated", "partial": False}

    def generated(self, wildcards: Any) -> Mapping[str, Any]:
        return {
            "generated": self.section("generated", wildcards.variant),
            "shift": self.section("backbone", wildcards.variant)["shift"],
            "split": wildcards.split,
            "number": int(wildcards.number),
        }

    def anchors(self, wildcards: Any) -> Mapping[str, Any]:
        return {
            "anchors": self.section("anchors", wildcards.variant),
            "seed": self.section("keyframes", wildcards.variant)["training"]["seed"],
            "number": int(wildcards.number),
        }

    def anchors_index(self, wildcards: Any) -> Mapping[str, Any]:
        return {"kind": "anchors", "partial": self.section("anchors", wildcards.variant)["partial"]}

    def refiner(self, wildcards: Any) -> Mapping[str, Any]:
        return {
            "refiner": self.section("refiner", wildcards.variant),
            "max_gap_factor": self.section("oracle", wildcards.variant)["max_gap_factor"],
        }

    def cost_targets(self, wildcards: Any) -> Mapping[str, Any]:
        costs = self.section("segment_cost", wildcards.variant)
        oracle = self.section("oracle", wildcards.variant)
        return {
            "clips": costs["clips"],
            "pairs": costs["pairs"],
            "longest": max_gap(self.data.clips.latent_frames, min(oracle["k"]), oracle["max_gap_factor"]),
            "shift": self.section("backbone", wildcards.variant)["shift"],
            "seed": costs["training"]["seed"],
        }

    def selector(self, wildcards: Any) -> Mapping[str, Any]:
        selector = self.section("selector", wildcards.variant)
        labelled = selector["labels"] == "segment_cost"
        return {"selector": selector, "cost_levels": cost_levels(self.resolved, wildcards.variant) if labelled else []}

    def samples(self, wildcards: Any) -> Mapping[str, Any]:
        return samples_settings(self.resolved, wildcards.variant).model_dump()

    def other_noise(self, wildcards: Any) -> Mapping[str, Any]:
        told = self.samples(wildcards)
        return {**told, "seed": told["seed"] + 1}

    def adherence(self, wildcards: Any) -> Mapping[str, Any]:
        return self.codec_use

    def content(self, wildcards: Any) -> Mapping[str, Any]:
        return self.codec_use

    def metrics(self, wildcards: Any) -> Mapping[str, Any]:
        methods = self.reported.methods
        return {
            "methods": methods,
            "steps": [self.section("samples", method)["steps"] for method in methods],
            "exact": self.reported.exact,
            "ladder": self.reported.ladder,
            "reference": self.reported.against,
        }

    def tuning(self, wildcards: Any) -> Mapping[str, Any]:
        methods = self.reported.tuning
        return {
            "methods": methods,
            "changed": [self._changed(name) for name in methods],
            "kinds": [self.section("samples", name)["method"] for name in methods],
        }

    def _changed(self, variant: str) -> str:
        """What a variant's sampling changes in its parent's, but the split."""
        own = self.section("samples", variant)
        parent = self.section("samples", self.resolved.parents.get(variant, BASE))
        changed = {key: value for key, value in own.items() if value != parent[key] and key not in ("split", "clips")}
        return ", ".join(f"{key} {value}" for key, value in changed.items())

    def selection(self, wildcards: Any) -> Mapping[str, Any]:
        return {
            "k": self.section("oracle", self.reported.costs)["k"],
            "selectors": self.reported.selectors,
            "segment_costs": self.reported.segment_costs,
            "cost_levels": [cost_levels(self.resolved, name) for name in self.reported.segment_costs],
        }

    def methods_of(self, kind: str) -> list[str]:
        """The methods of metrics.csv of a kind: teacher, student, two_phase or real."""
        return [name for name in self.reported.methods if self.section("samples", name)["method"] == kind]

    def looks(self, variant: str) -> bool:
        """Whether a variant's selector looks at the noise."""
        return self.section("selector", variant)["preview"]

    def trained(self) -> dict[str, tuple[str, str]]:
        """The networks behind metrics.csv and selection.csv, once each: stage and owner by what they are."""
        report, section = self.reported, self.section
        own = [name for name in report.methods if not section("backbone", name)["pretrained"]]
        wanted = [("backbone", "backbone", name) for name in own]
        wanted += [("adapted", "adapted backbone", name) for name in report.methods if self.samples_adapted(name)]
        wanted += [
            (stage, label, name)
            for stage, label in STUDENTS.items()
            for name in report.methods
            if self.samples_with(stage, name)
        ]
        wanted += [("keyframes", "phase 1", name) for name in report.tunings]
        wanted += [("refiner", "phase 2", name) for name in self.methods_of("two_phase")]
        wanted += [("segment_cost", "D_phi", name) for name in report.segment_costs]
        wanted += [("preview", "preview", name) for name in report.selectors if self.looks(name)]
        wanted += [("selector", "selector", name) for name in report.selectors]
        owners = [(stage, network, self.resolved.owner(stage, name)) for stage, network, name in wanted]
        return {f"{network}: {owner}": (stage, owner) for stage, network, owner in owners}

    def sample_pictures(self, wildcards: Any) -> Mapping[str, Any]:
        methods = self.reported.methods
        return self.codec_use | {
            "methods": methods,
            "teachers": [name for name in methods if self.dense_teacher(name)],
            "priced": [name for name in methods if self.section("samples", name)["exact"] == "nothing"],
            "ladder": self.reported.ladder,
            "drawn": BASE,
            "networks": list(self.trained()),
        }

    def interpolation(self, wildcards: Any) -> Mapping[str, Any]:
        clips = self.config.interpolation.clips
        return self.codec_use | {"masks": self.config.masks.model_dump(), "clips": clips}

    def interpolators(self, wildcards: Any) -> Mapping[str, Any]:
        return {
            "methods": self.compared_interpolators(wildcards.table),
            "reference": self.reported.reference,
            "split": self.config.interpolation.split,
        }

    def compared_interpolators(self, table: str) -> list[str]:
        """The methods of interpolators.csv, or of interpolator_ablations.csv: after the reference, once each."""
        if table == "interpolators":
            return self.reported.interpolators
        return list(dict.fromkeys([self.reported.reference, *self.reported.ablations]))

    def trained_interpolators(self) -> dict[str, tuple[str, str]]:
        """The networks behind the compared interpolators: stage and owner by name; some share one, and some have none."""
        found: dict[tuple[str, str], str] = {}
        for name in self.reported.interpolators:
            if name in IN_PIXELS:
                continue
            settings = self.section("interpolator", name)
            if settings["straightened"]:
                known = "straightener" in found.values()
                made = ("straightener", self.resolved.owner("straightener", name))
                found.setdefault(made, f"straightener of {name}" if known else "straightener")
            if settings["method"] in LEARNED:
                found.setdefault(("interpolator", self.resolved.owner("interpolator", name)), name)
        return {name: made for made, name in found.items()}

    def interpolation_pictures(self, wildcards: Any) -> Mapping[str, Any]:
        return self.codec_use | {
            "methods": self.reported.interpolators,
            "reference": self.reported.reference,
            "drawn": self.reported.drawn,
            "networks": list(self.trained_interpolators()),
            "masks": self.config.masks.model_dump(),
        }
