import shlex

from interdiff.workflow.pipelines.maze_pipeline import MazePipeline
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
            first, *others = [value] if isinstance(value, str) else value or [""]
            words += [f"{name}={first}", *others]
    return shlex.join(words)


def memory(megabytes):
    """Resource function: memory that grows with each attempt of a job."""
    return lambda wildcards, attempt: megabytes * attempt


def checkpoint_in(folder):
    """The files of a checkpoint by name, in a folder below the results root."""
    return {name: f"<results>/{folder}/{file}" for name, file in CHECKPOINT.items()}
