import hashlib

from interdiff.workflow.variants import difference


def layout_spec(wildcards):
    """Params function: the identity text of a layout's demonstrations."""
    layout = CONFIG.maze.layouts[wildcards.layout]
    return stage_spec("demonstrations", layout.model_dump(), sources=layout_source(wildcards))


def layout_source(wildcards):
    """Input function: the layout's D4RL file, if it names one."""
    source = CONFIG.maze.layouts[wildcards.layout].source
    return [source] if source else []


def layout_demonstrations(wildcards):
    """Input function: the demonstrations of a variant's layouts, in their order."""
    layouts = MAZE.section("prepare", wildcards.variant)["layouts"]
    return [f"{CONFIG.results}/maze/demonstrations/{layout}.hdf5" for layout in layouts]


def sample_folder(variant):
    """The folder of a variant's samples."""
    return f"{CONFIG.results}/{artifact('samples', variant)}"


def report_metrics():
    """The reported variants' tables, in their order."""
    return [f"{sample_folder(variant)}/metrics.csv" for variant in CONFIG.maze.report.variants]


def report_selection():
    """The comparison of ways to choose keyframes; it re-simulates single mazes' goal-to-goal segments, and nothing else."""
    data = CONFIG.maze.base.data
    single = all(isinstance(CONFIG.maze.layouts[name].map, str) for name in data.layouts)
    return [f"{CONFIG.results}/maze/selection.csv"] if single and data.mode == "segments" else []


def selection_spec(wildcards):
    """Params function: the identity text of the comparison, with the maps and noise that it simulates."""
    layouts = {
        name: CONFIG.maze.layouts[name].model_dump(include={"map", "noise"})
        for name in CONFIG.maze.base.data.layouts
    }
    settings = CONFIG.maze.report.selection.model_dump() | {"layouts": layouts}
    return stage_spec("selection", settings)


def report_pictures():
    """Pictures of the drawn variants: a gallery per layout, and training curves."""
    return [
        f"{sample_folder(variant)}/{name}.png"
        for variant in CONFIG.maze.report.gallery.variants
        for name in [*MAZE.section("prepare", variant)["layouts"], "curves"]
    ]


CHECKPOINT = ("model.safetensors", "run.json")
SPLIT_FILES = ("train.npz", "val.npz", "test.npz")
ARTIFACTS = {
    "prepare": SPLIT_FILES,
    "masks": SPLIT_FILES,
    "segment_cost": CHECKPOINT,
    "selector": CHECKPOINT,
    "keyframes": CHECKPOINT,
    "anchors": ("train.npz",),
    "refiner": CHECKPOINT,
    "samples": ("samples.npz", "metrics.csv"),
}


def reported_artifacts():
    """What the reported variants are made of, every file once."""
    files = {
        f"{CONFIG.results}/{artifact(stage, variant)}/{name}": None
        for variant in CONFIG.maze.report.variants
        for stage, names in ARTIFACTS.items()
        for name in names
    }
    return list(files)


def variants_spec(wildcards):
    """Params function: the identity text of the reported variants' record."""
    names = CONFIG.maze.report.variants
    folders = {name: {stage: artifact(stage, name) for stage in ARTIFACTS} for name in names}
    specs = {
        folder: hashlib.sha256(stage_spec(stage, MAZE.section(stage, name)).encode()).hexdigest()[:12]
        for name in names
        for stage, folder in folders[name].items()
    }
    settings = {
        "variants": names,
        "base": MAZE.settings["base"],
        "changes": {name: difference(MAZE.settings["base"], MAZE.settings[name]) for name in names},
        "parents": {name: MAZE.parents.get(name) for name in names},
        "artifacts": folders,
        "specs": specs,
    }
    return stage_spec("variants", settings)


def baseline_checkpoint(stage, planner):
    """Input function: what it takes to rebuild a network of a learned baseline, a key of `report.baselines`."""

    def paths(wildcards):
        return variant_files(stage, getattr(CONFIG.maze.report.baselines, planner).variant, *WEIGHTS)

    return paths


def planner_files(stage, *names):
    """Files of a stage for each of our planners in the simulator, sorted by their names."""
    planners = [item for _, item in sorted(CONFIG.maze.report.rollouts.planners.items())]
    return [path for item in planners for path in variant_files(stage, item.variant, *names)]


def unseen_files(stage, *names):
    """Files of a stage that the planner of unseen.csv uses."""
    return variant_files(stage, CONFIG.maze.report.unseen.planner.variant, *names)


def drive_spec(wildcards):
    """Params function: the identity text of one task and map, with the planners' sampling settings and the baselines."""
    rollouts, baselines = CONFIG.maze.report.rollouts, CONFIG.maze.report.baselines
    sampling = {name: MAZE.section("samples", item.variant) for name, item in rollouts.planners.items()}
    settings = rollouts.model_dump(exclude={"tasks", "drawn_task"}) | {
        "task": wildcards.task,
        "layout": wildcards.map,
        "sampling": sampling,
        "baselines": baselines.model_dump(),
    }
    return stage_spec("drive", settings, CONFIG.maze.threads)


def driven(tasks, suffix):
    """Files of the stage drive, one per task and map."""
    maps = CONFIG.maze.report.rollouts.tasks
    return [f"{CONFIG.results}/maze/rollouts/{task}/{name}{suffix}" for task in tasks for name in maps[task]]


def unseen_spec(wildcards):
    """Params function: the identity text of the plans in unseen mazes."""
    unseen = CONFIG.maze.report.unseen
    settings = unseen.model_dump() | {
        "sampling": MAZE.section("samples", unseen.planner.variant),
        "tracker": CONFIG.maze.report.rollouts.tracker.model_dump(),
    }
    return stage_spec("unseen", settings, CONFIG.maze.threads)


def ablations_of(table):
    """The ablations of a table: all, or the quick ones."""
    shown = CONFIG.maze.report
    return {
        group: names
        for group, names in shown.ablations.items()
        if table == "ablations" or group in shown.quick_ablations
    }


def ablation_folders(table):
    """Folders, below the results root, of the samples that a table compares, base's too."""
    named = [name for names in ablations_of(table).values() for name in names]
    return {name: artifact("samples", name) for name in ["base", *named]}


def ablation_samples(wildcards):
    """Input function: all samples of a table, every file once."""
    folders = dict.fromkeys(ablation_folders(wildcards.table).values())
    return [f"{CONFIG.results}/{folder}/samples.npz" for folder in folders]


def ablations_spec(wildcards):
    """Params function: the identity text of a table of ablations."""
    settings = {"ablations": ablations_of(wildcards.table), "folders": ablation_folders(wildcards.table)}
    return stage_spec("ablations", settings)


def report_ablations():
    """The table of ablations that the report shows: all that there are, where they are asked for."""
    return included("ablations", "ablations.csv") or [f"{CONFIG.results}/maze/quick_ablations.csv"]


def diagnostics_spec(wildcards):
    """Params function: the identity text of a variant's diagnostics."""
    sampling = MAZE.section("samples", wildcards.variant)
    settings = CONFIG.maze.report.diagnostics.model_dump() | {
        key: sampling[key] for key in ("k", "keyframe_steps")
    }
    return stage_spec("diagnostics", settings, CONFIG.maze.threads)


def included(part, *names):
    """Files of a part that report.html shows on request, below the maze's results."""
    return [f"{CONFIG.results}/maze/{name}" for name in names if part in CONFIG.maze.report.include]
