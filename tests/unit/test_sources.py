"""Files of Minari's and OGBench's kinds: made by hand, and by the packages themselves where they are installed."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from interdiff.errors import InputError
from interdiff.maze.evaluation.rollouts import shortest_path_policy
from interdiff.maze.world.d4rl import write_stream
from interdiff.maze.world.layouts import MAPS, load_layout
from interdiff.maze.world.packages import minari as minari_files
from interdiff.maze.world.packages import ogbench as ogbench_files
from interdiff.maze.world.packages.names import source_path
from interdiff.maze.world.packages.sources import check_source, read_source
from interdiff.maze.world.sequences import prepare
from interdiff.maze.world.settings import DataSettings
from interdiff.workflow.config import load_config

LAYOUT = load_layout("umaze")


def episode(start, goal, steps=20):
    """States [steps + 1, 4] along the axes of PointMaze, and its goals: the first is an old one, as in released data."""
    places = np.linspace(start, goal, steps + 1)
    velocities = np.gradient(places, 0.01, axis=0)
    goals = np.tile(np.asarray(goal), (steps + 1, 1))
    goals[0] += 1
    return np.concatenate([places, velocities], axis=1), goals


def write_minari(path, episodes):
    with h5py.File(path, "w") as file:
        for n, (states, goals) in enumerate(episodes):
            group = file.create_group(f"episode_{n}")
            group["observations/observation"], group["observations/desired_goal"] = states, goals
            group["actions"] = np.zeros((len(states) - 1, 2))
    return path


def test_minaris_axes_and_ends(tmp_path):
    ours = np.array([[0.8, 0.8], [0.8, 1.7], [0.8, 2.6]])
    a, b, c = (minari_files.pointmaze_positions(LAYOUT, place) for place in ours)
    # In the middle of cell (1, 1) of 5 x 5 cells PointMaze is at (-1, 1).
    assert minari_files.pointmaze_positions(LAYOUT, np.array([0.8, 0.8])) == pytest.approx([-1, 1])
    episodes = [episode(a, b), episode(b, c), *[episode(a, c)] * 9]
    path = write_minari(tmp_path / "main_data.hdf5", episodes)
    check_source(path)
    stream = read_source(path, LAYOUT)
    assert len(stream.states) == 21 + 20 + 9 * 21
    np.testing.assert_allclose(stream.states[[0, 20, 40], :2], ours, atol=1e-6)
    np.testing.assert_allclose(stream.states[10, 2:], [0, 0.9 / 0.2], atol=1e-4)
    np.testing.assert_allclose(stream.arrays["infos/goal"][[0, 20, 21]], [ours[1], ours[1], ours[2]], atol=1e-6)
    assert np.flatnonzero(stream.ends).tolist() == [20, *range(40, 230, 21)]
    # The motion goes on from the first to the second episode; before every later one the ball was put elsewhere.
    assert np.flatnonzero(stream.resets)[:2].tolist() == [40, 61]


def write_ogbench(path, places, terminals):
    np.savez(path, observations=places.astype(np.float32), actions=np.ones((len(places), 2)), terminals=terminals)
    return path


def test_ogbenchs_axes_velocities_and_goals(tmp_path):
    ours = np.stack([np.full(31, 0.8), np.linspace(0.8, 2.3, 31)], axis=1)
    # The middle of cell (1, 1) is OGBench's origin, and its x runs along columns.
    assert ogbench_files.ogbench_places(np.array([0.8, 1.8])) == pytest.approx([4, 0])
    places = np.tile(ogbench_files.ogbench_places(ours), (2, 1))
    path = write_ogbench(tmp_path / "pointmaze-umaze.npz", places, np.arange(62) % 31 == 30)
    check_source(path)
    stream = read_source(path, LAYOUT)
    assert stream.hindsight
    assert not stream.simulated
    np.testing.assert_allclose(stream.states[:31, :2], ours, atol=1e-6)
    np.testing.assert_allclose(stream.states[[0, 1, 31, 32], 3], [0, 0.5, 0, 0.5], atol=1e-5)
    np.testing.assert_allclose(stream.arrays["infos/goal"], np.tile(ours[-1], (62, 1)), atol=1e-6)
    assert np.flatnonzero(stream.resets).tolist() == [30, 61]
    slow = read_source(path, LAYOUT, dt=0.2)
    assert (slow.dt, slow.states[1, 3]) == (0.2, pytest.approx(0.25, abs=1e-5))


def damaged(tmp_path):
    """Paths and what is said of them."""
    places = np.zeros((4, 2))
    path = tmp_path / "short.npz"
    np.savez(path, observations=places)
    yield path, "not a data set of OGBench, missing actions, terminals"
    path = tmp_path / "text.npz"
    path.write_text("no")
    yield path, "not an npz file"
    path = write_ogbench(tmp_path / "ant.npz", np.zeros((4, 29)), np.arange(4) == 3)
    yield path, r"observations have shape \(4, 29\), expected \[S, 2\]"
    yield write_ogbench(tmp_path / "wall.npz", places - 4, np.arange(4) == 3), "100% of its positions lie in walls"
    yield tmp_path / "none.npz", "no such file"
    path = tmp_path / "empty.hdf5"
    with h5py.File(path, "w") as file:
        file["episode_0/actions"] = np.zeros((3, 2))
    yield path, "episode_0 lacks observations/observation, observations/desired_goal"
    path = write_minari(tmp_path / "odd.hdf5", [(np.zeros((4, 2)), np.zeros((4, 2)))])
    yield path, r"episode_0 has observations/observation \(4, 2\).*; expected \[S \+ 1, 4\]"


def test_damage_is_named(tmp_path):
    for path, message in damaged(tmp_path):
        with pytest.raises(InputError, match=message):
            read_source(path, LAYOUT)


def test_an_origin_is_for_files_whose_coordinates_are_not_known(tmp_path):
    path = write_ogbench(tmp_path / "a.npz", np.zeros((4, 2)), np.arange(4) == 3)
    with pytest.raises(InputError, match=r"origin=\[0, 0\], but coordinates of Minari's and OGBench's files are known"):
        read_source(path, LAYOUT, (0, 0))


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("D4RL/pointmaze/umaze-v2", "minari.storage.datasets_root_dir", "minari"),
     ("pointmaze-giant-navigate-v0", "ogbench.utils", "ogbench")],
)  # fmt: skip
def test_names_need_the_package(monkeypatch, name, module, extra):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(InputError, match=rf"layouts.umaze.source: .*{name}: .* the extra '{extra}'"):
        load_config({"maze": {"layouts": {"umaze": {"map": "umaze", "source": name}}}})
    assert source_path("data/pointmaze-giant.npz") == "data/pointmaze-giant.npz"


def pointmaze(**options):
    """gymnasium-robotics' environment on our map."""
    point_maze = pytest.importorskip("gymnasium_robotics.envs.maze.point_maze")
    walls = LAYOUT.walls.astype(int).tolist()
    return point_maze.PointMazeEnv(maze_map=walls, continuing_task=True, reset_target=True, **options)


def chased(env, rows):
    """Observations, one more than actions, of each episode, which ends at its goal, as in Minari's own script."""
    rng, observation = np.random.default_rng(0), env.reset(seed=0)[0]
    seen, done, known = [observation], [], None
    for _ in range(rows):
        state, goal = observation["observation"], observation["desired_goal"]
        now = np.concatenate([minari_files.joint_positions(LAYOUT, state[:2]), minari_files.turned(state[2:])])
        if known is None or (goal != known).any():
            known, act = goal, shortest_path_policy(LAYOUT, now, minari_files.joint_positions(LAYOUT, goal), rng)
        action = np.clip(minari_files.turned_back(np.array(act(0, tuple(now)))), -1, 1)
        observation, _, _, _, info = env.step(action)
        seen, done = [*seen, observation], [*done, action]
        if info["success"]:
            yield seen, done
            seen, done = [observation], []


def test_data_that_minari_makes(tmp_path, monkeypatch):
    """Driven in gymnasium-robotics by a chase of ours and saved by Minari."""
    minari = pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    env = pointmaze()
    episodes = [
        minari.data_collector.EpisodeBuffer(
            id=n,
            observations={key: [row[key] for row in seen] for key in seen[0]},
            actions=done,
            rewards=[0.0] * len(done),
            terminations=[False] * len(done),
            truncations=[False] * (len(done) - 1) + [True],
        )
        for n, (seen, done) in enumerate(chased(env, 4000))
    ]
    spaces = {"observation_space": env.observation_space, "action_space": env.action_space}
    minari.create_dataset_from_buffers("D4RL/pointmaze/own-v0", buffer=episodes, **spaces)
    stream = read_source(Path(source_path("D4RL/pointmaze/own-v0")), LAYOUT)
    assert 3800 < len(stream.states) <= 4001
    assert stream.simulated
    assert np.flatnonzero(stream.resets).size <= 1
    assert stream.ends.sum() == len(episodes) > 20
    settings = {"val_fraction": 0.2, "test_fraction": 0.2, "blocks": 5, "reach": 0.5}
    splits, counts = prepare([(LAYOUT, stream)], DataSettings(frames=32, **settings))
    assert counts["umaze"]["target not reached"] == counts["umaze"]["leaving free space"] == 0
    assert len(splits["train"]["positions"]) > 8


def test_data_as_ogbench_makes(tmp_path):
    """Steps in its environment by its own oracle, saved as its script saves them, through the file that stages write."""
    pytest.importorskip("ogbench")
    import gymnasium

    env = gymnasium.make("pointmaze-medium-v0", terminate_at_goal=False)
    rows = {"observations": [], "actions": [], "terminals": []}
    for task in range(1, 6):
        place, info = env.reset(seed=task, options={"task_id": task})
        for step in range(200):
            subgoal, _ = env.unwrapped.get_oracle_subgoal(place, info.get("goal", env.unwrapped.cur_goal_xy))
            action = np.clip((subgoal - place) / 0.2, -1, 1)
            for name, value in zip(rows, (place, action, step == 199), strict=True):
                rows[name].append(np.array(value))
            place = env.step(action)[0]
    path = tmp_path / "pointmaze-medium-own-v0.npz"
    np.savez_compressed(path, **{name: np.array(values) for name, values in rows.items()})
    medium = load_layout("medium")
    walls = np.array([list(row) for row in MAPS["medium"].replace("G", "O").split("\\")]) == "#"
    np.testing.assert_array_equal(env.unwrapped.maze_map == 1, walls)
    stream = read_source(path, medium)
    assert np.flatnonzero(stream.resets).tolist() == [199, 399, 599, 799, 999]
    # A step moves by at most 0.05 cells per axis in 0.1 s.
    assert 0.45 < np.abs(stream.states[:, 2:]).max() < 0.55
    write_stream(tmp_path / "own.hdf5", stream.arrays, medium, stream.dt)
    splits, counts = prepare([(medium, stream)], DataSettings(frames=32, val_fraction=0.2, test_fraction=0.2, blocks=5))
    assert counts["medium"]["leaving free space"] == 0
    assert sum(len(data["positions"]) for data in splits.values()) == 5
