from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from interdiff.keyframes.dynamic_programming import optimal_indices
from interdiff.keyframes.gaps import max_gap
from interdiff.keyframes.path_distribution import log_partition, marginals, path_potential
from interdiff.learning.networks import initialise_from
from interdiff.maze.planner import conditions
from interdiff.maze.planner.keyframes import KeyframeDenoiser, known_entries, plan_keyframes
from interdiff.maze.planner.losses.refiner import ERROR_FLOOR, sample_weights, wall_penetration
from interdiff.maze.planner.losses.segment_cost import random_pairs
from interdiff.maze.planner.networks import Condition, Waypoints, from_network, sample_sdf, to_network
from interdiff.maze.planner.refiner import BETWEEN, Refiner, between_anchors, project_out_of_walls
from interdiff.maze.planner.segment_cost import SegmentCostModel
from interdiff.maze.planner.selector import KeyframeSelector, level_costs
from interdiff.maze.world.layouts import load_layout, occupancy, signed_distance
from interdiff.two_phase.interpolation import interpolate
from interdiff.two_phase.keyframe_diffusion import keyframe_scheduler

T, K, CELLS, PER_LAYOUT = 16, 4, 5, 3
B = 2 * PER_LAYOUT
SIZE = {"d_model": 16, "depth": 2, "heads": 2}
QUERIES = {"frames": T, "frames_per_token": 4, "channels": 3, **SIZE}
SELECTOR = {**QUERIES, "condition_bias": "encoder", "nested_levels": [4, 8], "max_gap_factor": 2.0}
NETWORKS = {
    "segment_cost": (SegmentCostModel, QUERIES),
    "selector": (KeyframeSelector, SELECTOR),
    "keyframes": (KeyframeDenoiser, {"frames": T, **SIZE}),
    "refiner": (Refiner, {"frames": T, "frames_per_token": 2, "interpolation": "linear", "noise": 0.01, **SIZE}),
}
INDICES = torch.tensor([[0, 3, 9, 15], [0, 1, 14, 15], [0, 5, 10, 15]]).repeat(2, 1)
MASK = torch.zeros(B, T, dtype=torch.bool).scatter(1, INDICES, True)


EXACT = torch.arange(B) % 2 == 0


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


STATES = torch.cat([0.5 + 0.1 * normal(B, T, 2), normal(B, T, 2, seed=1)], dim=-1)


def condition_of(samples=range(B)):
    """The condition of samples of two layouts: the first three are of one, the others of the other."""
    layouts = [load_layout(name) for name in ("umaze", "umaze_eval")]
    groups = sorted({sample // PER_LAYOUT for sample in samples})
    walls = torch.tensor(np.stack([occupancy(layout, CELLS) for layout in layouts])[groups]).float()
    sdf = torch.tensor(np.stack([signed_distance(layout, CELLS, 8) for layout in layouts])[groups]).float()
    rows = list(samples)
    start, goal = STATES[rows, 0], STATES[rows, -1, :2]
    return Condition(walls, sdf, conditions.route_steps(walls, start, goal), start, goal)


def in_double(condition):
    """Where float32 would hide a mistake behind products of other sizes that round apart."""
    return Condition(*(getattr(condition, field.name).double() for field in fields(Condition)))


def made(kind, **changes):
    """A network with all of its parameters random: what starts at zero would hide mistakes."""
    build, config = NETWORKS[kind]
    torch.manual_seed(0)
    network = build(**(config | changes)).eval()
    for n, parameter in enumerate(network.parameters()):
        if parameter.ndim > 1 or not parameter.any():
            parameter.data = 0.15 * normal(*parameter.shape, seed=n)
    return network


def output(kind, network, condition, samples=range(B)):
    rows, dtype = list(samples), condition.start.dtype
    with torch.no_grad():
        if kind == "segment_cost":
            return network(condition)
        if kind == "selector":
            return network(condition, K)
        if kind == "refiner":
            return network(STATES[rows].to(dtype), MASK[rows], EXACT[rows], condition)
        _, known = known_entries(condition.start, condition.goal, K)
        inputs = (normal(B, K, 4), torch.linspace(0, 1, B), INDICES, normal(B, K - 1, seed=3))
        noisy, noise, indices, hardness = (x[rows].to(dtype) if x.is_floating_point() else x[rows] for x in inputs)
        return network(noisy, noise, indices, hardness, known, condition)


SHAPES = {"segment_cost": (B, T, 8), "selector": (B, T, 8), "keyframes": (B, K, 4), "refiner": (B, T, 4)}


@pytest.mark.parametrize("kind", NETWORKS)
def test_shapes(kind):
    result = output(kind, made(kind), condition_of())
    assert result.shape == SHAPES[kind]
    assert result.isfinite().all()


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_grouped_batch_gives_what_its_samples_give_alone(kind):
    network = made(kind).double()
    batch = output(kind, network, in_double(condition_of()))
    alone = torch.cat([output(kind, network, in_double(condition_of([n])), [n]) for n in range(B)])
    torch.testing.assert_close(batch, alone)
    # And every sample sees its own condition.
    assert all(not torch.allclose(batch[0], batch[n]) for n in range(1, B))


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_map_matters(kind):
    network, condition = made(kind), condition_of()
    other = replace(condition, occupancy=condition.occupancy.flip(0))
    assert not torch.allclose(output(kind, network, condition), output(kind, network, other))


@pytest.mark.parametrize("kind", NETWORKS)
def test_map_features_are_computed_once_per_layout(kind):
    network, seen = made(kind), []
    encoders = [m for name, m in network.named_modules() if name.endswith(("map_encoder", "map_bias"))]
    for encoder in encoders:
        encoder.register_forward_hook(lambda module, inputs, tokens: seen.append(len(tokens)))
    output(kind, network, condition_of())
    assert seen == [2] * len(encoders)
    assert encoders


def test_sampling_encodes_the_condition_once():
    network, seen = made("keyframes"), []
    network.backbone.map_encoder.register_forward_hook(lambda *_: seen.append(1))
    condition, hardness = condition_of(), torch.zeros(B, K - 1)
    generator = torch.Generator().manual_seed(0)
    keyframes = plan_keyframes(network, keyframe_scheduler(), condition, INDICES, hardness, 4, generator)
    assert len(seen) == 1
    assert keyframes.shape == (B, K, 4)
    torch.testing.assert_close(keyframes[:, 0, :2], condition.start[:, :2])
    torch.testing.assert_close(keyframes[:, -1, :2], condition.goal)


def test_network_units_are_inverted():
    torch.testing.assert_close(from_network(to_network(STATES)), STATES)
    assert to_network(torch.tensor([0.5, 0.5, 0.0, 0.0])).tolist() == [0, 0, 0, 0]


def test_the_sdf_is_sampled_per_layout():
    condition = condition_of()
    # Centres of free and of wall cells of umaze (1, 3) and umaze_eval (3, 3).
    points = torch.tensor([[1.5, 1.5], [2.5, 1.5]])[None].expand(B, -1, -1) / CELLS
    distance = sample_sdf(condition.sdf, points)
    assert (distance[:, 0] > 0.3).all()
    assert (distance[:PER_LAYOUT, 1] < 0).all()  # umaze: row 2 is a wall there
    assert (distance[PER_LAYOUT:, 1] > 0.3).all()  # umaze_eval: it is free


def test_waypoints_follow_the_way_around_the_wall():
    layout = load_layout("umaze")
    states, goals = np.array([[1.0, 1, 0, 0]]), np.array([[3.0, 1]])  # both ends of the U
    condition = conditions.condition_of(layout, states, goals, CELLS, 8, torch.device("cpu"))
    positions, length = Waypoints()(condition)
    assert length.tolist() == [[6]]
    cells = positions[0] * CELLS
    assert cells[0].tolist() == pytest.approx([1.5, 1.5], abs=0.2)
    assert cells[-1].tolist() == pytest.approx([3.5, 1.5], abs=0.2)
    assert cells[8].tolist() == pytest.approx([2.5, 3.5], abs=0.4)  # the middle of the bend
    assert (cells[:, 0].diff() > -0.05).all()


def test_samples_weigh_by_the_root_of_their_error():
    clean = torch.zeros(3, T, 4)
    degraded = clean.clone()
    degraded[1, :, :2], degraded[2, :, :2] = 0.1, 0.2
    degraded[0, :, 2:] = 1  # velocities do not count
    weights = sample_weights(degraded, clean)
    assert weights.shape == (3, 1, 1)
    assert weights.mean() == pytest.approx(1)
    error = 0.25 + ERROR_FLOOR  # 0.1 in network units is 0.5
    assert (weights[0] / weights[1]).item() == pytest.approx((error / ERROR_FLOOR) ** 0.25, rel=1e-4)
    assert (weights[1] / weights[2]).item() == pytest.approx(2**0.5, rel=1e-2)


def test_what_points_are_told_of_their_neighbours_is_how_a_cubic_spline_bends():
    torch.manual_seed(0)
    x = torch.rand(B, T, 4)
    mask = torch.zeros(B, T, dtype=torch.bool)
    mask[:, [0, 5, T - 1]] = True
    straight, spline = (interpolate(x, mask, method) for method in ("linear", "hermite"))
    told = between_anchors(straight, mask, CELLS)
    assert told.shape == (B, T, BETWEEN)
    first, last, before, after, share, width = told.split([2, 2, 2, 2, 1, 1], dim=-1)
    torch.testing.assert_close(straight[..., :2] + (before + after) / CELLS, spline[..., :2])
    torch.testing.assert_close((straight[..., :2] + first / CELLS)[:, 2], x[:, 0, :2])
    torch.testing.assert_close((straight[..., :2] + last / CELLS)[:, 2], x[:, 5, :2])
    torch.testing.assert_close((share * width)[:, 2], torch.full((B, 1), 2 / (T - 1)))
    assert not told[:, [0, 5, T - 1], :-2].any()


def test_a_new_refiner_is_the_identity():
    refiner = Refiner(**NETWORKS["refiner"][1])
    x = interpolate(STATES, MASK)
    assert torch.equal(refiner(x, MASK, EXACT, condition_of()), x)
    # It can leave it: its head gets a gradient.
    refiner(x, MASK, EXACT, condition_of()).square().sum().backward()
    assert refiner.head.weight.grad.abs().sum() > 0


def test_wall_penetration_and_projection():
    condition = condition_of()
    inside = torch.zeros(B, 2, 4)
    inside[..., :2] = torch.tensor([1.5, 1.5]) / CELLS
    assert wall_penetration(inside, condition.sdf, 0.1) == 0
    assert torch.equal(project_out_of_walls(inside, condition), inside)
    walled = inside.clone()
    walled[..., 0] = 0.9 / CELLS
    assert wall_penetration(walled, condition.sdf, 0.1) > 0
    moved = project_out_of_walls(walled, condition)
    assert (sample_sdf(condition.sdf, moved[..., :2]) > 0).all()
    assert torch.equal(moved[..., 2:], walled[..., 2:])


def test_costs_of_pairs_are_those_of_all_pairs():
    network = made("segment_cost")
    result = output("segment_cost", network, condition_of())
    i, j = np.triu_indices(T, 1)
    pairs = network.pair_costs(result, *(torch.tensor(n).expand(B, -1) for n in (i, j)))
    every = network.all_costs(result)
    np.testing.assert_allclose(pairs.detach(), every[:, i, j], rtol=1e-3, atol=1e-5)
    assert np.isinf(every[:, j, i]).all()
    # A segment without interior frames costs nothing, any other something.
    assert (every[:, i, j][:, j - i == 1] == 0).all()
    assert (every[:, i, j][:, j - i > 1] > 0).all()


def test_random_pairs_are_segments_up_to_the_longest():
    i, j = random_pairs((50, 200), T, 9, torch.Generator().manual_seed(0), torch.device("cpu"))
    assert i.min() == 0
    assert j.max() == T - 1
    assert set((j - i).unique().tolist()) == set(range(2, 10))


@pytest.mark.parametrize("bias", ["none", "direct", "encoder"])
def test_every_condition_bias(bias):
    network = made("selector", condition_bias=bias)
    result = output("selector", network, condition_of())
    assert result.shape == SHAPES["selector"]
    if bias != "none":
        for parameter in network.bias.parameters():
            parameter.data.zero_()
        assert not torch.allclose(output("selector", network, condition_of()), result)
    assert hasattr(network, "map_bias") == (bias == "encoder")


def test_a_new_selector_is_dphi():
    """It starts from D_phi's weights, and level and bias have no part in its output yet."""
    source = made("segment_cost")
    selector = KeyframeSelector(**SELECTOR)
    assert initialise_from(selector, source) == len(source.state_dict())
    expected = output("segment_cost", source, condition_of())
    for k in (3, 8):
        torch.testing.assert_close(selector(condition_of(), k), expected)


def test_the_selectors_density():
    network = made("selector")
    for k in (3, 4, 8):
        result = network(condition_of(), k).detach()
        potential = network.potentials(result, k)
        i, j = potential.isfinite().nonzero(as_tuple=True)[1:]
        assert (j > i).all()
        assert (j - i).max() == max_gap(T, k, 2.0)
        density = marginals(potential, k)
        torch.testing.assert_close(density.sum(1), torch.full((B,), k - 1.0))
        torch.testing.assert_close(density[:, -1], torch.ones(B))
        assert ((density > -1e-6) & (density < 1 + 1e-5)).all()


@pytest.mark.parametrize("k", [3, 4, 8])
def test_the_chosen_keyframes_are_the_most_probable(k):
    network = made("selector")
    chosen = torch.tensor(optimal_indices(level_costs(network, condition_of())(k), k, 2.0)[0].astype(int))
    potential = network.potentials(network(condition_of(), k), k)
    partition = log_partition(potential, k)
    best = path_potential(potential, chosen) - partition
    assert (best <= 1e-4).all()
    rng = np.random.default_rng(0)
    for _ in range(50):
        inner = np.sort(rng.choice(np.arange(1, T - 1), k - 2, replace=False))
        other = torch.tensor([0, *inner, T - 1]).expand(B, -1)
        assert (path_potential(potential, other) - partition <= best + 1e-4).all()


def test_the_selectors_potentials_have_gradients():
    network = made("selector")
    potential = network.potentials(network(condition_of(), K), K)
    (log_partition(potential, K) - path_potential(potential, INDICES[:1].expand(B, -1))).sum().backward()
    assert network.log_precision.grad.isfinite().all()
    assert network.queries.head.weight.grad.abs().sum() > 0
