"""results/maze/refinement_limit/{variant}.csv: what phase 2 leaves with the true keyframes, beside what any must."""

from typing import Any

import numpy as np

from interdiff.files import load_arrays, write_csv
from interdiff.maze.evaluation.refinement_limit import best_estimate, limit_row, resampled
from interdiff.maze.evaluation.selection_limit import load_starts, sample_rows
from interdiff.maze.evaluation.settings import RefinementLimitStageSettings
from interdiff.maze.world.controller import resimulate
from interdiff.maze.world.layouts import OFFSET
from interdiff.maze.world.random_layouts import family, mazes
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage

COLUMNS = (
    "layout", "k", "n", "mse_interp", "mse_refined", "mse_limit", "refined_ratio", "limit_ratio", "limit_ratio_se",
)  # fmt: skip
FIELDS = ("truth", "oracle_interp", "oracle_refined", "indices", "row", "layout", "seed")


def main(stage: Stage) -> None:
    """Reads the prepared `test` split and a variant's `samples`; writes `limit`, a row per layout that we can simulate."""
    settings: RefinementLimitStageSettings = stage.settings
    samples = load_arrays(stage.path("samples"), FIELDS)
    samples = {name: values[samples["seed"] == samples["seed"][0]] for name, values in samples.items()}
    prepared = load_arrays(stage.path("held_out"), ("layouts", "simulated", "flip_y", "grid"))
    starts, names = load_starts(stage.path("held_out")), prepared["layouts"].tolist()
    flip, grid, simulated = (
        bool(prepared["flip_y"]),
        int(prepared["grid"]),
        dict(zip(names, starts.simulated, strict=True)),
    )
    families = np.array([family(name) for name in samples["layout"]])
    layouts = mazes({name: maze.map for name, maze in settings.layouts.items()})
    groups = [np.flatnonzero(families == name) for name in np.unique(families)]
    errors: dict[str, list[dict[str, float]]] = {}
    for n in stage.progress(sample_rows(groups, settings.conditions, stage.rng()), "re-simulating", unit="condition"):
        name, row = str(samples["layout"][n]), int(samples["row"][n])
        if not simulated[name]:
            continue
        truth, interp, refined = (_in_units(samples[key][n], grid, flip) for key in FIELDS[:3])
        told = starts.states[row], tuple(starts.targets[row].tolist()), stage.rng(1000 + row)
        runs = resimulate(layouts[name], *told, settings.demonstrations, settings.layouts[family(name)].noise)
        estimate = best_estimate(resampled(runs, len(truth)), truth, samples["indices"][n])
        made = {"interp": interp, "refined": refined, "limit": estimate}
        own = {key: float(np.square(path[:, :2] - truth[:, :2]).sum(-1).mean()) for key, path in made.items()}
        errors.setdefault(family(name), []).append(own)
    table: list[dict[str, Any]] = [
        {"layout": name, "k": samples["indices"].shape[1], "n": len(rows)}
        | limit_row({key: np.array([row[key] for row in rows]) for key in rows[0]})
        for name, rows in errors.items()
    ]
    write_csv(stage.outputs["limit"], table, COLUMNS)


def _in_units(states: np.ndarray, grid: int, flip: bool) -> np.ndarray:
    """Normalised states [T, 4] in the simulator's coordinates, velocities per duration."""
    states = states.astype(float)
    if flip:
        states = states * [1, -1, 1, -1] + [0, 1, 0, 0]
    return states * grid - [OFFSET, OFFSET, 0, 0]


if __name__ == "__main__":
    run_stage(main, RefinementLimitStageSettings)
