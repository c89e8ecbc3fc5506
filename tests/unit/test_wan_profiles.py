"""The profiles of the real size, merged with config.yaml as Snakemake does: what fits Wan, and the card."""

import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from snakemake.utils import update_config

from interdiff.settings import BASE
from interdiff.video.backbone.settings import TuningSettings
from interdiff.workflow.config import load_config
from interdiff.workflow.pipelines import video_sizes
from interdiff.workflow.pipelines.video_attention_pipeline import STUDENTS
from interdiff.workflow.pipelines.video_needs import VideoNeeds
from interdiff.workflow.pipelines.video_pipeline import VideoPipeline

ROOT = Path(__file__).parents[2]
CARD = 80_000
PROFILES = ("wan", "wan-14b")
STAGES = [name for name in dir(VideoNeeds) if not name.startswith("_") and name != "backbone"]
"""But for the training of a backbone, of which these profiles have a published one."""
TUNINGS = ("keyframes", "refiner")
SHARED = ("adapted", *STUDENTS)
"""Further trainings that four cards share."""


def read(path):
    return yaml.safe_load((ROOT / path).read_text())


def merged(profile):
    """The configuration that Snakemake would hand to the Snakefile."""
    values = read("config.yaml")
    for path in read(f"profiles/{profile}/config.yaml")["configfile"]:
        update_config(values, copy.deepcopy(read(path)))
    return load_config(values)


@pytest.fixture(scope="module")
def pipelines():
    configs = {name: merged(name) for name in PROFILES}
    return {name: VideoPipeline(config.video, config.results, ROOT) for name, config in configs.items()}


def gpu_mb(pipeline, stage, variant, gpus=1):
    return pipeline.need(stage, SimpleNamespace(variant=variant), gpus).resources(gpus)["gpu_mb"]


@pytest.mark.parametrize("stage", STAGES)
def test_every_job_of_wan_fits_the_card(pipelines, stage):
    pipeline = pipelines["wan"]
    taken = {name: gpu_mb(pipeline, stage, name) for name in [BASE, "all_weights", *pipeline.reported.methods]}
    assert max(taken.values()) <= CARD, taken


@pytest.mark.parametrize(
    ("stage", "variant", "most"),
    [("keyframes", BASE, 16), ("refiner", BASE, 40), ("keyframes", "all_weights", 76), ("refiner", "all_weights", 76)],
)
def test_trainings_of_wan_take_what_is_promised(pipelines, stage, variant, most):
    assert 3_000 < gpu_mb(pipelines["wan"], stage, variant) <= 1000 * most


def test_the_state_of_wans_low_rank_changes_is_small(pipelines):
    pipeline = pipelines["wan"]
    for stage in TUNINGS:
        settings = getattr(pipeline.resolved.models[BASE], stage).tuning
        size = video_sizes.backbone(pipeline.config.base.backbone, pipeline.data)
        assert settings.kind == "lora"
        assert size.state(settings) <= 200e6


def test_trainings_and_clips_of_the_14b_fit_four_cards(pipelines):
    """But for samples, of other noise too, which hold three networks."""
    pipeline = pipelines["wan-14b"]
    gpus = dict.fromkeys([*SHARED, *(f"video_{stage}" for stage in TUNINGS)], 4)
    asked = read("profiles/wan-14b/config.yaml")
    assert {rule: values["gpu"] for rule, values in asked["set-resources"].items()} == gpus
    assert asked["resources"] == ["gpu=4"]
    for stage in set(STAGES) - {"samples", "other_noise"}:
        assert gpu_mb(pipeline, stage, BASE, 4 if stage in (*TUNINGS, *SHARED) else 1) <= CARD, stage
    size = video_sizes.backbone(pipeline.config.base.backbone, pipeline.data)
    assert size.parameters == pytest.approx(14.29e9, rel=0.001)


@pytest.mark.parametrize("profile", PROFILES)
def test_clips_have_the_shapes_of_the_public_shards(pipelines, profile):
    clip = video_sizes.clip(pipelines[profile].data)
    assert (clip.channels, clip.frames, clip.height, clip.width) == (16, 21, 60, 104)
    assert (clip.rows, clip.text_dim) == (512, 4096)


@pytest.mark.parametrize("profile", PROFILES)
def test_no_value_of_the_laptop_is_left_where_it_would_be_wrong(pipelines, profile):
    pipeline = pipelines[profile]
    laptop = load_config(read("config.yaml")).video
    base, variants = pipeline.config.base, pipeline.resolved
    assert pipeline.config.negative_prompt.startswith("色调艳丽，过曝，静态")
    for stage in TUNINGS:
        training = getattr(base, stage).training
        assert training.muon_learning_rate is None
        assert 1e-5 <= training.learning_rate <= 2e-4
        assert training.batch_size < getattr(laptop.base, stage).training.batch_size
        assert training.batch_size % training.accumulate == 0
        assert (training.mixed_precision, training.compile) == ("bf16", "blocks")
        assert getattr(base, stage).tuning == TuningSettings(kind="lora", rank=8, gradient_checkpointing=True)
        assert training.fsdp == (profile == "wan-14b")
    assert (base.backbone.shift, base.keyframes.shift, base.sampling.shift) == (3.0, 5.0, 5.0)
    guidance = [base.generated.guidance, base.anchors.guidance, base.sampling.guidance]
    assert guidance == [5.0] * 3
    assert base.sampling.k == base.anchors.k == base.refiner.levels[0] == 4
    assert not base.selector.preview
    for name in pipeline.reported.methods:
        own = variants.section("samples", name)
        assert (own["guidance"], own["compile"]) == (5.0, "blocks")
    for name in variants.settings:
        training = variants.section("keyframes", name)["training"]
        assert training["learning_rate"] <= 2e-4, name


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_differ_from_that_of_one_machines_gpus_in_what_they_are_for(profile):
    own, gpu = read(f"profiles/{profile}/config.yaml"), read("profiles/gpu/config.yaml")
    assert own.keys() - gpu.keys() <= {"configfile", "set-resources"}
    assert {key: own[key] for key in gpu if key != "resources"} == {key: gpu[key] for key in gpu if key != "resources"}


JOBS = {
    "the negative": ("negative", BASE, 0),
    "phase 1, LoRA": ("keyframes", BASE, 1),
    "phase 2, LoRA": ("refiner", BASE, 1),
    "phase 1, all weights": ("keyframes", "all_weights", 1),
    "phase 2, all weights": ("refiner", "all_weights", 1),
    "interpolator": ("interpolator", BASE, 1),
    "256 clips": ("generated", BASE, 1),
    "phase 1's outputs": ("anchors", BASE, 1),
    "64 clips by the backbone": ("samples", "teacher_50", 1),
    "64 clips by both": ("samples", BASE, 1),
    "pictures": ("sample_pictures", BASE, 1),
    "student of the backbone": ("distilled", BASE, 1),
    "the same on 4 cards": ("distilled", BASE, 4),
    "the same on 8 cards": ("distilled", BASE, 8),
    "student of phase 1": ("distilled_keyframes", BASE, 1),
    "student of phase 2": ("distilled_refiner", BASE, 1),
}


@pytest.mark.parametrize("job", JOBS)
def test_the_document_has_the_estimates(pipelines, job):
    stage, variant, gpus = JOBS[job]
    (row,) = [line for line in (ROOT / "docs/wan.md").read_text().splitlines() if line.startswith(f"| {job}")]
    asked = pipelines["wan"].need(stage, SimpleNamespace(variant=variant), gpus).resources(gpus)
    memory = [f"{asked[name] / 1000:.1f} GB" if name in asked else "-" for name in ("gpu_mb", "mem_mb")]
    assert [cell.strip() for cell in row.split("|")[2:5]] == [*memory, f"{asked['minutes'] / 60:.1f}"]
