from interdiff.maze.planner.settings import NETWORKS


def layout_source(wildcards):
    """Input function: the layout's D4RL file, if it names one."""
    source = CONFIG.maze.layouts[wildcards.layout].source
    return [source] if source else []


def layout_demonstrations(wildcards):
    """Input function: the demonstrations of a variant's layouts, in their order."""
    data = MAZE.section("prepare", wildcards.variant)
    folder = f"improved/{data['improved_by']}" if data["improved_by"] else "demonstrations"
    return [MAZE.path(f"{folder}/{layout}.hdf5") for layout in data["layouts"]]


def sample_folder(variant):
    """The folder of a variant's samples."""
    return f"{CONFIG.results}/{MAZE.folder('samples', variant)}"


def report_metrics():
    """The reported variants' tables, in their order."""
    return [f"{sample_folder(variant)}/metrics.csv" for variant in CONFIG.maze.report.variants]


def report_selection():
    """The comparison of ways to choose keyframes; it re-simulates goal-to-goal segments, and nothing else."""
    return [MAZE.path("selection.csv")] if CONFIG.maze.base.data.mode == "segments" else []


def baseline_checkpoint(stage, planner):
    """Input function: what it takes to rebuild a network of a learned baseline, a key of `report.baselines`."""

    def paths(wildcards):
        return MAZE.files(stage, getattr(CONFIG.maze.report.baselines, planner).variant, *WEIGHTS)

    return paths


def planner_networks(planners):
    """Networks of planners that a part of the report compares."""
    return MAZE.planning_files(item.variant for item in planners.values())


def planner_data(planners):
    """The data whose sizes these networks know."""
    files = [MAZE.files("prepare", item.variant, "test.npz") for item in planners.values()]
    return list(dict.fromkeys(path for paths in files for path in paths))


def driven(tasks, suffix):
    """Files of the stage drive, one per task and map."""
    maps = CONFIG.maze.report.rollouts.tasks
    return [MAZE.path(f"rollouts/{task}/{name}{suffix}") for task in tasks for name in maps[task]]


def ablation_samples(wildcards):
    """Input function: all samples of a table, every file once."""
    folders = dict.fromkeys(MAZE.ablation_folders(wildcards.table).values())
    return [f"{CONFIG.results}/{folder}/samples.npz" for folder in folders]


def control_samples(name):
    """A file of all samples of controls.csv, every file once."""
    folders = dict.fromkeys(folder for seeds in MAZE.control_folders().values() for folder in seeds)
    return [f"{CONFIG.results}/{folder}/{name}" for folder in folders]


def report_pictures():
    """Pictures of the drawn variants: a gallery per layout, and training curves."""
    return [
        f"{sample_folder(variant)}/{name}.png"
        for variant in CONFIG.maze.report.gallery.variants
        if variant in CONFIG.maze.report.variants
        for name in [*MAZE.section("prepare", variant)["layouts"], "curves"]
    ]


def report_ablations():
    """The table of ablations that the report shows: all that there are, where they are asked for."""
    shown = CONFIG.maze.report
    everything = included(MAZE, "ablations", "ablations.csv") if shown.ablations else []
    return everything or [MAZE.path("quick_ablations.csv")] * bool(shown.quick_ablations)
