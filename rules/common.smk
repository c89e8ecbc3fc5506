import shlex
import sys
from pathlib import Path

from interdiff.workflow.engine.dry_run import NOT_THERE
from interdiff.workflow.pipelines.maze_pipeline import MazePipeline
from interdiff.workflow.pipelines.needs import declared_gpus, granted_gpus
from interdiff.workflow.pipelines.pipeline import WEIGHTS
from interdiff.workflow.pipelines.video_pipeline import VideoPipeline

MAZE = MazePipeline(CONFIG.maze, CONFIG.results, workflow.basedir)
VIDEO = VideoPipeline(CONFIG.video, CONFIG.results, workflow.basedir)
CHECKPOINT = {
    "model": "model.safetensors",
    "config": "config.json",
    "run": "run.json",
    "history": "history.csv",
}


def results_root(wildcards):
    """Params function: the root folder of all results."""
    return CONFIG.results


def files(wildcards, input, output):
    """Params function: a job's inputs and outputs, by name, as the stages' options take them."""
    words = []
    for option, paths in (("--in", input), ("--out", output)):
        words.append(option)
        for name, value in paths.items():
            words += [f"{name}={path}" for path in ([value] if isinstance(value, str) else value)]
    return shlex.join(words)


def needs(pipeline):
    """Resources by name: what a rule's job is estimated to need, more with each attempt; all GPUs are those of one node."""

    def asked(resource):
        def value(wildcards, attempt, rulename):
            count = declared_gpus(workflow, wildcards, attempt, rulename)
            stage = rulename.removeprefix(f"{pipeline.domain}_")
            return pipeline.need(stage, wildcards, count).resources(count, attempt).get(resource)

        return value

    return {name: asked(name) for name in ("mem_mb", "gpu_mb", "runtime", "minutes")} | {"nodes": 1}


def from_outside(paths):
    """Files that no rule makes; a dry run tells what would be done although some are not there yet."""
    missing = [path for path in paths if not Path(path).exists()]
    if not (missing and workflow.dryrun):
        return paths
    for path in missing:
        print(f"{NOT_THERE}{path}", file=sys.stderr)
    return [path for path in paths if path not in missing]


def checkpoint_in(folder):
    """The files of a checkpoint by name, in a folder below the results root."""
    return {name: f"<results>/{folder}/{file}" for name, file in CHECKPOINT.items()}


def included(pipeline, part, *names):
    """Files of a part that a domain's report.html shows on request, below its results."""
    return [pipeline.path(name) for name in names if part in pipeline.reported.include]
