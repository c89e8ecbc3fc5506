import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import neighbour
from stages.waiting import SPINS, USERS

ROOT = Path(__file__).parents[2]
CODE = """
import os, runpy, sys
sys.argv = ["stages", "--spec", '{"stage": "maze.refiner"}', "--help"]
sys.stdout, printed = sys.stderr, sys.stdout
try:
    runpy.run_module("stages", run_name="__main__", alter_sys=True)
except SystemExit:
    modules = list(sys.modules)
    assert modules.index("stages.waiting") < modules.index("torch")
    print(os.environ.get("GOMP_SPINCOUNT"), file=printed)
"""


@pytest.mark.parametrize(
    ("users", "expected"),
    [({}, SPINS), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_threads_wait_as_they_are_told_from_before_torch_is_there_and_as_the_user_says(users, expected):
    environment = {name: value for name, value in os.environ.items() if name not in USERS} | users
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == expected, done.stderr


def test_what_a_neighbour_costs_can_be_measured():
    training = neighbour.Training(SPINS)
    with neighbour.neighbour(busy=True):
        assert training.rate(0.1) > 0
    training.end()
    assert training.process.returncode == 0
