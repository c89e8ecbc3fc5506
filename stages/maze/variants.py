"""Record what each reported variant is made of, and show it in MLflow as the parent of its stages' runs."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from interdiff.files import canonical_json, file_sha256, read_json, write_json
from interdiff.tables import read_table
from interdiff.workflow.manifest import git_commit
from interdiff.workflow.pipelines.maze import MAZE_STAGES, VariantsStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from interdiff.workflow.tracking.runs import publish
from interdiff.workflow.variants import merge


def main(stage: Stage) -> None:
    """Reads `metrics` (the table of all), `pictures` and the `artifacts` behind them; writes the `record`."""
    settings: VariantsStageSettings = stage.settings
    metrics = read_table(stage.path("metrics"), text=True)
    pictures = [_relative(stage, path) for path in stage.inputs.get("pictures", ())]
    variants: dict[str, dict[str, Any]] = {}
    artifacts: dict[str, dict[str, Any]] = {}
    for name in settings.variants:
        changes, folders = settings.changes[name], settings.artifacts[name]
        config = merge(settings.base, changes)
        for part, folder in folders.items():
            artifacts.setdefault(folder, {"stage": part, "settings": config[MAZE_STAGES[part].section]})
        variants[name] = {
            "parent": settings.parents[name],
            "changes": changes,
            "config": config,
            "artifacts": folders,
            "metrics": metrics[metrics["variant"] == name].to_dict("records"),
            "pictures": [path for path in pictures if os.path.dirname(path) == folders["samples"]],
        }
    for folder, artifact in artifacts.items():
        artifact |= {"spec": settings.specs[folder]} | _identity(stage, folder)
    record = {"git_commit": git_commit(), "variants": variants, "artifacts": artifacts}
    write_json(stage.outputs["record"], record)
    publish(stage.results)


def _identity(stage: Stage, folder: str) -> dict[str, Any]:
    """The digests of an artifact's files, and its stage's identity or, where none was written, theirs taken together."""
    paths = [path for path in stage.inputs["artifacts"] if _relative(stage, path.parent) == folder]
    files = {path.name: file_sha256(path) for path in sorted(paths) if path.name != "run.json"}
    run = next((path for path in paths if path.name == "run.json"), None)
    joint = hashlib.sha256(canonical_json([folder, files]).encode()).hexdigest()
    return {"identity": read_json(run)["identity"] if run else joint, "files": files}


def _relative(stage: Stage, path: Path) -> str:
    return os.path.relpath(path, stage.results)


if __name__ == "__main__":
    run_stage(main, VariantsStageSettings)
