"""A planner in one folder: the networks of both phases in bf16, and what it takes to plan with them."""

from interdiff.files import read_json, write_json
from interdiff.learning.checkpoints import write_in_bf16
from interdiff.maze.planner.data import load_prepared
from interdiff.maze.planner.settings import NETWORKS, PlannerSettings, PlannerStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads the `test` split for its sizes and each network's checkpoint; writes `planner` and copies of the networks."""
    settings: PlannerStageSettings = stage.settings
    data = load_prepared(stage.path("test"), stage.device)
    for name in NETWORKS["two_phase"]:
        weights, config, run = stage.inputs[name]
        write_in_bf16(weights, stage.outputs[f"{name}_model"])
        write_json(stage.outputs[f"{name}_config"], read_json(config))
        write_json(stage.outputs[f"{name}_run"], read_json(run))
    resolution = data.sdf.shape[-1] // data.cells
    planner = PlannerSettings(
        frames=data.frames,
        cells=data.cells,
        sdf_resolution=resolution,
        sampling=settings.sampling,
        planner=settings.planner,
    )
    write_json(stage.outputs["planner"], planner.model_dump())


if __name__ == "__main__":
    run_stage(main, PlannerStageSettings)
