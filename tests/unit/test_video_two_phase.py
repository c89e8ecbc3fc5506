import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanAttnProcessor

from interdiff.errors import InputError
from interdiff.keyframes.dynamic_programming import optimal_indices
from interdiff.learning.checkpoints import CONFIG, MODEL, save_checkpoint
from interdiff.learning.costs import counted_flops
from interdiff.learning.settings import BlockwiseTrainingSettings
from interdiff.learning.training import Objective
from interdiff.settings import validated
from interdiff.two_phase.interpolation import place_keyframes
from interdiff.video.backbone.backbone import build_backbone, transformer_config
from interdiff.video.backbone.flow_matching import (
    Guidance,
    drop_prompts,
    euler,
    even_levels,
    noisy,
    shifted,
    take_frames,
    unipc,
)
from interdiff.video.backbone.losses import flow_matching_loss, random_frames
from interdiff.video.backbone.settings import TransformerSettings
from interdiff.video.evaluation.sampling_costs import sampling_costs
from interdiff.video.interpolators.interpolator import fill
from interdiff.video.interpolators.methods.lerp import lerp
from interdiff.video.planner.choosers import by_selector, seen_costs, without_looking
from interdiff.video.planner.keyframes import keyframes_again, sample_keyframes
from interdiff.video.planner.losses.keyframes import ChosenFrames
from interdiff.video.planner.losses.preview import Looks, preview_loss
from interdiff.video.planner.losses.refiner import FilledClips, energy_loss, nested_masks, root_mean_square
from interdiff.video.planner.oracle import line_costs
from interdiff.video.planner.preview import Preview, build_preview, load_preview
from interdiff.video.planner.refiner import EXACT, INEXACT, filling_with, flat, noise_levels, refined
from interdiff.video.planner.selector import VideoSelector
from interdiff.video.planner.settings import KeyframesSettings, RefinerSettings, SamplingSettings
from interdiff.video.planner.two_phase import TwoPhase

B, T, DIM = 4, 9, 12
SHAPE = (16, 4, 4)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


CLIPS = torch.randn(B, 16, T, 4, 4, generator=seeded())
NOISE = torch.randn(B, 16, T, 4, 4, generator=seeded(1))
EMBED = torch.randn(B, 5, DIM, generator=seeded(2))
FRAMES = torch.tensor([[0, 2, 5, 8], [0, 1, 4, 8], [0, 3, 6, 8], [0, 4, 7, 8]])
ALL = torch.arange(T).expand(B, -1)
UNGUIDED = Guidance(1, torch.zeros(5, DIM))


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    settings = TransformerSettings(num_layers=1, num_attention_heads=2, attention_head_dim=16, ffn_dim=32)
    model = build_backbone(**transformer_config(settings, DIM))
    torch.nn.init.normal_(model.transformer.proj_out.weight, std=0.05)
    return model.eval().requires_grad_(False)


class Ideal(torch.nn.Module):
    """Knows the clip: its velocity leads from any noise to it."""

    def forward(self, z, sigma, embed, frames):
        return (z - take_frames(CLIPS[: len(z)], frames)) / sigma[:, None, :, None, None]


def test_levels_are_even_before_they_are_shifted():
    assert even_levels(4, 1.0) == pytest.approx([1, 0.75, 0.5, 0.25, 0])
    assert even_levels(2, 3.0) == pytest.approx([1, 0.75, 0])
    later = even_levels(2, 3.0, start=0.75)
    assert later == pytest.approx([0.75, float(shifted(torch.tensor(0.25), 3.0)), 0])


@pytest.mark.parametrize("solve", [lambda v: euler(v, NOISE, even_levels(3, 3.0)), lambda v: unipc(v, NOISE, 4, 3.0)])
def test_solvers_follow_a_straight_flow_to_its_end(solve):
    """With velocity noise - data everywhere on the line, any number of steps arrives at the data."""
    torch.testing.assert_close(solve(lambda z, sigma: NOISE - CLIPS), CLIPS, atol=1e-4, rtol=1e-3)


def test_solvers_are_told_the_level_that_frames_are_at():
    def velocity(z, level):
        torch.testing.assert_close(z, noisy(CLIPS, NOISE, torch.full((B, 1), level)), atol=1e-4, rtol=1e-3)
        return NOISE - CLIPS

    euler(velocity, NOISE, even_levels(5, 3.0))
    unipc(velocity, NOISE, 5, 3.0)


def test_a_share_of_prompts_is_dropped():
    embed, negative = torch.ones(1000, 5, DIM), torch.zeros(5, DIM)
    dropped = drop_prompts(embed, negative, 0.3, seeded()).mean((1, 2))
    assert set(dropped.tolist()) == {0.0, 1.0}
    assert dropped.mean() == pytest.approx(0.7, abs=0.05)
    assert torch.equal(drop_prompts(embed, negative, 0.0, seeded()), embed)


def test_guidance_leads_away_from_the_negative_prompt():
    def model(z, sigma, embed, frames):
        return embed.mean((1, 2))[:, None, None, None, None].expand_as(z)

    negative = torch.full((5, DIM), -1.0)
    velocity = Guidance(3.0, negative).velocity(model, torch.full((B, 5, DIM), 2.0), ALL)
    assert (velocity(NOISE, 1.0) == -1 + 3 * 3).all()
    velocity = Guidance(3.0, negative, below=0.9).velocity(model, torch.full((B, 5, DIM), 2.0), ALL)
    assert (velocity(NOISE, 0.95) == 2).all()
    assert (velocity(NOISE, 0.85) == -1 + 3 * 3).all()


def test_phase_1_samples_the_frames_it_is_asked_for():
    made = sample_keyframes(Ideal(), take_frames(NOISE, FRAMES), EMBED, FRAMES, even_levels(3, 3.0), UNGUIDED)
    torch.testing.assert_close(made, take_frames(CLIPS, FRAMES), atol=1e-4, rtol=1e-3)


def test_the_fewer_steps_are_left_the_nearer_phase_1_stays(backbone):
    off = [
        (
            keyframes_again(backbone, CLIPS, NOISE, EMBED, FRAMES, even_levels(3, 3.0, start), UNGUIDED)
            - take_frames(CLIPS, FRAMES)
        )
        .square()
        .mean()
        for start in (0.1, 0.5, 1.0)
    ]
    assert 0 < off[0] < off[1] < off[2]


class Clips:
    """Batches of the same clips."""

    def __init__(self, **columns):
        self.columns = {"latent": CLIPS, "embed": EMBED, "row": torch.arange(B)} | columns

    def batch(self, done):
        return self.columns


def test_phase_1_learns_the_way_from_the_noise_that_clips_came_from():
    """A network that knows both has no loss with the kept noise, and has one without."""
    settings = KeyframesSettings(training=BlockwiseTrainingSettings(batch_size=B))

    def model(z, sigma, embed, frames):
        return take_frames(NOISE - CLIPS, frames)

    best = {4: FRAMES}

    def loss(clips):
        frames = ChosenFrames(clips, best, UNGUIDED.negative, settings)
        return Objective(frames.draw, flow_matching_loss)(model, seeded(), 0.0)["loss"]

    assert loss(Clips(noise=NOISE)) < 1e-8
    assert loss(Clips()) > 0.1


def test_frames_are_drawn_in_order_without_repeating():
    frames = random_frames(50, T, 5, seeded(), torch.device("cpu"))
    assert (frames.diff(dim=1) > 0).all()
    assert frames.min() == 0
    assert frames.max() == T - 1


def test_filling_sequences_is_filling_clips():
    mask = torch.zeros(B, T, dtype=torch.bool).scatter(1, FRAMES, True)
    filled, deviation = filling_with(lerp, SHAPE)(flat(CLIPS), mask)
    z, error = fill(CLIPS, mask, lerp)
    assert torch.equal(filled, flat(z))
    assert torch.equal(deviation[..., :16], error.flatten(2))
    assert (deviation[mask] == 0).all()


def test_the_level_of_a_place_is_what_is_expected_of_it():
    mask = torch.zeros(2, T, dtype=torch.bool)
    mask[:, [0, -1]] = True
    deviation = torch.linspace(0.1, 0.5, 8).expand(2, T, -1)
    levels = noise_levels(deviation, mask, torch.tensor([True, False]))
    assert (levels[0, 0] == EXACT).all()
    assert (levels[1, 0] == INEXACT).all()
    assert torch.allclose(levels[:, 1:-1], deviation[:, 1:-1])


def test_what_is_sure_stays_and_a_frame_counts_as_the_mean_of_its_places():
    told = []

    def model(z, sigma, embed, frames):
        told.append(sigma)
        return torch.ones_like(z)

    level = torch.zeros_like(flat(CLIPS))
    level[:, 3, :32] = 0.8
    moved = flat(CLIPS) - refined(model, flat(CLIPS), level, EMBED, SHAPE)
    torch.testing.assert_close(moved, level)
    assert told[0][0, 3] == pytest.approx(0.8 * (32 / level.shape[-1]) ** 0.5)


def test_masks_of_training_hold_the_keyframes_and_are_of_every_level():
    masks = nested_masks(line_costs(CLIPS), (4, 6, 8), 3.0)
    drawn = [masks(torch.arange(B), FRAMES, seeded(n)) for n in range(20)]
    assert all(mask.gather(1, FRAMES).all() for mask in drawn)
    assert {int(count) for mask in drawn for count in mask.sum(1)} == {4, 6, 8}


def test_the_refiners_loss_is_that_of_what_it_makes(backbone):
    clips = Clips(frames=FRAMES[:, None], keyframes=take_frames(CLIPS, FRAMES)[:, None] + 0.3)
    masks = nested_masks(line_costs(CLIPS), (4,), 3.0)

    class Silent(torch.nn.Module):
        def forward(self, z, sigma, embed, frames):
            return torch.zeros_like(z)

    def scalars(noise):
        settings = RefinerSettings(levels=[4], replace_probability=1.0, noise=noise)
        return Objective(FilledClips(clips, masks, lerp, settings).draw, energy_loss)(Silent(), seeded(), 0.0)

    still, noises = scalars(0.0), scalars(0.5)
    known, _ = place_keyframes(flat(clips.batch(0.0)["keyframes"][:, 0]), FRAMES, T)
    mask = torch.zeros(B, T, dtype=torch.bool).scatter(1, FRAMES, True)
    error = filling_with(lerp, SHAPE)(known, mask)[0] - flat(CLIPS)
    torch.testing.assert_close(still["loss"], error.square().mean((1, 2)).sqrt().mean())
    assert float(still["spread"]) == 0
    assert float(noises["spread"]) > 0.1
    torch.testing.assert_close(noises["error"], noises["before"])
    torch.testing.assert_close(noises["loss"], noises["error"] - noises["spread"] / 2)


def test_the_refiners_loss_has_a_gradient_before_draws_differ():
    x = torch.zeros(2, 3, 4, requires_grad=True)
    root_mean_square(x).sum().backward()
    assert x.grad.isfinite().all()


def two_phase(backbone, keyframes=None, **settings):
    cost = line_costs(CLIPS)
    sampling = SamplingSettings(steps=2, **settings)
    return TwoPhase(
        k=4,
        choose=without_looking("fixed", cost, 3.0, 0),
        keyframes=keyframes or backbone,
        interpolator=lerp,
        refiner=backbone if sampling.refiner_steps else None,
        guidance=UNGUIDED,
        settings=sampling,
        levels=(4, 6),
        max_gap_factor=3.0,
        trained_noise=0.5,
    )


@pytest.mark.parametrize("passes", [0, 1, 2])
def test_both_phases_end_to_end(backbone, passes):
    sampled = two_phase(backbone, keyframes=Ideal(), refiner_steps=passes).sample(NOISE, EMBED, seeded())
    anchors, mask = place_keyframes(flat(take_frames(CLIPS, sampled.indices)), sampled.indices, T)
    expected, _ = fill(anchors.unflatten(2, SHAPE).movedim(2, 1), mask, lerp)
    torch.testing.assert_close(sampled.interpolated, expected, atol=1e-4, rtol=1e-3)
    assert torch.equal(sampled.refined, sampled.interpolated) == (passes == 0)


def test_phase_1_goes_on_from_what_a_look_shows():
    """By the straight line from there to the noise, whose velocity a network that knows the clips gives."""
    both = two_phase(Ideal(), refiner_steps=0, start=0.5)
    looked = replace(both, choose=lambda noise, embed: replace(both.choose(noise, embed), seen=CLIPS))
    steps = []
    made = looked.sample(NOISE, EMBED, seeded(), after=lambda z: steps.append(z) or z)
    torch.testing.assert_close(
        take_frames(made.refined, made.indices), take_frames(CLIPS, made.indices), atol=1e-4, rtol=1e-3
    )
    first = even_levels(2, 3.0, 0.5)[1]
    straight = noisy(*(take_frames(x, made.indices) for x in (CLIPS, NOISE)), torch.full((B, 1), first))
    torch.testing.assert_close(steps[0], straight, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("asked", [{"selector": "fixed"}, {"method": "teacher"}, {"distilled": ["keyframes"]}])
def test_phase_1_starts_from_a_look_that_there_is(asked):
    with pytest.raises(InputError, match=r"sampling\.start: expected 1 but for phase 1 itself"):
        validated(SamplingSettings, {"start": 0.9, **asked}, "sampling")


def test_ground_truth_stands_in_for_what_it_is_told_to(backbone):
    """Each control differs from both phases in one part alone."""
    exact = two_phase(backbone, exact="keyframes", refiner_steps=0).sample(NOISE, EMBED, seeded(), CLIPS)
    ideal = two_phase(backbone, keyframes=Ideal(), refiner_steps=0).sample(NOISE, EMBED, seeded())
    torch.testing.assert_close(exact.refined, ideal.refined, atol=1e-4, rtol=1e-3)
    rest = two_phase(backbone, exact="rest", refiner_steps=0).sample(NOISE, EMBED, seeded(), CLIPS)
    made = two_phase(backbone, refiner_steps=0).sample(NOISE, EMBED, seeded())
    torch.testing.assert_close(take_frames(rest.refined, rest.indices), take_frames(made.refined, made.indices))
    others = torch.ones(B, T, dtype=torch.bool).scatter(1, rest.indices, False)
    assert torch.equal(rest.refined.movedim(2, 1)[others], CLIPS.movedim(2, 1)[others])
    with pytest.raises(InputError, match=r"sampling\.refiner_steps: expected 0 with exact: rest"):
        validated(SamplingSettings, {"exact": "rest"}, "sampling")
    with pytest.raises(InputError, match=r"sampling\.exact: expected nothing with method teacher"):
        validated(SamplingSettings, {"method": "teacher", "exact": "keyframes"}, "sampling")


def test_costs_count_what_is_run(backbone):
    """Two steps on 4 of 9 frames and a pass over all of them."""
    both = two_phase(backbone, refiner_steps=1)
    generator = seeded()
    costs = sampling_costs(lambda n, e: both.sample(n, e, generator), 1.0, backbone, NOISE, EMBED)
    assert costs["seconds"] == 0.25
    few = counted_flops(lambda: backbone(NOISE[:1, :, :4], torch.ones(1, 1), EMBED[:1], FRAMES[:1]))
    full = counted_flops(lambda: backbone(NOISE[:1], torch.ones(1, 1), EMBED[:1], ALL[:1]))
    refining = counted_flops(lambda: backbone(NOISE[:1], torch.ones(1, T), EMBED[:1], ALL[:1]))
    assert costs["full_step_units"] == pytest.approx((2 * few + refining) / full, rel=0.01)


@pytest.mark.parametrize("policy", ["fixed", "uniform", "random"])
def test_schedules_without_looking_keep_both_ends(policy):
    choice = without_looking(policy, line_costs(CLIPS), 3.0, 0)(NOISE, EMBED)
    indices = choice.indices(4)
    assert (indices[:, [0, -1]] == torch.tensor([0, T - 1])).all()
    assert (indices.diff(dim=1) > 0).all()
    assert (len(indices.unique(dim=0)) == 1) == (policy != "random")
    assert torch.equal(choice.of(torch.tensor([2, 0])).indices(4), indices[[2, 0]])
    assert choice.costs(4).shape == (B, T, T)


def test_a_look_is_one_pass_of_what_noise_would_become(backbone):
    z, level = 0.9 * NOISE, torch.full((B, 1), 0.9)
    torch.testing.assert_close(Preview(backbone, 0.9)(NOISE, EMBED), z - 0.9 * backbone(z, level, EMBED, ALL))


def test_a_preview_with_all_of_the_backbone_says_what_it_says(backbone):
    """But for the last layer, which is left to be learned."""
    preview = build_preview(backbone, 1, 32, 0.9)
    last = [model.transformer.proj_out for model in (preview.denoiser, backbone)]
    assert not last[0].weight.any()
    last[0].load_state_dict(last[1].state_dict())
    torch.testing.assert_close(preview(NOISE, EMBED), Preview(backbone, 0.9)(NOISE, EMBED))


@pytest.mark.parametrize(("size", "message"), [((2, 16), "preview.layers: 2"), ((1, 33), "preview.ffn_dim: 33")])
def test_a_preview_is_no_larger_than_the_backbone(backbone, size, message):
    with pytest.raises(InputError, match=message):
        build_preview(backbone, *size, 0.9)


def test_a_preview_learns_what_the_backbone_makes_of_noise(backbone, tmp_path):
    torch.manual_seed(0)
    config = {"layers": 1, "ffn_dim": 16, "level": 0.9}
    preview = build_preview(backbone, **config)
    loss = Objective(Looks(Clips(), Preview(backbone, 0.9), NOISE.shape[1:]).draw, preview_loss)
    optimizer = torch.optim.Adam(preview.parameters(), lr=0.003)
    generator, losses = seeded(), []
    for _ in range(60):
        optimizer.zero_grad()
        losses.append(loss(preview, generator, 0.0)["loss"])
        losses[-1].backward()
        optimizer.step()
    assert torch.stack(losses[-10:]).mean() < 0.8 * torch.stack(losses[:10]).mean()
    files = {"model": tmp_path / MODEL, "config": tmp_path / CONFIG, "history": tmp_path / "history.csv"}
    save_checkpoint(files, preview, {"kind": "preview", "model": config}, [])
    assert torch.equal(load_preview(tmp_path, backbone)(NOISE, EMBED), preview(NOISE, EMBED))


def test_the_selector_chooses_by_its_look(backbone):
    torch.manual_seed(0)
    selector = VideoSelector(
        T, 4, looks=True, max_gap_factor=3.0, text_dim=DIM, text="attention", d_model=16, depth=1, heads=2
    )
    preview = Preview(backbone, 0.9)
    choice = by_selector(selector, preview)(NOISE, EMBED)
    assert torch.equal(choice.seen, preview(NOISE, EMBED))
    assert torch.equal(choice.of(torch.tensor([1])).seen, choice.seen[[1]])
    seen = seen_costs(choice.seen)
    torch.testing.assert_close(seen[seen.isfinite()].view(B, -1).mean(1), torch.ones(B))
    np.testing.assert_array_equal(choice.indices(4).numpy(), selector.select(EMBED, seen, 4))
    with torch.no_grad():
        selector.log_trust[0] = 2.0
    best = optimal_indices(seen.numpy(), 4, 3.0)[0]
    np.testing.assert_array_equal(selector.select(EMBED, seen, 4), best)


def test_an_untrained_backbone_attends_to_near_frames():
    settings = TransformerSettings(num_layers=1, num_attention_heads=2, attention_head_dim=64, ffn_dim=32)
    transformer = build_backbone(**transformer_config(settings, DIM)).transformer
    attention, rope = transformer.blocks[0].attn1, transformer.rope
    turns = torch.complex(rope.freqs_cos[:21, ::2], rope.freqs_sin[:21, ::2])
    turns[:, rope.t_dim // 2 :] = 1  # the same place in every frame
    query, key = (
        torch.view_as_complex(norm(project(torch.zeros(1, 128))).double().reshape(2, 32, 2))
        for project, norm in ((attention.to_q, attention.norm_q), (attention.to_k, attention.norm_k))
    )
    logits = (query[:, None] * turns[0] * (key[:, None] * turns).conj()).sum(-1).real / 8
    assert (logits.argmax(-1) == 0).all()
    assert (logits[:, :4].diff() < 0).all()
    assert (logits[:, 0] - logits[:, 5:].mean(-1) > 1).all()


def test_few_tokens_attend_as_stock_wan_has_them(backbone):
    level = torch.full((B, 1), 0.5)
    ours = backbone(NOISE, level, EMBED, ALL)
    stock = copy.deepcopy(backbone)
    stock.transformer.set_attn_processor(WanAttnProcessor())
    torch.testing.assert_close(ours, stock(NOISE, level, EMBED, ALL), atol=1e-5, rtol=1e-5)
