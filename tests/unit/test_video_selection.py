import itertools

import numpy as np
import pytest
import torch

from interdiff.keyframes.dynamic_programming import optimal_indices
from interdiff.keyframes.segment_cost import all_segment_costs, gram_costs
from interdiff.learning.training import Objective
from interdiff.video.evaluation.selection import repeat_consistency, selection_row, shared
from interdiff.video.interpolators.methods.lerp import lerp
from interdiff.video.interpolators.methods.smooth import smooth
from interdiff.video.interpolators.straightener import Straightener
from interdiff.video.planner.losses.segment_cost import TeacherCosts, segment_cost_loss
from interdiff.video.planner.losses.selector import Paths, selector_loss
from interdiff.video.planner.oracle import interpolator_costs, line_costs
from interdiff.video.planner.segment_cost import VideoSegmentCost, level_weights, teacher_costs
from interdiff.video.planner.selector import VideoSelector

T, DIM = 9, 12
SIZE = {"text_dim": DIM, "text": "attention", "d_model": 16, "depth": 1, "heads": 2}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


CLIPS = torch.randn(3, 16, T, 4, 6, generator=seeded())
EMBED = torch.randn(3, 7, DIM, generator=seeded(1))


def test_costs_from_products_are_those_from_prefix_sums():
    x = CLIPS.movedim(2, 1).flatten(2).double()
    exact = all_segment_costs(x.numpy())
    np.testing.assert_allclose(gram_costs(x @ x.mT).numpy(), exact, rtol=1e-5, atol=1e-3)


def test_running_the_line_through_every_segment_gives_the_same_costs():
    np.testing.assert_allclose(interpolator_costs(CLIPS[0], lerp), line_costs(CLIPS)[0], rtol=1e-4, atol=1e-5)
    assert (interpolator_costs(CLIPS[0], smooth) != interpolator_costs(CLIPS[0], lerp)).any()


def test_costs_can_be_those_of_straightened_lines():
    torch.manual_seed(0)
    bent = Straightener(16, 2, "convolutional", 8, 1)
    for parameter in bent.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    straight = torch.stack([bent(clip.movedim(1, 0)).movedim(0, 1) for clip in CLIPS]).detach()
    np.testing.assert_allclose(line_costs(CLIPS, bent), line_costs(straight), rtol=1e-4, atol=1e-5)


def test_figures_of_a_choice():
    best = np.array([[0, 3, 5, 8], [0, 2, 6, 8]])
    chosen = np.array([[0, 3, 6, 8], [0, 2, 6, 8]])
    cost = line_costs(CLIPS[:2])
    row = selection_row(chosen, best, cost)
    assert (row["overlap"], row["overlap_int"], row["unique_sequences"]) == (0.875, 0.75, 2)
    total = [
        sum(cost[n, i, j] for n, path in enumerate(paths) for i, j in itertools.pairwise(path))
        for paths in (chosen, best)
    ]
    assert row["cost_ratio"] == pytest.approx(total[0] / total[1], rel=1e-5)
    np.testing.assert_array_equal(shared(chosen, best), [0.75, 1])


def test_consistency_is_over_pairs_of_clips():
    indices = np.array([[0, 3, 8], [0, 3, 8], [0, 5, 8]])
    assert repeat_consistency(["a", "a", "b"], indices) == {"same_prompt": 1.0, "other_prompt": 0.0}


@pytest.mark.parametrize("text", ["attention", "pooled"])
def test_padding_of_prompts_is_not_read(text):
    torch.manual_seed(0)
    model = VideoSegmentCost(T, 4, **SIZE | {"text": text})
    padded = torch.cat([EMBED, EMBED.new_zeros(3, 5, DIM)], 1)
    sigma = torch.zeros(3)
    torch.testing.assert_close(model(padded, sigma), model(EMBED, sigma))
    assert (model(EMBED.flip(0), sigma) != model(EMBED, sigma)).any()


class Clips:
    """Batches of the same first clips."""

    def __init__(self, count):
        self.columns = {"embed": EMBED[:count], "row": torch.arange(count)}

    def batch(self, done):
        return self.columns


def test_the_worth_of_a_look_is_learned():
    """A look that shows the true costs gains trust; one that shows dear segments as cheap loses it."""
    cost = torch.from_numpy(line_costs(CLIPS))
    labels = {4: torch.from_numpy(optimal_indices(cost.numpy(), 4, 3.0)[0].astype(np.int64))}
    misleading = cost[cost.isfinite()].max() - cost
    trust = []
    for seen in (cost, misleading):
        torch.manual_seed(0)
        model = VideoSelector(T, 4, looks=True, max_gap_factor=3.0, **SIZE)
        start = model.log_trust.detach().clone()
        loss = Objective(Paths(Clips(3), seen, cost, labels, 1.0, 0.0).draw, selector_loss)
        optimizer = torch.optim.Adam([model.log_trust], lr=0.01)
        for _ in range(20):
            optimizer.zero_grad()
            loss(model, seeded(), 0.0)["loss"].backward()
            optimizer.step()
        trust.append((model.log_trust.detach() - start)[0])
    assert trust[0] > 0 > trust[1]


def test_selected_keyframes_are_the_most_probable_path():
    torch.manual_seed(0)
    model = VideoSelector(T, 4, looks=False, max_gap_factor=2.0, **SIZE)
    chosen = model.select(EMBED, None, 4)
    cost = model.path_costs(EMBED, None, 4)
    paths = [(0, *between, T - 1) for between in itertools.combinations(range(1, T - 1), 2)]
    totals = np.stack([cost[:, path[:-1], path[1:]].sum(1) for path in paths], 1)
    np.testing.assert_array_equal(chosen, np.array(paths)[totals.argmin(1)])
    assert (chosen[:, [0, -1]] == [0, T - 1]).all()
    assert np.isinf(cost[:, 0, T - 1]).all()


def test_a_selector_learns_what_prompts_decide():
    """Two prompts, two paths: after some steps each gets its own."""
    torch.manual_seed(0)
    model = VideoSelector(T, 8, looks=False, max_gap_factor=3.0, **SIZE)
    cost = torch.from_numpy(line_costs(CLIPS[:2]))
    labels = {4: torch.from_numpy(optimal_indices(cost.numpy(), 4, 3.0)[0].astype(np.int64))}
    assert (labels[4][0] != labels[4][1]).any()
    loss = Objective(Paths(Clips(2), None, cost, labels, 0.3, 0.01).draw, selector_loss)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    for _ in range(300):
        optimizer.zero_grad()
        loss(model, seeded(), 0.0)["loss"].backward()
        optimizer.step()
    np.testing.assert_array_equal(model.select(EMBED[:2], None, 4), labels[4].numpy())


def test_a_teacher_that_answers_with_what_it_sees_charges_the_squared_error():
    """A velocity of -2 z at one level: the difference of both answers is a known multiple of the interpolation error."""
    noise = torch.randn(CLIPS.shape, generator=seeded(2))
    i, j, sigma = torch.tensor([0, 2, 1]), torch.tensor([8, 5, 3]), torch.full((3,), 0.25)
    measured = teacher_costs(lambda z, level: -2 * z, CLIPS, noise, i, j, sigma)
    exact = line_costs(CLIPS)[torch.arange(3), i, j]
    torch.testing.assert_close(measured, torch.from_numpy((2 * 0.75) ** 2 * exact), rtol=1e-4, atol=1e-4)


def test_d_phi_learns_what_was_measured():
    """The stage's arrays by their names: two clips, a cheap and a dear segment in each, dear ones elsewhere."""
    measured = {
        "row": torch.tensor([0, 0, 2, 2]),
        "i": torch.tensor([0, 4, 0, 4]),
        "j": torch.tensor([3, 8, 3, 8]),
        "sigma": torch.full((4,), 0.5),
        "cost": torch.tensor([0.1, 2.0, 2.0, 0.1]),
    }
    torch.manual_seed(0)
    model = VideoSegmentCost(T, 8, **SIZE)
    loss = Objective(TeacherCosts(EMBED, **measured, batch_size=16).draw, segment_cost_loss)
    optimizer, generator = torch.optim.Adam(model.parameters(), lr=0.003), seeded()
    for _ in range(300):
        optimizer.zero_grad()
        loss(model, generator, 0.0)["loss"].backward()
        optimizer.step()
    costs = model.all_costs(EMBED, [0.5])[measured["row"], measured["i"], measured["j"]]
    np.testing.assert_allclose(costs, measured["cost"], rtol=0.3)


def test_levels_weigh_as_their_signal_to_noise_ratio_within_bounds():
    torch.testing.assert_close(level_weights(torch.tensor([0.01, 0.5, 0.99])), torch.tensor([10.0, 1.0, 0.1]))
