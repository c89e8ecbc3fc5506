"""Students of both phases: what they learn, and the clips that two phases make with them."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from test_video_roles import STEPS, moved, settings
from test_video_two_phase import (  # noqa: F401
    CLIPS,
    EMBED,
    FRAMES,
    NOISE,
    SHAPE,
    UNGUIDED,
    B,
    Clips,
    Ideal,
    T,
    backbone,
    seeded,
    two_phase,
)

from interdiff.errors import InputError
from interdiff.learning.costs import counted_flops
from interdiff.settings import validated
from interdiff.video.backbone.flow_matching import Guidance, take_frames
from interdiff.video.backbone.losses import RandomFrames
from interdiff.video.backbone.tuning import learned
from interdiff.video.distillation.roles import Distillation, Roles
from interdiff.video.distillation.sampling import TIMES
from interdiff.video.distillation.settings import PASSES, DistilledKeyframesSettings
from interdiff.video.distillation.times import FilledBatch, FromFilled
from interdiff.video.distillation.trigflow import answering, guided, level_of, mixed
from interdiff.video.evaluation.sampling_costs import sampling_costs
from interdiff.video.interpolators.methods.lerp import lerp
from interdiff.video.planner.forcing import frame_levels
from interdiff.video.planner.losses.corrections import Corrections
from interdiff.video.planner.losses.keyframes import ChosenFrames
from interdiff.video.planner.losses.refiner import nested_masks
from interdiff.video.planner.oracle import line_costs
from interdiff.video.planner.refiner import EXACT, INEXACT, filling_with, flat
from interdiff.video.planner.settings import DistilledRefinerSettings, KeyframesSettings, SamplingSettings
from interdiff.workflow.config import load_config
from interdiff.workflow.pipelines.video_attention_pipeline import STUDENTS
from interdiff.workflow.pipelines.video_pipeline import VideoPipeline

ROOT = Path(__file__).parents[2]


def steps(distillation, roles, count=STEPS):
    """A training by hand; what each step changed."""
    optimizer, generator, changed = torch.optim.Adam(roles.parameters(), lr=1e-3), seeded(), []
    for step in range(count):
        before = {name: tensor.detach().clone() for name, tensor in roles.named_parameters()}
        batch = distillation.draw(generator, step / distillation.settings.training.steps)
        found = distillation.loss(roles, batch)
        optimizer.zero_grad()
        found["loss"].backward()
        optimizer.step()
        after = dict(roles.named_parameters())
        changed.append((batch, found, [role for role in ("student", "critic") if moved(before, after, role)]))
    return changed


@pytest.mark.parametrize("changes", [{}, {"consistency": "discrete"}, {"tuning": {"kind": "lora", "rank": 2}}])
def test_a_student_of_phase_1_learns_from_the_frames_that_phase_1_does(backbone, changes):  # noqa: F811
    told = DistilledKeyframesSettings(**settings(**changes).model_dump(exclude={"frames", "frames_until"}))
    chosen = ChosenFrames(Clips(), {4: FRAMES}, UNGUIDED.negative, KeyframesSettings(mix={"oracle": 1.0}))
    distillation = Distillation(chosen.draw, backbone, UNGUIDED.negative, told)
    roles = Roles(backbone, told)
    for batch, found, _ in steps(distillation, roles):
        assert torch.equal(batch.frames, FRAMES)
        assert torch.equal(batch.data, take_frames(CLIPS, FRAMES))
        assert {made.shape for made in batch.again} == {batch.data.shape}
        assert found["bad"] == 0
    assert all("lora" in name for name in learned(roles.student)) == ("tuning" in changes)


def test_a_students_keyframes_are_those_of_its_steps_without_guidance():
    told = []

    class Seeing(Ideal):
        def forward(self, z, sigma, embed, frames):
            told.append((sigma.unique().item(), frames, len(z)))
            return super().forward(z, sigma, embed, frames)

    both = two_phase(None, keyframes=Seeing(), refiner_steps=0)
    both = replace(both, settings=SamplingSettings(k=4, steps=3, refiner_steps=0, distilled=["keyframes"]))
    sampled = both.sample(NOISE, EMBED, seeded())
    levels = level_of(torch.tensor(TIMES[:3], dtype=torch.float64)).tolist()
    assert [level for level, _, _ in told] == pytest.approx(levels, abs=1e-6)
    assert all(torch.equal(frames, sampled.indices) and count == B for _, frames, count in told)
    torch.testing.assert_close(
        take_frames(sampled.refined, sampled.indices), take_frames(CLIPS, sampled.indices), atol=1e-4, rtol=1e-3
    )


def test_costs_count_students_without_guidance(backbone):  # noqa: F811
    """Three steps on 4 of 9 frames and two passes over all of them, at batch 1."""
    sampling = SamplingSettings(k=4, steps=3, refiner_steps=2, distilled=["keyframes", "refiner"])
    both = replace(two_phase(backbone), settings=sampling, forced=(0.3, 0.8), guidance=Guidance(3.0, UNGUIDED.negative))
    generator = seeded()
    found = sampling_costs(lambda n, e: both.sample(n, e, generator), 1.0, backbone, NOISE, EMBED)
    one, places = torch.ones(1, 1), torch.arange(T)[None]
    few = counted_flops(lambda: backbone(NOISE[:1, :, :4], one, EMBED[:1], FRAMES[:1]))
    full = counted_flops(lambda: backbone(NOISE[:1], one, EMBED[:1], places))
    corrects = counted_flops(lambda: backbone(NOISE[:1], torch.ones(1, T), EMBED[:1], places))
    assert found["full_step_units"] == pytest.approx((3 * few + 2 * corrects) / full, rel=0.01)


def test_more_steps_draw_more_noise_and_one_draws_none():
    drawn = []
    for count in (1, 2):
        sampling = SamplingSettings(k=4, steps=count, refiner_steps=0, distilled=["keyframes"])
        generator = seeded()
        replace(two_phase(None, keyframes=Ideal(), refiner_steps=0), settings=sampling).sample(NOISE, EMBED, generator)
        drawn.append(torch.equal(generator.get_state(), seeded().get_state()))
    assert drawn == [True, False]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 5}, r"sampling\.distilled: a student takes 1 to 4 steps and guidance 1"),
        ({"guidance": 2.0}, r"sampling\.distilled: a student takes 1 to 4 steps and guidance 1"),
        ({"distilled": ["refiner"], "refiner_steps": 3}, r"sampling\.refiner_steps: expected 1 to 2 for phase 2's"),
        ({"distilled": ["refiner"], "refiner_steps": 0}, r"sampling\.refiner_steps: expected 1 to 2 for phase 2's"),
        ({"method": "teacher"}, r"sampling\.distilled: expected no phases with method teacher"),
    ],
)
def test_students_of_phases_are_sampled_as_they_learned(values, message):
    with pytest.raises(InputError, match=message):
        validated(SamplingSettings, {"distilled": ["keyframes"], **values}, "sampling")


def test_guidance_alone_is_learned_as_the_guided_velocity(backbone):  # noqa: F811
    told = settings(consistency="guidance", matching_weight=0.0)
    task = Distillation(RandomFrames(Clips(), UNGUIDED.negative, told).draw, backbone, UNGUIDED.negative, told)
    roles = Roles(backbone, told)
    assert roles.critic is None
    batch = task.draw(seeded(), 0.5)
    at = batch.moments.t
    x = mixed(batch.data, batch.noise, at)
    away = guided(backbone, EMBED, batch.frames, Guidance(told.guidance, UNGUIDED.negative))(x, at) - answering(
        backbone, EMBED, batch.frames
    )(x, at)
    found = task.loss(roles, batch)
    torch.testing.assert_close(found["consistency"], away.square().mean(), rtol=1e-3, atol=1e-7)
    losses = [float(found["consistency"]) for _, found, _ in steps(task, roles, 12)]
    assert losses[-1] < losses[0]


@pytest.fixture(scope="module")
def pipeline():
    config = load_config(yaml.safe_load((ROOT / "config.yaml").read_text()))
    return VideoPipeline(config.video, "results", ROOT)


def test_rules_read_the_students_that_a_method_samples_with(pipeline):
    def used(variant):
        files = {stage: pipeline.student_files(stage)(SimpleNamespace(variant=variant)) for stage in STUDENTS}
        return {stage: found[0].split("/")[3] for stage, found in files.items() if found}

    assert used("base") == used("teacher_4") == {}
    assert used("student_2") == {"distilled": "base"}
    assert used("unguided_4") == {"distilled": "unguided_8"}
    assert used("student_k4_unrefined") == {"distilled_keyframes": "base"}
    assert used("student_k8") == {"distilled_keyframes": "base", "distilled_refiner": "base"}
    assert used("student_k6_sparse") == {"distilled_keyframes": "base", "distilled_refiner": "student_k6_sparse"}
    told = pipeline.samples(SimpleNamespace(variant="student_k6"))
    assert told["forced"] == (0.3, 0.8)
    assert told["adapted"] == []


def test_the_milestone_is_told_what_its_methods_are(pipeline):
    told = pipeline.milestone(SimpleNamespace())
    rows = {row["method"]: (row["steps"], row["passes"], row["attention"]) for row in told["rows"]}
    assert rows["teacher_50"] == (50, None, "dense")
    assert rows["student_1"] == (1, None, "dense")
    assert rows["student_k6_two_passes"] == (4, 2, "dense")
    assert rows["student_k6_unrefined"] == (4, 0, "dense")
    assert rows["student_k6_sparse"] == (4, 1, "sla")
    assert told["teachers"] == [f"teacher_{steps}" for steps in (50, 8, 4, 2, 1)] + ["teacher_3_unguided"]
    needs = [pipeline.need(table, SimpleNamespace(), 0) for table in ("metrics", "tuning", "attention", "milestone")]
    assert needs == needs[:1] * 4
    other = pipeline.other_noise(SimpleNamespace(variant="student_4"))
    assert other == pipeline.samples(SimpleNamespace(variant="student_4")) | {"seed": other["seed"]}
    assert other["seed"] != pipeline.samples(SimpleNamespace(variant="student_4"))["seed"]
    assert pipeline.compared_methods("milestone") == [name for row in told["rows"] for name in row["runs"]]


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"sampling": {"method": "unguided", "guidance": 1.0}}, r"wrong\.distilled\.consistency: expected guidance"),
        (
            {
                "sampling": {"distilled": ["keyframes"], "guidance": 1.0},
                "distilled_keyframes": {"consistency": "guidance", "matching_weight": 0.0},
            },
            r"wrong\.distilled_keyframes\.consistency: expected continuous or discrete",
        ),
        (
            {"distilled": {"consistency": "guidance"}},
            r"distilled\.matching_weight: expected 0 with consistency: guidance",
        ),
        (
            {"sampling": {"distilled": ["keyframes"], "guidance": 1.0}, "keyframes": {"adapted": True}},
            r"wrong\.distilled_keyframes\.consistency: expected discrete for phase 1's sparse attention",
        ),
        ({"distilled_refiner": {"tuning": {"attention": {"kind": "sla"}}}}, "expected discrete with sparse attention"),
    ],
)
def test_what_students_learn_is_what_they_are_sampled_with(variant, message):
    with pytest.raises(InputError, match=message):
        load_config({"video": {"variants": {"wrong": variant}}})


def corrections(**changes):
    told = settings(**changes).model_dump(exclude={"frames", "frames_until"})
    told = DistilledRefinerSettings(**told, levels=[4], replace_probability=0.5)
    clips = Clips(frames=FRAMES[:, None], keyframes=take_frames(CLIPS, FRAMES)[:, None] + 0.3)
    return Corrections(clips, nested_masks(line_costs(CLIPS), (4,), 3.0), lerp, told)


@pytest.mark.parametrize("changes", [{}, {"consistency": "discrete"}, {"consistency_weight": 0.0, "warm_steps": 0}])
def test_a_student_of_phase_2_learns_from_where_sampling_starts(backbone, changes):  # noqa: F811
    drawn = corrections(**changes)
    distillation = Distillation(drawn.draw, backbone, UNGUIDED.negative, drawn.settings)
    changed = steps(distillation, Roles(backbone, drawn.settings), 6)
    mask = torch.zeros(B, T, dtype=torch.bool).scatter(1, FRAMES, True)
    for batch, found, roles in changed:
        assert torch.equal(batch.data, CLIPS)
        start = level_of(batch.steps[0])
        assert set(start[mask].round(decimals=4).tolist()) <= {EXACT, INEXACT}
        assert (start[~mask] >= 0.3 - 1e-6).all()
        assert (level_of(batch.moments.t) <= start + 1e-6).all()
        assert found["loss"].isfinite()
        assert roles == (["student"] if batch.student else ["critic"])
    assert any(found["matching"] > 0 for _, found, _ in changed)
    assert all(found["consistency"] == 0 for _, found, _ in changed) == ("consistency_weight" in changes)


def test_all_frames_go_the_same_share_of_their_way():
    level = torch.rand(B, T, generator=seeded(4)) * 0.7 + 0.1
    batch = FilledBatch(CLIPS, NOISE, level, EMBED, torch.arange(T).expand(B, -1), CLIPS)
    told = DistilledRefinerSettings()
    found = FromFilled(batch, told).moments(seeded())
    share = level_of(found.t) / level
    torch.testing.assert_close(share, share[:, :1].expand(-1, T))
    by = 1e-6
    ways = [torch.atan2((share + way) * level, 1 - (share + way) * level) for way in (by, -by)]
    rate = (ways[0] - ways[1]) / (2 * by)
    torch.testing.assert_close(found.onward, rate / rate.amax(1, keepdim=True), atol=1e-6, rtol=1e-6)
    discrete = told.model_copy(update={"consistency": "discrete", "discrete_times": 2})
    moments = [FromFilled(batch, discrete).moments(seeded(n)) for n in range(8)]
    shares = torch.cat([torch.cat([level_of(each) / level for each in (m.t, m.onward)], 1) for m in moments])
    found = {tuple(row) for row in shares[:, [0, -1]].double().round(decimals=6).tolist()}
    assert found == {(1.0, 0.5), (0.5, 0.0)}


@pytest.mark.parametrize("passes", range(1, PASSES + 1))
def test_a_student_corrects_filled_clips_from_the_levels_of_their_frames(passes):
    told = []

    class Seeing(Ideal):
        def forward(self, z, sigma, embed, frames):
            told.append((z, sigma))
            return super().forward(z, sigma, embed, frames)

    sampling = SamplingSettings(k=4, steps=2, refiner_steps=passes, distilled=["refiner"])
    both = replace(two_phase(Ideal(), keyframes=Ideal()), settings=sampling, refiner=Seeing(), forced=(0.3, 0.8))
    sampled = both.sample(NOISE, EMBED, seeded())
    torch.testing.assert_close(sampled.refined, CLIPS, atol=1e-3, rtol=1e-3)
    mask = torch.zeros(B, T, dtype=torch.bool).scatter(1, sampled.indices, True)
    filled, deviation = filling_with(lerp, SHAPE)(flat(sampled.interpolated), mask)
    level = frame_levels(deviation, mask, torch.zeros(B, dtype=torch.bool), (0.3, 0.8))
    start = torch.lerp(filled, flat(NOISE), level)
    torch.testing.assert_close(flat(told[0][0]), start, atol=1e-4, rtol=1e-3)
    assert len(told) == passes
    for number, (_, sigma) in enumerate(told):
        torch.testing.assert_close(sigma, level[..., 0] * (passes - number) / passes)
