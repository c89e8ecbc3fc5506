from pathlib import Path

import pytest
import torch

from interdiff.two_phase.keyframe_diffusion import keyframe_scheduler, noisy_keyframes, sample_keyframes
from interdiff.workflow.identity import packages

ROOT = Path(__file__).parents[2]

B, K, C = 5, 4, 4


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def problem():
    """Clean keyframes, and which of their entries are known: both ends' positions."""
    known = torch.zeros(B, K, C, dtype=torch.bool)
    known[:, [0, -1], :2] = True
    return torch.randn(B, K, C, generator=seeded(9)), known


def test_training_noise_leaves_known_entries_clean(problem):
    clean, known = problem
    noisy, level = noisy_keyframes(keyframe_scheduler(), clean, known, seeded())
    assert torch.equal(noisy[known], clean[known])
    assert (noisy != clean)[~known].all()
    assert level.shape == (B,)
    assert ((level > 0) & (level <= 1)).all()


def test_training_noise_grows_with_its_level():
    clean = torch.ones(20_000, 1, 1)
    noisy, level = noisy_keyframes(keyframe_scheduler(), clean, torch.zeros_like(clean, dtype=torch.bool), seeded())
    deviation = [(noisy - 1)[(level > low) & (level <= low + 0.2)].std().item() for low in (0.0, 0.2, 0.4, 0.6, 0.8)]
    assert deviation == sorted(deviation)
    # Pure noise at the end: nothing is left of the mean.
    assert noisy[level > 0.99].mean().abs() < 0.3
    assert noisy[level < 0.02].std() < 0.1


# 6 does not divide the steps of training: the last step of DDIM itself would stop short of the clean sample.
@pytest.mark.parametrize("steps", [1, 2, 3, 6])
def test_a_perfect_denoiser_gives_the_clean_keyframes(problem, steps):
    clean, known = problem
    sample = sample_keyframes(keyframe_scheduler(), lambda z, level: clean, clean, known, steps, seeded())
    torch.testing.assert_close(sample, clean, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("steps", [1, 3])
def test_known_entries_are_held_before_every_step_and_at_the_end(problem, steps):
    clean, known = problem
    met = []

    def denoise(z, level):
        met.append((z.clone(), level))
        return torch.full_like(z, 7.0)

    sample = sample_keyframes(keyframe_scheduler(), denoise, clean, known, steps, seeded())
    assert len(met) == steps
    assert all(torch.equal(z[known], clean[known]) for z, _ in met)
    assert torch.equal(sample[known], clean[known])
    torch.testing.assert_close(sample[~known], torch.full_like(sample[~known], 7.0))


def test_levels_fall_from_one_and_are_those_of_training(problem):
    clean, known = problem
    levels = []
    scheduler = keyframe_scheduler()
    sample_keyframes(scheduler, lambda z, level: levels.append(level) or clean, clean, known, 4, seeded())
    assert [level.tolist() for level in levels] == [[x] * B for x in (1.0, 0.75, 0.5, 0.25)]
    # The state at a level has the noise that training shows there.
    z = clean.new_zeros(4000, 1, 1)
    met = []
    sample_keyframes(scheduler, lambda x, level: met.append(x.std()) or z, z, z.to(torch.bool), 4, seeded())
    expected = (1 - scheduler.signal[[999, 749, 499, 249]]).sqrt()
    torch.testing.assert_close(torch.stack(met), expected, rtol=0.05, atol=0)


def test_only_the_generator_decides(problem):
    clean, known = problem

    def draw(seed):
        return sample_keyframes(keyframe_scheduler(), lambda z, level: 0.5 * z, clean, known, 3, seeded(seed))

    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))
    before = torch.get_rng_state()
    draw(0)
    assert torch.equal(torch.get_rng_state(), before)


def test_steps_are_those_of_diffusers_bit_by_bit():
    from diffusers import DDIMScheduler

    ours = keyframe_scheduler()
    theirs = DDIMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="sample", clip_sample=False, timestep_spacing="trailing"
    )
    assert torch.equal(ours.signal, theirs.alphas_cumprod)
    z, clean = torch.randn(2, B, K, C, generator=seeded())
    t = torch.arange(0, 1000, 200)
    assert torch.equal(ours.add_noise(clean, z, t), theirs.add_noise(clean, z, t))
    for steps in (*range(1, 65), 256, 1000):
        theirs.set_timesteps(steps)
        # Rounding gives diffusers a step too many at 61: one that training has not.
        assert ours.timesteps(steps) == theirs.timesteps.tolist()[:steps]
        for t in ours.timesteps(steps) if 1000 % steps == 0 else []:
            assert torch.equal(ours.step(clean, t, z, steps), theirs.step(clean, t, z).prev_sample)


@pytest.mark.parametrize("steps", [3, 64, 128, 256, 1000])
def test_every_step_ends_where_the_next_begins(steps):
    """With an answer that knows the clean sample, what is left of the noise is as much as the schedule says."""
    ddim, clean, noise = keyframe_scheduler(), *torch.randn(2, B, K, C, generator=seeded(), dtype=torch.float64)
    visited = ddim.timesteps(steps)
    z = ddim.add_noise(clean, noise, torch.full((B,), visited[0]))
    for t, after in zip(visited, [*visited[1:], None], strict=True):
        z = ddim.step(clean, t, z, steps)
        expected = clean if after is None else ddim.add_noise(clean, noise, torch.full((B,), after))
        torch.testing.assert_close(z, expected, rtol=1e-4, atol=1e-4)


def test_planners_of_mazes_load_without_diffusers():
    """It takes longer to import than they plan."""
    stages = [f"stages.maze.{path.stem}" for path in (ROOT / "stages/maze").glob("[a-z]*.py")]
    assert not [name for name in (*stages, "interdiff.maze.plan") if "diffusers" in packages(name, ROOT)]
    assert "diffusers" in packages("stages.video.backbone", ROOT)
