"""Demonstrations by a planner."""

from types import SimpleNamespace

import numpy as np
import pytest

from interdiff.errors import InputError
from interdiff.learning import draws
from interdiff.maze.evaluation.improvement import demonstrations, driven
from interdiff.maze.evaluation.settings import ImprovementSettings
from interdiff.maze.planner.settings import TimedPlannerSettings
from interdiff.maze.world.d4rl import read_stream, write_stream
from interdiff.maze.world.layouts import load_layout
from interdiff.maze.world.paths import shortest_path
from interdiff.maze.world.sequences import prepare
from interdiff.maze.world.settings import DataSettings, TrackerSettings
from interdiff.maze.world.simulator import PointMaze
from interdiff.maze.world.tracker import Reference, tracker
from interdiff.workflow.config import load_config
from interdiff.workflow.pipelines.maze_pipeline import MazePipeline

LAYOUT = load_layout("umaze")


class Wavering:
    """Drives the search's path, each time at another pace, the second one fastest."""

    def __init__(self, paces=(150, 60, 120)):
        self.paces, self.asked, self.settings = paces, 0, TimedPlannerSettings()

    def plan(self, layout, states, goals, generator):
        steps = self.paces[self.asked % len(self.paces)]
        self.asked += 1
        paths = [shortest_path(layout, state, goal, steps) for state, goal in zip(states, goals, strict=True)]
        return [Reference(path, np.gradient(path, 0.01, axis=0)) for path in paths]


@pytest.fixture
def settings(monkeypatch):
    import interdiff.maze.evaluation.improvement as module

    monkeypatch.setattr(module, "replace", lambda planner, **_: planner)
    monkeypatch.setattr(module, "TOGETHER", 6)
    return ImprovementSettings(planner=TimedPlannerSettings(candidates=3), rows=300, steps=400)


def test_the_fastest_arrivals_are_a_file_that_is_prepared_as_any_other(settings, tmp_path):
    planner = Wavering()
    arrays = demonstrations(planner, LAYOUT, 300, settings, TrackerSettings(), draws.generator_of)
    slow = demonstrations(Wavering((150, 150, 150)), LAYOUT, 300, settings, TrackerSettings(), draws.generator_of)
    assert planner.asked % 3 == 0
    lengths = [np.diff(np.flatnonzero(np.append(True, x["terminals"]))) for x in (arrays, slow)]
    assert np.mean(lengths[0]) < np.mean(lengths[1])
    ends = arrays["terminals"]
    away = np.linalg.norm(arrays["observations"][ends, :2] - arrays["infos/goal"][ends], axis=1)
    assert (away <= settings.reach).all()
    write_stream(tmp_path / "umaze.hdf5", arrays, LAYOUT)
    stream = read_stream(tmp_path / "umaze.hdf5")
    assert stream.simulated
    assert (stream.resets == ends).all()
    options = DataSettings(layouts=["umaze"], frames=8, blocks=3, val_fraction=0.3, test_fraction=0.3)
    splits, _ = prepare([(LAYOUT, stream)], options)
    assert sum(len(split["positions"]) for split in splits.values()) > 0


def test_what_does_not_arrive_is_no_demonstration(settings):
    still = SimpleNamespace(
        plan=lambda layout, states, goals, _: [Reference(s[None, :2], s[None, 2:] * 0) for s in states]
    )
    still.settings = TimedPlannerSettings()
    with pytest.raises(InputError, match="umaze: none of 6 starts arrives in 400 steps"):
        demonstrations(still, LAYOUT, 300, settings, TrackerSettings(), draws.generator_of)
    start, goal = np.array([1.0, 1.0, 0, 0]), np.array([1.0, 1.05])
    stay = tracker(Reference(start[None, :2], np.zeros((1, 2))), TrackerSettings())
    assert len(driven(PointMaze(LAYOUT), start, goal, stay, 0.1, 5).states) == 1


def test_variants_that_improve_each_other_are_refused():
    def config(**variants):
        data = {name: {"data": {"improved_by": teacher}} for name, teacher in variants.items()}
        return load_config({"maze": {"variants": data}}).maze

    with pytest.raises(InputError, match=r"variants\.a\.data\.improved_by: unknown variant 'x'"):
        config(a="x")
    with pytest.raises(InputError, match=r"improved_by: a cycle, a -> b -> a"):
        config(a="b", b="a")
    maze = config(a="base")
    told = MazePipeline(maze, "results", ".").improved(SimpleNamespace(variant="base", layout="umaze"))
    assert told["map"] == "umaze"
    assert told["folders"]["two_phase"][0]["refiner"] == "maze/refiner/base"
