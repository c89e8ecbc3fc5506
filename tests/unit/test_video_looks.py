"""Who chooses keyframes: schedules, and the selector with its look."""

import numpy as np
import pytest
import torch
from test_video_two_phase import ALL, CLIPS, DIM, EMBED, NOISE, B, Clips, T, backbone, seeded  # noqa: F401

from interdiff.errors import InputError
from interdiff.keyframes.dynamic_programming import optimal_indices
from interdiff.learning.checkpoints import CONFIG, MODEL, save_checkpoint
from interdiff.learning.training import Objective
from interdiff.video.planner.choosers import by_selector, seen_costs, without_looking
from interdiff.video.planner.losses.preview import Looks, preview_loss
from interdiff.video.planner.oracle import line_costs
from interdiff.video.planner.preview import Preview, build_preview, load_preview
from interdiff.video.planner.selector import VideoSelector


@pytest.mark.parametrize("policy", ["fixed", "uniform", "random"])
def test_schedules_without_looking_keep_both_ends(policy):
    choice = without_looking(policy, line_costs(CLIPS), 3.0, 0)(NOISE, EMBED, None)
    indices = choice.indices(4)
    assert (indices[:, [0, -1]] == torch.tensor([0, T - 1])).all()
    assert (indices.diff(dim=1) > 0).all()
    assert (len(indices.unique(dim=0)) == 1) == (policy != "random")
    assert torch.equal(choice.of(torch.tensor([2, 0])).indices(4), indices[[2, 0]])
    assert choice.costs(4).shape == (B, T, T)


def test_a_look_is_one_pass_of_what_noise_would_become(backbone):  # noqa: F811
    z, level = 0.9 * NOISE, torch.full((B, 1), 0.9)
    torch.testing.assert_close(Preview(backbone, 0.9)(NOISE, EMBED), z - 0.9 * backbone(z, level, EMBED, ALL))


def test_a_preview_with_all_of_the_backbone_says_what_it_says(backbone):  # noqa: F811
    """But for the last layer, which is left to be learned."""
    preview = build_preview(backbone, 1, 32, 0.9)
    last = [model.transformer.proj_out for model in (preview.denoiser, backbone)]
    assert not last[0].weight.any()
    last[0].load_state_dict(last[1].state_dict())
    torch.testing.assert_close(preview(NOISE, EMBED), Preview(backbone, 0.9)(NOISE, EMBED))


@pytest.mark.parametrize(("size", "message"), [((2, 16), "preview.layers: 2"), ((1, 33), "preview.ffn_dim: 33")])
def test_a_preview_is_no_larger_than_the_backbone(backbone, size, message):  # noqa: F811
    with pytest.raises(InputError, match=message):
        build_preview(backbone, *size, 0.9)


def test_a_preview_learns_what_the_backbone_makes_of_noise(backbone, tmp_path):  # noqa: F811
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


def test_the_selector_chooses_by_its_look(backbone):  # noqa: F811
    torch.manual_seed(0)
    selector = VideoSelector(
        T, 4, looks=True, max_gap_factor=3.0, text_dim=DIM, text="attention", d_model=16, depth=1, heads=2
    )
    preview = Preview(backbone, 0.9)
    choice = by_selector(selector, preview)(NOISE, EMBED, None)
    assert torch.equal(choice.seen, preview(NOISE, EMBED))
    assert torch.equal(choice.of(torch.tensor([1])).seen, choice.seen[[1]])
    seen = seen_costs(choice.seen)
    torch.testing.assert_close(seen[seen.isfinite()].view(B, -1).mean(1), torch.ones(B))
    np.testing.assert_array_equal(choice.indices(4).numpy(), selector.select(EMBED, seen, 4))
    with torch.no_grad():
        selector.log_trust[0] = 2.0
    best = optimal_indices(seen.numpy(), 4, 3.0)[0]
    np.testing.assert_array_equal(selector.select(EMBED, seen, 4), best)
