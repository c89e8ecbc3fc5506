from itertools import combinations

import numpy as np
import pytest
import torch

from interdiff.keyframes.dynamic_programming import optimal_indices
from interdiff.keyframes.gaps import max_gap
from interdiff.keyframes.path_distribution import log_partition, marginals, path_potential

T, FACTOR = 8, 1.5


def potentials(k, batch=3):
    """Random potentials of the segments that the bound on gaps allows."""
    potential = torch.randn(batch, T, T, generator=torch.Generator().manual_seed(k), dtype=torch.float64)
    t = torch.arange(T)
    length = t[None] - t[:, None]
    return potential.masked_fill((length < 1) | (length > max_gap(T, k, FACTOR)), -torch.inf)


def all_paths(k):
    return torch.tensor([(0, *inner, T - 1) for inner in combinations(range(1, T - 1), k - 2)])


def scores(potential, k):
    """Potentials of all paths: [B, P]."""
    paths = all_paths(k)
    return torch.stack([path_potential(potential, p.expand(len(potential), -1)) for p in paths], dim=1)


@pytest.mark.parametrize("k", [3, 4, 6])
def test_the_partition_is_the_sum_over_all_paths(k):
    potential = potentials(k)
    torch.testing.assert_close(log_partition(potential, k), scores(potential, k).logsumexp(1))


@pytest.mark.parametrize("k", [3, 4, 6])
def test_marginals_are_those_of_all_paths(k):
    potential = potentials(k)
    probability = scores(potential, k).softmax(1)
    on_path = torch.nn.functional.one_hot(all_paths(k), T).sum(1).double()
    density = marginals(potential, k)
    torch.testing.assert_close(density[:, 1:], (probability @ on_path)[:, 1:])
    torch.testing.assert_close(density.sum(1), torch.full((3,), k - 1.0, dtype=torch.float64))
    torch.testing.assert_close(density[:, -1], torch.ones(3, dtype=torch.float64))


def test_the_most_probable_path_is_the_dynamic_programs():
    potential = potentials(5)
    best = all_paths(5)[scores(potential, 5).argmax(1)]
    assert np.array_equal(optimal_indices(-potential.float().numpy(), 5, FACTOR)[0], best)


def test_gradients_are_finite_where_nothing_reaches_a_frame():
    potential = potentials(4).requires_grad_()
    log_partition(potential, 4).sum().backward()
    assert potential.grad.isfinite().all()
    # Every segment's gradient is its probability: K - 1 segments in each path.
    torch.testing.assert_close(potential.grad.sum((1, 2)), torch.full((3,), 3.0, dtype=torch.float64))
