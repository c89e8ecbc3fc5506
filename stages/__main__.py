"""`python -m stages --spec JSON ...` runs the stage that the spec names, as `python -m stages.maze.refiner` would."""

import json
import runpy
import sys

import stages.waiting  # noqa: F401 - before torch, which the stage imports

runpy.run_module(
    f"stages.{json.loads(sys.argv[sys.argv.index('--spec') + 1])['stage']}", run_name="__main__", alter_sys=True
)
