import hashlib
import time

import numpy as np
import pytest

from interdiff.maze.world.layouts import load_layout
from interdiff.maze.world.random_layouts import random_layouts
from interdiff.maze.world.settings import RandomMapsSettings


def family(**changes):
    return RandomMapsSettings(count=30, sides=(5, 9), **changes)


def test_mazes_are_closed_connected_and_of_the_sizes_asked_for():
    layouts = random_layouts(family(), "random")
    assert [layout.name for layout in layouts] == [f"random-{n}" for n in range(30)]
    sides = np.array([layout.walls.shape for layout in layouts])
    assert (sides.min(), sides.max()) == (5, 9)
    for layout in layouts:
        again = load_layout(layout.ascii, layout.name)  # refuses open borders and cells that are cut off
        assert np.array_equal(again.walls, layout.walls)
        assert again.goal == layout.goal


def test_the_seed_decides():
    first, again, other = (random_layouts(family(seed=seed), "random") for seed in (0, 0, 1))
    assert [layout.ascii for layout in first] == [layout.ascii for layout in again]
    assert [layout.ascii for layout in first] != [layout.ascii for layout in other]


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_the_share_of_walls(share):
    layouts = random_layouts(family(wall_share=(share, share)), "random")
    inner = [layout.walls[1:-1, 1:-1].mean() for layout in layouts]
    assert np.mean(inner) == pytest.approx(share, abs=0.05)


def test_mazes_lie_anywhere_in_their_grid():
    layouts = random_layouts(family(grid=12), "random")
    assert {layout.walls.shape for layout in layouts} == {(12, 12)}
    corners = {tuple(np.argwhere(~layout.walls).min(axis=0)) for layout in layouts}
    assert len(corners) > 10
    assert all(load_layout(layout.ascii).goal == layout.goal for layout in layouts)


def test_a_grid_smaller_than_its_mazes_is_refused():
    with pytest.raises(ValueError, match=r"grid=8 is smaller than sides=\[5, 9\]"):
        family(grid=8)


def test_large_mazes_are_drawn_in_moments():
    """The same ones as when a search in Python told whether free cells are connected, which took two seconds a maze."""
    before = time.process_time()
    layouts = random_layouts(RandomMapsSettings(count=4, sides=(32, 32), wall_share=(0.3, 0.5), seed=32), "large")
    assert time.process_time() - before < 2
    assert hashlib.sha256("".join(layout.ascii for layout in layouts).encode()).hexdigest()[:16] == "bb7d3e497e2e6456"
