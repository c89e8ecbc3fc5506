import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from interdiff.maze.world.environment import TASKS
from interdiff.maze.world.layouts import MAPS


@pytest.mark.filterwarnings("ignore:.*Box observation space")
@pytest.mark.parametrize("layout", MAPS)
@pytest.mark.parametrize("task", TASKS)
def test_every_environment_passes_gymnasiums_checker(layout, task):
    check_env(gymnasium.make(f"interdiff/Maze2D-{layout}-{task}-v0").unwrapped, skip_render_check=True)


def test_episodes_are_truncated_and_never_terminated():
    env = gymnasium.make("interdiff/Maze2D-umaze-single-v0")
    env.reset(seed=0)
    ends = [env.step(np.zeros(2, np.float32))[2:4] for _ in range(300)]
    assert not any(terminated for terminated, _ in ends)
    assert [truncated for _, truncated in ends] == [False] * 299 + [True]


def test_the_reward_is_being_at_the_goal():
    env = gymnasium.make("interdiff/Maze2D-umaze-single-v0")
    for seed in range(20):
        state, info = env.reset(seed=seed)
        state, reward, _, _, info = env.step(np.zeros(2, np.float32))
        assert reward == (np.linalg.norm(state[:2] - info["goal"]) <= 0.5)
        assert info["success"] == bool(reward)


def test_goals_are_fixed_in_single_and_drawn_in_multi():
    goals = {}
    for task in TASKS:
        env = gymnasium.make(f"interdiff/Maze2D-large-{task}-v0")
        goals[task] = {tuple(env.reset(seed=seed)[1]["goal"]) for seed in range(10)}
    assert goals["single"] == {(7.0, 9.0)}
    assert len(goals["multi"]) == 10
