import numpy as np
import pytest

from interdiff.maze.world.collisions import crossed, piece_collisions
from interdiff.maze.world.layouts import MAPS, load_layout, occupancy

WALLS = occupancy(load_layout("umaze"), 5)


def collides(*points):
    """Of a path on umaze, given in grid coordinates."""
    return piece_collisions(np.array(points) / 5, WALLS).tolist()


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (((1.5, 1.5), (1.5, 3.5)), False),  # along a corridor
        (((1.5, 1.5), (3.5, 1.5)), True),  # across a whole wall, both ends free
        (((1.5, 2.5), (2.9, 3.1)), True),  # cuts a corner
        (((1.5, 2.0), (3.5, 4.0)), True),  # diagonally across
        (((1.0, 1.0), (2.0, 4.0)), False),  # corner to corner of the free row
        (((1.0, 1.5), (1.0, 3.5)), False),  # slides along a wall's face
        (((2.0, 1.0), (2.0, 4.0)), False),  # slides along a wall's face, the other side
        (((2.5, 2.5), (2.5, 2.5)), True),  # rests inside a wall
        (((1.5, 1.5), (1.5, 1.5)), False),  # rests in free space
        (((1.5, 1.5), (0.999, 1.5)), True),  # just into the wall
        (((1.5, 1.5), (1.0, 1.5)), False),  # just up to it
        (((1.5, 1.5), (-0.5, 1.5)), True),  # outside
        (((1.5, 1.5), (1.5, 5.5)), True),
        (((1.5, 1.5), (np.nan, 1.5)), True),
    ],
)
def test_hand_made_pieces(points, expected):
    assert collides(*points) == [expected]


def test_touching_a_corner_is_free_and_passing_it_is_not():
    # The inner corner of umaze's right bend is (2, 3): free are row 1, and column 3.
    assert collides((1.5, 2.5), (2.0, 3.0), (2.5, 3.5)) == [False, False]
    assert collides((1.5, 2.5), (2.5, 3.5)) == [False]
    assert collides((1.5, 2.49), (2.5, 3.49)) == [True]


def test_diagonal_neighbours_touch_in_a_free_point():
    walls = np.ones((4, 4), dtype=np.uint8)
    walls[1, 1] = walls[2, 2] = 0
    assert piece_collisions(np.array([[1.5, 1.5], [2.5, 2.5]]) / 4, walls).tolist() == [False]
    assert piece_collisions(np.array([[1.5, 1.4], [2.5, 2.5]]) / 4, walls).tolist() == [True]


def test_boundary_between_two_walls_is_wall():
    assert collides((1.5, 1.0), (0.0, 1.0)) == [True]
    walls = np.ones((4, 4), dtype=np.uint8)
    assert piece_collisions(np.array([[1.0, 0.0], [1.0, 4.0]]) / 4, walls).tolist() == [True]


def test_edge_of_the_grid_is_inside_it():
    free = np.zeros((3, 3), dtype=np.uint8)
    assert piece_collisions(np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [1.0001, 0.0]]), free).tolist() == [
        False,
        False,
        True,
    ]


def depth_by_sampling(starts, ends, walls, samples=4001):
    """Greatest depth inside walls (0 = none) over densely sampled points of each piece [n], in grid units."""
    grid = len(walls)
    times = np.linspace(0, 1, samples)[None, :, None]
    points = starts[:, None] + times * (ends - starts)[:, None]
    cells = np.clip(np.floor(points).astype(int), 0, grid - 1)
    into = np.minimum(points - cells, cells + 1 - points).min(axis=-1)
    return np.where(walls[cells[..., 0], cells[..., 1]] > 0, into, 0).max(axis=1)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("reach", [0.1, 0.7, 12.0])
def test_against_dense_sampling(name, reach):
    rng = np.random.default_rng(0)
    layout = load_layout(name)
    walls = occupancy(layout, 12)
    cells = np.array(layout.free_cells)
    starts = cells[rng.integers(len(cells), size=400)] + rng.random((400, 2))
    ends = np.clip(starts + rng.uniform(-reach, reach, (400, 2)), 0, 12)
    exact = piece_collisions(np.stack([starts, ends], axis=1) / 12, walls)[:, 0]
    depth = depth_by_sampling(starts, ends, walls)
    assert exact[depth > 1e-9].all()
    # What sampling misses are short clips of a corner.
    missed = exact & (depth == 0)
    assert missed.sum() <= 4
    assert depth_by_sampling(starts[missed], ends[missed], walls, 400_001).all()
    assert exact.any() or reach < 0.5


def test_maps_broadcast_to_paths():
    maps = np.stack([occupancy(load_layout("umaze"), 5), occupancy(load_layout("umaze_eval"), 5)])
    path = np.array([[1.5, 1.5], [1.5, 3.5], [3.5, 3.5]]) / 5
    both = piece_collisions(np.stack([path, path]), maps)
    assert both.tolist() == [[False, False], [False, True]]
    repeated = piece_collisions(np.broadcast_to(path, (3, 2, 3, 2)), maps)
    assert repeated.shape == (3, 2, 2)
    assert (repeated == both).all()
    assert piece_collisions(np.stack([path, path]), maps).mean(-1).tolist() == [0, 0.5]
    assert crossed(np.stack([path, path]), maps).tolist() == [False, True]
    assert piece_collisions(path, maps[0]).shape == (2,)
    assert piece_collisions(np.zeros((0, 4, 2)), maps[0]).shape == (0, 3)


def test_many_pieces_in_chunks_equal_one_by_one():
    rng = np.random.default_rng(1)
    paths = rng.random((1500, 101, 2)).astype(np.float32)
    paths[:, 1:] = paths[:, :1] + 0.1 * (paths[:, 1:] - 0.5)
    together = piece_collisions(paths, WALLS)
    for number in (0, 700, 1499):
        np.testing.assert_array_equal(piece_collisions(paths[number], WALLS), together[number])
