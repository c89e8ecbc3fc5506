"""Every kind of edit, and the jobs that it calls for."""

import os
from pathlib import Path

from conftest import SOURCE, append, config
from jobs import (
    ABLATED,
    ALL,
    COSTED,
    MASKED,
    NOTHING,
    ONE_LAYOUT,
    PHASE_1,
    PREPARED,
    REFINED,
    SAMPLED,
    SELECTED,
    VARIANTS,
)


def code(name):
    return lambda repository: repository.edit(name, append("unused = 1"))


def modules(repository):
    """Every Python file of the copy."""
    for part in ("interdiff", "stages"):
        for path in sorted((repository.folder / part).rglob("*.py")):
            yield str(path.relative_to(repository.folder))


def everywhere(change):
    """The same change of every module's text."""

    def edit(repository):
        for name in modules(repository):
            repository.edit(name, change)

    return edit


def docstring(text):
    return text.replace('"""', '"""Also: ', 1) if '"""' in text else f'"""A package."""\n{text}'


def touch(*patterns):
    def edit(repository):
        for pattern in patterns:
            for path in filter(Path.is_file, repository.folder.glob(pattern)):
                repository.keep(path.relative_to(repository.folder))
                path.touch()

    return edit


def reverted(edit):
    def there_and_back(repository):
        edit(repository)
        assert repository.jobs()
        repository.restore()

    return there_and_back


CODE = {
    "a comment in every module": (everywhere(lambda text: f"# Why.\n{text}"), NOTHING),
    "a docstring in every module": (everywhere(docstring), NOTHING),
    "blank lines in every module": (everywhere(lambda text: text.replace("\ndef ", "\n\n\n\ndef ") + "\n\n"), NOTHING),
    "touch of all sources": (touch("**/*.py", "Snakefile", "rules/*", "config.yaml", "envs/*"), NOTHING),
    "a comment in a rule": (lambda r: r.edit("rules/maze/planner.smk", lambda text: f"# Why.\n{text}"), NOTHING),
    "a reverted edit": (reverted(code("stages/maze/prepare.py")), NOTHING),
    # Stage scripts.
    **{
        f"stages/maze/{name}.py": (code(f"stages/maze/{name}.py"), expected)
        for name, expected in {
            "demonstrations": ("demonstrations", *PREPARED),
            "prepare": PREPARED,
            "masks": MASKED,
            "segment_cost": COSTED,
            "selector": SELECTED,
            "keyframes": PHASE_1,
            "anchors": ("anchors", *REFINED),
            "refiner": REFINED,
            "samples": SAMPLED,
            "selection": ("selection",),
            "gallery": ("gallery",),
            "metrics": ("metrics",),
            "ablations": ("ablations",),
        }.items()
    },
    # Modules of one stage, of several and of all; those that only validate, track and store are in no stage's identity.
    **{
        name: (code(name), expected)
        for name, expected in {
            "stages/curves.py": ("curves",),
            "stages/__main__.py": NOTHING,
            "interdiff/maze/evaluation/selection_limit.py": ("selection",),
            "interdiff/maze/figures/gallery.py": ("gallery",),
            "interdiff/maze/deep.py": ("gallery",),
            "interdiff/far.py": ("gallery",),
            "interdiff/plotting.py": ("gallery", "curves"),
            "interdiff/two_phase/sampler.py": SAMPLED,
            "interdiff/learning/training.py": COSTED,
            "interdiff/keyframes/segment_cost.py": MASKED,
            # Of what settings choose by name, only what is chosen counts.
            "interdiff/two_phase/interpolators/linear.py": REFINED,
            "interdiff/two_phase/interpolators/hermite.py": NOTHING,
            "interdiff/two_phase/interpolators/cubic.py": NOTHING,
            "interdiff/maze/world/simulator.py": ("demonstrations", *PREPARED),
            "interdiff/__init__.py": ALL,
            "interdiff/maze/world/__init__.py": tuple(name for name in ALL if name not in ("curves", "metrics"))
            + REFINED,
            "interdiff/learning/environment.py": ALL,
            "interdiff/maze/__init__.py": NOTHING,
            "stages/__init__.py": ALL,
            "stages/maze/__init__.py": ALL,
            "interdiff/workflow/tracking/tracker.py": NOTHING,
            "interdiff/workflow/manifest.py": NOTHING,
            "interdiff/workflow/runner.py": NOTHING,
        }.items()
    },
}


def setting(*keys, to):
    """Set one value of config.yaml below `maze`."""

    def change(maze):
        *path, last = keys
        for key in path:
            maze[key] = dict(maze[key])  # aliases of YAML are one object
            maze = maze[key]
        maze[last] = to

    return configured(change)


def configured(change):
    return lambda repository: repository.edit("config.yaml", config(change))


def swap(maze):
    training = maze["base"]["refiner"]["training"] = dict(maze["base"]["refiner"]["training"])
    training["log_every"], training["warmup_steps"] = training["warmup_steps"], training["log_every"]
    assert training["log_every"] != training["warmup_steps"]


def variant(name, **overrides):
    def change(maze):
        maze["variants"][name] = overrides
        maze["report"]["variants"].append(name)

    return configured(change)


def rename(maze):
    maze["variants"]["double"] = maze["variants"].pop("one_pass")
    names = maze["report"]["variants"]
    for listed in (names, maze["report"]["ablations"]["refiner_steps"]):
        listed[listed.index("one_pass")] = "double"


def unset(maze):
    del maze["base"]["data"]["flip_y"]


def reorder(maze):
    maze["variants"] = dict(reversed(maze["variants"].items()))
    maze["base"] = dict(reversed(maze["base"].items()))


MINE = """
from torch import nn

from my_package.layers import WIDTH


class Mine(nn.Module):
    def __init__(self, frames, hidden):
        super().__init__()

    def forward(self, x, mask, exact, condition):
        return x
"""
SEVERAL_PASSES = tuple(f"samples {name}" for name in (*VARIANTS, *ABLATED) if name not in ("one_pass", "all_levels"))
CONFIG = {
    "one stage's value": (setting("base", "refiner", "collision_weight", to=5.0), REFINED),
    "a value that variants inherit and one overrides": (
        setting("base", "sampling", "refiner_steps", to=3),
        (*SEVERAL_PASSES, "gallery", "metrics", "ablations"),
    ),
    "one variant's value": (
        setting("variants", "k4", "sampling", "keyframe_steps", to=5),
        ("samples k4", "metrics"),
    ),
    "a swapped pair": (configured(swap), REFINED),
    "the order of a list": (setting("base", "sampling", "seeds", to=[1, 0]), SAMPLED),
    "a default left out": (configured(unset), NOTHING),
    "the order of keys and variants": (configured(reorder), NOTHING),
    "one layout's value": (setting("layouts", "umaze", "seed", to=1), ONE_LAYOUT),
    "a display setting": (setting("report", "gallery", "samples_drawn", to=3), ("gallery",)),
    "the order of reported variants": (setting("report", "variants", to=list(reversed(VARIANTS))), ("metrics",)),
    "a variant no longer reported": (setting("report", "variants", to=list(VARIANTS[:-1])), ("metrics",)),
    "a comment": (lambda r: r.edit("config.yaml", lambda text: f"# Why.\n{text}"), NOTHING),
    "tracking": (
        lambda r: r.edit("config.yaml", lambda text: text.replace("enabled: true", "enabled: false")),
        NOTHING,
    ),
    "threads": (lambda r: r.edit("config.yaml", lambda text: text.replace("threads: 2", "threads: 1")), MASKED),
    "what a rule asks for": (
        lambda r: r.edit("rules/maze/base.smk", lambda text: text.replace("gpu=1,", "gpu=1,\n        disk_mb=5000,")),
        NOTHING,
    ),
    "a variant that nobody reports": (setting("variants", "other", to={"sampling": {"k": 4}}), NOTHING),
    "a variant equal to base": (variant("other", sampling={"k": 8}), ("metrics",)),
    "a variant of the last stage": (variant("other", sampling={"k": 4}), ("samples other", "metrics")),
    "a variant of a variant": (
        variant("other", **{"from": "k4"}, sampling={"refiner_steps": 1}),
        ("samples other", "metrics"),
    ),
    "a variant of an inner stage": (
        variant("other", keyframes={"counts": [4, 8, 16]}),
        ("keyframes other", "anchors other train", "anchors other val", "refiner other", "samples other", "metrics"),
    ),
    "a renamed variant": (configured(rename), ("samples double", "metrics", "ablations")),
}


def package(name, version):
    """Another installed version, as `importlib.metadata` sees it."""
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    return lambda repository: repository.edit(f"{name}-{version}.dist-info/METADATA", lambda text: metadata)


def older_with_other_content(name):
    def edit(repository):
        path = repository.keep(name)
        path.write_bytes(path.read_bytes() + b"more")
        os.utime(path, (1, 1))

    return edit


def newer_with_other_content(name):
    def edit(repository):
        path = repository.keep(name)
        path.write_bytes(path.read_bytes() + b"more")

    return edit


def removed(name):
    return lambda repository: repository.keep(name).unlink()


PREPARED_TRAIN = "results/maze/prepared/base/train.npz"
FILES = {
    "nothing": (lambda repository: None, NOTHING),
    "a package of the simulation": (package("mujoco", "9.0"), ("demonstrations", *PREPARED)),
    "a package of every network": (package("torch", "9.0"), MASKED),
    "the build of a package": (package("torch", "2.13.0+cpu"), NOTHING),
    "a package that changes no number": (package("matplotlib", "9.0"), NOTHING),
    "an external file, older with other content": (older_with_other_content(SOURCE), ONE_LAYOUT),
    "an external file, reverted": (reverted(older_with_other_content(SOURCE)), NOTHING),
    "touch of an external file": (touch(SOURCE), NOTHING),
    "touch of all results": (touch("results/maze/**/*.*"), NOTHING),
    "a result edited by hand": (
        newer_with_other_content(PREPARED_TRAIN),
        ("masks base train", *COSTED),
    ),
    "a removed table": (removed("results/maze/metrics.csv"), ("metrics",)),
    # Snakemake does not look at these; `make verify` does.
    "a result edited by hand, older": (older_with_other_content(PREPARED_TRAIN), NOTHING),
    "a removed result that nothing waits for": (removed("results/maze/refiner/base/history.csv"), NOTHING),
    "a removed record": (removed("results/maze/refiner/base/.manifest/model.safetensors.json"), NOTHING),
}


EDITS = CODE | CONFIG | FILES
WITHOUT_EFFECT = [edit for name, (edit, expected) in EDITS.items() if expected == NOTHING and "reverted" not in name]
"""What one dry run after all of them shows."""

# Each takes seconds; what these would find, others of the matrix find too, but for which edit it was.
QUICK_STAGES = ("prepare", "keyframes", "samples", "metrics")
LONG_MODULES = ("curves.py", "limit.py", "deep.py", "far.py", "/__init__.py")
LONG = {name for name in CODE if name.startswith("stages/maze/") and Path(name).stem not in QUICK_STAGES}
LONG |= {name for name in CODE if name.endswith(LONG_MODULES)} - {"interdiff/__init__.py"}
LONG |= {name for name, (_, expected) in EDITS.items() if expected == NOTHING} - {"nothing"}
LONG |= {
    "the order of reported variants",
    "a variant of an inner stage",
    "a variant of a variant",
    "a removed table",
}
