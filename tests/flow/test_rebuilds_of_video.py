"""The rebuild matrix of the video pipeline, from shards to metrics.csv and selection.csv."""

import shutil

import pytest
from conftest import append, config

TARGETS = ("results/video/metrics.csv", "results/video/selection.csv")
METHODS = ("teacher_50", "unrefined", "base")
TABLES = {"video_metrics"}
CHOICES = {"video_selection"}


def few(video):
    """As few jobs as show what depends on what."""
    video["data"]["shards"] = {"train": 1, "val": 1, "test": 1}
    video["data"]["codec"]["folder"] = video["base"]["backbone"]["pretrained"] = None
    video["base"]["interpolator"]["pretrained"] = None
    video["base"]["generated"]["shards"] = {"train": 1, "test": 1}
    video["report"] |= {
        "methods": list(METHODS),
        "ladder": [],
        "selectors": ["base"],
        "segment_costs": ["base"],
        "against": "base",
    }


def measured(*methods):
    """A method's samples are made anew, and what is read off them."""
    return {f"{rule} {name}" for rule in ("video_samples", "adherence") for name in methods} | TABLES


PHASE_2 = {"video_refiner base"} | measured("base")
PHASE_1 = {"video_keyframes base", "video_anchors base 00000", "anchors_index base"} | PHASE_2 | measured("unrefined")
GENERATED = {
    f"{rule} base {split}{number}"
    for split in ("train", "test")
    for rule, number in (("generated", " 00000"), ("generated_index", ""))
}
ORACLES = {f"video_oracle base generated_{split}" for split in ("train", "test")}


@pytest.fixture(scope="module")
def with_video(built):
    original = (built.folder / "config.yaml").read_text()
    (built.folder / "config.yaml").write_text(config(few, "video")(original))
    built.snakemake("--quiet", "all", "--", *TARGETS)
    yield built
    (built.folder / "config.yaml").write_text(original)
    shutil.rmtree(built.folder / "results/video")


def code(name):
    return lambda repository: repository.edit(name, append("unused = 1"))


def configured(change):
    return lambda repository: repository.edit("config.yaml", config(change, "video"))


EDITS = {
    "nothing": (lambda repository: None, set()),
    "a comment": (lambda repository: repository.edit("interdiff/video/planner/refiner.py", append("# why")), set()),
    "the tracker": (
        code("interdiff/video/evaluation/tracker.py"),
        {f"adherence {method}" for method in METHODS} | TABLES,
    ),
    "the table": (code("interdiff/video/evaluation/comparison.py"), TABLES),
    "the comparison of selectors": (code("interdiff/video/evaluation/selection.py"), CHOICES),
    "phase 1's stage": (code("stages/video/keyframes.py"), PHASE_1),
    "phase 2's stage": (code("stages/video/refiner.py"), PHASE_2),
    "a method's steps": (
        configured(lambda video: video["variants"]["unrefined"]["sampling"].update(steps=3)),
        measured("unrefined"),
    ),
    "the selector's training": (
        configured(lambda video: video["base"]["selector"]["training"].update(steps=9)),
        {"video_selector base"} | CHOICES | measured("unrefined", "base"),
    ),
    "phase 2's training": (configured(lambda video: video["base"]["refiner"]["training"].update(steps=9)), PHASE_2),
    "the preview's stage": (
        code("stages/video/preview.py"),
        {"video_preview base", "video_selector base"} | CHOICES | measured("unrefined", "base"),
    ),
    "the teacher's clips": (
        configured(lambda video: video["base"]["generated"].update(guidance=2.0)),
        GENERATED | ORACLES | CHOICES | {"video_selector base"} | measured("unrefined", "base"),
    ),
    "a selection among the data's clips": (
        configured(lambda video: video["report"].update(generated=False, selectors=["prompt_only_shards"])),
        CHOICES | {"video_selector prompt_only_shards"},
    ),
    "an oracle of the clips themselves": (
        configured(lambda video: video["report"]["methods"].append("exact_oracle_unrefined")),
        measured("exact_oracle_unrefined"),
    ),
    "a CLIP that looks at clips": (
        configured(lambda video: video["report"].update(clip="clip")),
        {f"content {method}" for method in METHODS} | TABLES,
    ),
    "what is compared": (
        configured(lambda video: video["report"].update(methods=["teacher_50", "base"])),
        TABLES,
    ),
}


@pytest.mark.parametrize(("edit", "expected"), [pytest.param(*cell, id=name) for name, cell in EDITS.items()])
def test_an_edit_makes_anew_exactly(with_video, repository, edit, expected):
    edit(repository)
    assert repository.jobs(*TARGETS) == expected


def test_a_variant_of_phase_2_shares_phase_1(with_video, repository):
    def added(video):
        video["variants"]["softer"] = {"refiner": {"noise": 0.1}}
        video["report"]["methods"].append("softer")

    configured(added)(repository)
    assert repository.jobs(*TARGETS) == {"video_refiner softer"} | measured("softer")


def test_a_pretrained_interpolator_is_calibrated_and_not_trained(with_video, repository):
    def shipped(video):
        video["data"]["codec"]["folder"] = "pretrained/laptop/codec"
        video["variants"]["shipped"] = {"interpolator": {"pretrained": "shipped"}}

    configured(shipped)(repository)
    for name in ("model.safetensors", "config.json", "history.csv"):
        repository.edit(f"shipped/{name}", append("made elsewhere"))
    made = repository.jobs("results/video/interpolator/shipped/model.safetensors")
    assert made == {"clips val 00000", "video_index val", "interpolator shipped"}


@pytest.mark.parametrize(
    ("variant", "made"),
    [
        pytest.param("student_k6", {"distilled_keyframes base", "distilled_refiner base"}, marks=pytest.mark.full),
        pytest.param("student_k4_unrefined", {"distilled_keyframes base"}, marks=pytest.mark.full),
        ("student_k6_sparse", {"distilled_keyframes base", "distilled_refiner student_k6_sparse"}),
        ("unguided_4", {"distilled unguided_8"}),
    ],
)
def test_students_are_made_where_a_method_samples_with_them(with_video, repository, variant, made):
    configured(lambda video: video["report"]["methods"].append(variant))(repository)
    assert repository.jobs(*TARGETS) == made | measured(variant)


def test_the_default_target_makes_no_video(repository):
    code("stages/video/refiner.py")(repository)
    assert repository.jobs() == set()
