import os
import subprocess
import sys
from itertools import combinations, pairwise

import numpy as np
import pytest

from interdiff.errors import InputError
from interdiff.keyframes.dynamic_programming import (
    global_indices,
    max_gap,
    optimal_indices,
    path_cost,
    random_indices,
    uniform_indices,
)

T = 9
NO_BOUND = 100.0


def random_costs(batch=20, frames=T, seed=0):
    cost = np.random.default_rng(seed).exponential(size=(batch, frames, frames)).astype(np.float32)
    cost[:, *np.tril_indices(frames)] = np.inf
    return cost


def paths(k, longest=T, keep=()):
    """All index sets of K frames with both ends, no gap above `longest` and the frames `keep`."""
    found = [(0, *inner, T - 1) for inner in combinations(range(1, T - 1), k - 2)]
    return np.array([p for p in found if np.diff(p).max() <= longest and set(keep) <= set(p)])


def best_by_brute_force(cost_ij, candidates):
    totals = [sum(cost_ij[i, j] for i, j in pairwise(p)) for p in candidates.tolist()]
    return candidates[np.argmin(totals)], min(totals)


@pytest.mark.parametrize("factor", [1.0, 1.5, NO_BOUND])
@pytest.mark.parametrize("k", range(2, 7))
def test_the_optimum_of_all_index_sets(k, factor):
    cost = random_costs()
    indices, total = optimal_indices(cost, k, factor)
    candidates = paths(k, max_gap(T, k, factor))
    for b in range(len(cost)):
        expected, least = best_by_brute_force(cost[b], candidates)
        assert indices[b].tolist() == expected.tolist()
        assert total[b] == pytest.approx(least, rel=1e-5)
    np.testing.assert_allclose(total, path_cost(cost, indices), rtol=1e-5)


@pytest.mark.parametrize(("k", "kept"), [(3, [4]), (4, [1, 2]), (5, [3]), (6, [2, 5, 7])])
def test_the_optimum_that_visits_the_kept_frames(k, kept):
    cost = random_costs()
    keep = np.zeros((len(cost), T), bool)
    keep[:, [0, *kept, T - 1]] = True
    indices, _ = optimal_indices(cost, k, NO_BOUND, keep)
    for b in range(len(cost)):
        assert indices[b].tolist() == best_by_brute_force(cost[b], paths(k, keep=kept))[0].tolist()


def test_kept_frames_differ_between_sequences():
    keep = np.eye(T, dtype=bool)[[2, 6]]
    indices, _ = optimal_indices(random_costs(2), 3, NO_BOUND, keep)
    assert indices.tolist() == [[0, 2, 8], [0, 6, 8]]


@pytest.mark.parametrize(("factor", "longest"), [(1.0, 4), (1.3, 6), (NO_BOUND, 8)])
def test_the_bound_is_in_units_of_the_uniform_gap(factor, longest):
    assert max_gap(T, 3, factor) == longest


@pytest.mark.parametrize("k", [1, T + 1])
def test_k_that_does_not_fit_is_bad_input(k):
    with pytest.raises(InputError, match=rf"K = {k} keyframes do not fit in T = {T}"):
        optimal_indices(random_costs(1), k, NO_BOUND)


def test_all_frames_may_be_kept():
    assert optimal_indices(random_costs(1), T, 1.0)[0].tolist() == [list(range(T))]


def test_no_possible_path_is_bad_input():
    keep = np.ones((1, T), bool)
    with pytest.raises(InputError, match="K = 4 keyframes of 9"):
        optimal_indices(random_costs(1), 4, NO_BOUND, keep)


def test_one_set_for_all_is_the_optimum_of_the_summed_costs():
    cost = random_costs(7)
    expected, _ = best_by_brute_force(cost.sum(0), paths(4))
    assert global_indices(cost, 4, NO_BOUND).tolist() == expected.tolist()


@pytest.mark.parametrize("k", [2, 3, 8, 128])
def test_uniform_indices(k):
    gaps = np.diff(indices := uniform_indices(128, k))
    assert (indices[0], indices[-1], len(indices)) == (0, 127, k)
    assert gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("k", [2, 5, T])
def test_random_indices(k):
    indices = random_indices(200, T, k, np.random.default_rng(0))
    assert (indices[:, [0, -1]] == [0, T - 1]).all()
    assert indices.shape == (200, k)
    assert (np.diff(indices) > 0).all()
    if k == 5:
        assert set(indices.ravel()) == set(range(T))


def test_torch_keeps_the_threads_that_it_was_told_to_take():
    """numba's pool, which starts with the first choice, has the same threads."""
    code = """
import numpy as np, torch
from interdiff.keyframes.dynamic_programming import optimal_indices
optimal_indices(np.ones((2, 9, 9), np.float32), 4, 3.0)
print(torch.get_num_threads())
"""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_NUM_THREADS"}
    for threads in ("1", "2"):
        told = environment | {"OMP_NUM_THREADS": threads}
        ran = subprocess.run([sys.executable, "-c", code], env=told, capture_output=True, text=True, check=True)
        assert ran.stdout.split() == [threads]
