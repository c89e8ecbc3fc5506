import numpy as np
import pytest

from interdiff.errors import InputError
from interdiff.maze.world.layouts import (
    MAPS,
    cell_distances,
    cell_steps,
    far,
    load_layout,
    occupancy,
    parse_layout,
    signed_distance,
)

SIZES = {"umaze": (5, 5, 7), "medium": (8, 8, 26), "large": (9, 12, 46)}
GOALS = {
    "umaze": (1, 1),
    "medium": (6, 6),
    "large": (7, 9),
    "umaze_eval": (1, 3),
    "medium_eval": (1, 6),
    "large_eval": (1, 9),
}


@pytest.mark.parametrize("name", MAPS)
def test_known_maps_parse_and_round_trip(name):
    layout = load_layout(name)
    assert layout.goal == GOALS[name]
    assert parse_layout(name, layout.ascii).ascii == MAPS[name]
    if name in SIZES:
        assert (*layout.walls.shape, len(layout.free_cells)) == SIZES[name]


def test_separators_and_free_characters_are_equal():
    by_lines = parse_layout("a", "\n####\n#O0#\n# G#\n####\n")
    by_backslash = parse_layout("a", "####\\#OO#\\#OG#\\####")
    assert by_lines.ascii == by_backslash.ascii
    assert by_lines.goal == (2, 2)


@pytest.mark.parametrize(
    ("ascii_map", "message"),
    [
        ("####\\#OX#\\####", "unknown characters"),
        ("####\\#OO##\\####", "rows must have one length"),
        ("####\\####\\####", "no free cell"),
        ("####\\#O##\\####", "at least 2 free cells"),
        ("#####\\#O#O#\\#####", r"cell \(1, 3\) cannot be reached"),
        ("#####\\#G#O#\\#####", r"cell \(1, 3\) cannot be reached from cell \(1, 1\)"),
        ("####\\#OOO\\####", r"border must be all '#', cell \(1, 3\)"),
        ("####\\#GG#\\####", "at most one goal"),
    ],
)
def test_bad_maps_are_refused(ascii_map, message):
    with pytest.raises(InputError, match=message):
        parse_layout("bad", ascii_map)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match=r"'hugemaze'.*umaze, medium, large"):
        load_layout("hugemaze")


def test_diagonal_cells_are_not_connected():
    with pytest.raises(InputError, match=r"cannot be reached"):
        parse_layout("diagonal", "####\\#O##\\##O#\\####")


def test_occupancy_pads_with_wall():
    padded = occupancy(load_layout("umaze"), 12)
    assert padded.shape == (12, 12)
    assert padded.dtype == np.uint8
    assert padded[5:].all()
    assert padded[:, 5:].all()
    assert (padded == 0).sum() == 7
    with pytest.raises(InputError, match=r"do not fit"):
        occupancy(load_layout("large"), 9)


def test_signed_distance_against_dense_sampling():
    layout, resolution, fine = load_layout("umaze"), 4, 40
    sdf = signed_distance(layout, 5, resolution)
    dense = (np.arange(-fine, 6 * fine) + 0.5) / fine
    x, y = np.meshgrid(dense, dense, indexing="ij")
    walls = np.pad(layout.walls, 1, constant_values=True)[np.floor(x).astype(int) + 1, np.floor(y).astype(int) + 1]
    points = np.stack([x, y], axis=-1)
    centres = (np.arange(5 * resolution) + 0.5) / resolution
    for i in range(0, 5 * resolution, 3):
        for j in range(0, 5 * resolution, 2):
            in_wall = layout.walls[i // resolution, j // resolution]
            distance = np.linalg.norm(points - (centres[i], centres[j]), axis=-1)[walls != in_wall].min()
            assert sdf[i, j] == pytest.approx(-distance if in_wall else distance, abs=1.5 / fine)


def test_signed_distance_sign_and_padding():
    layout = load_layout("umaze")
    sdf = signed_distance(layout, 12, 3)
    assert sdf.shape == (36, 36)
    assert sdf.dtype == np.float32
    walls = occupancy(layout, 12).repeat(3, axis=0).repeat(3, axis=1).astype(bool)
    assert (sdf[walls] < 0).all()
    assert (sdf[~walls] > 0).all()
    assert sdf[4, 4] == pytest.approx(0.5)
    assert sdf[35, 4] == pytest.approx(-(11 + 5 / 6 - 4))


def test_cell_distances_follow_corridors():
    distances = cell_distances(load_layout("umaze").walls, (1, 1))
    assert distances[3, 1] == 6
    assert np.isinf(distances[2, 2])


@pytest.mark.parametrize("name", ["umaze", "large"])
def test_steps_between_cells_are_those_of_a_search_from_each(name):
    layout, grid = load_layout(name), 13
    walls = occupancy(layout, grid)
    steps = cell_steps(walls, np.arange(grid * grid)).reshape(grid, grid, grid, grid)
    for cell in layout.free_cells:
        distances = np.minimum(cell_distances(walls.astype(bool), cell), far(grid))
        np.testing.assert_array_equal(steps[cell], distances)
    assert (steps[0, 0] == far(grid)).all()


def test_ways_longer_than_a_byte_are_counted_from_the_cells_asked_alone():
    walls = np.ones((101, 101), dtype=np.uint8)
    walls[1:-1:2, 1:-1] = 0
    walls[2:-1:4, -2] = walls[4:-1:4, 1] = 0  # one corridor, back and forth
    steps = cell_steps(walls, np.array([1 * 101 + 1, 0]))
    assert steps.shape == (2, 101 * 101)
    assert steps[0].reshape(101, 101)[99, 1] == 50 * 98 + 49 * 2
    assert (steps[1] == far(101)).all()
    assert far(101) > 50 * 100
