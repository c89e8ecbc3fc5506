"""With a stand-in for the package, without it, and against the real one where it is installed."""

import ast
import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from interdiff.errors import InputError
from interdiff.maze.world.controller import WaypointController
from interdiff.maze.world.layouts import MAPS, load_layout
from interdiff.maze.world.packages.d4rl import ENVIRONMENTS, dataset_path
from interdiff.maze.world.tasks import GOAL_RADIUS, REFERENCE_SCORES, reference_scores
from interdiff.workflow.config import load_config

TABLES = """
DATASET_URLS = {"maze2d-umaze-v1": "http://host/folder/umaze.hdf5", "other-v0": "http://host/other.hdf5"}
REF_MIN_SCORE, REF_MAX_SCORE = {"maze2d-umaze-v1": 1.0}, {"maze2d-umaze-v1": 2.0}
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package d4rl with the tables above, whose data sets are in a folder."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "d4rl"]:
        monkeypatch.delitem(sys.modules, name)
    folder = tmp_path / "packages/d4rl"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "infos.py").write_text(TABLES)
    (folder / "offline_env.py").write_text(
        f"import os\ndef filepath_from_url(url): return os.path.join({str(tmp_path)!r}, os.path.basename(url))\n"
    )
    monkeypatch.syspath_prepend(folder.parent)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "d4rl"]:
        del sys.modules[name]


@pytest.fixture
def without(monkeypatch):
    monkeypatch.setitem(sys.modules, "d4rl", None)
    monkeypatch.delitem(sys.modules, "d4rl.infos", raising=False)


def test_scores_and_data_sets_are_the_package_s(package):
    assert reference_scores("umaze") == (1.0, 2.0)
    assert reference_scores("large_eval") == REFERENCE_SCORES["large_eval"]
    with pytest.raises(InputError, match=r"umaze.hdf5 is not there; download it from http://host/folder/umaze.hdf5"):
        dataset_path("maze2d-umaze-v1")
    (package / "umaze.hdf5").touch()
    assert dataset_path("maze2d-umaze-v1") == package / "umaze.hdf5"
    with pytest.raises(InputError, match=r"maze2d-big-v1: no data set of d4rl; expected one of maze2d-umaze-v1$"):
        dataset_path("maze2d-big-v1")


def test_without_the_package_nothing_changes_but_names(without):
    assert reference_scores("umaze") == REFERENCE_SCORES["umaze"]
    with pytest.raises(InputError, match=r"layouts.umaze.source: .*need the package d4rl"):
        load_config({"maze": {"layouts": {"umaze": {"map": "umaze", "source": "maze2d-umaze-v1"}}}})


@pytest.fixture(scope="module")
def real():
    """The real package; its simulator is replaced where mujoco-py is missing, which it cannot be imported without."""
    package = pytest.importorskip("d4rl", exc_type=ImportError)
    if "d4rl.pointmaze" not in sys.modules:
        stand_in = ModuleType("d4rl.pointmaze")
        stand_in.__path__ = [str(Path(package.__file__).parent / "pointmaze")]
        sys.modules["d4rl.pointmaze"] = stand_in
    return package


def source(real):
    return (Path(real.__file__).parent / "pointmaze/maze_model.py").read_text()


def test_scores_and_maps_equal_the_real_package_s(real):
    for name in ("umaze", "medium", "large"):
        own = REFERENCE_SCORES[name]
        assert own == (real.infos.REF_MIN_SCORE[ENVIRONMENTS[name]], real.infos.REF_MAX_SCORE[ENVIRONMENTS[name]])
    assigned = {
        node.targets[0].id: eval(compile(ast.Expression(node.value), "maze_model.py", "eval"))
        for node in ast.parse(source(real)).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp)
    }
    theirs = {"umaze": "U_MAZE", "medium": "MEDIUM_MAZE", "large": "LARGE_MAZE"}
    for name, constant in theirs.items():
        assert MAPS[name] == assigned[constant]
        assert MAPS[f"{name}_eval"] == assigned[f"{constant}_EVAL"]
    assert f"<= {GOAL_RADIUS} else 0.0" in source(real)


@pytest.mark.parametrize("name", ["umaze", "medium", "large"])
def test_the_controller_acts_as_the_real_package_s(real, name, monkeypatch):
    """Without jitter of the waypoints, which each draws from a generator of its own."""
    theirs = importlib.import_module("d4rl.pointmaze.waypoint_controller").WaypointController(MAPS[name])
    monkeypatch.setattr(np.random, "uniform", lambda *args, size=None, **kwargs: np.zeros(size))

    class NoJitter:
        def uniform(self, low, high, size):
            return np.zeros(size)

    layout, rng = load_layout(name), np.random.default_rng(0)
    ours = WaypointController(layout, NoJitter())
    cells = np.array(layout.free_cells)
    for _ in range(30):
        start, target = cells[rng.integers(len(cells), size=2)].astype(float)
        for step in range(5):
            position, velocity = start + rng.normal(0, 0.05, 2) * (step > 0), rng.normal(0, 1, 2)
            expected, done = theirs.get_action(position, velocity, target)
            *action, solved = ours.act((*position, *velocity), tuple(target))
            assert action == pytest.approx(list(expected), abs=1e-6)
            assert solved == done
