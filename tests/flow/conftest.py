"""A copy of the repository with toy results: real stages' command lines and records, no work."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from forking import SNAKEMAKE, forking

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "config.yaml", "rules", "profiles", "envs", "interdiff", "stages", "pretrained")
SOURCE = "d4rl.hdf5"
# They follow from whatever is made anew.
VIEWS = {"variants", "report"}
LONGEST = "test_smoke.py"


def pytest_collection_modifyitems(items):
    """The longest file begins first, so that no worker waits for another at the end."""
    items.sort(key=lambda item: item.path.name != LONGEST)


# Jobs run this in place of `python`: outputs that are right in kind, and everything that the runner does around them.
TOY = """
import sys
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from interdiff.files import write_arrays
from interdiff.workflow.runner import run_stage


class Settings(BaseModel):
    model_config = ConfigDict(extra="allow")


def main(stage):
    for path in stage.outputs.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".npz":
            write_arrays(path, {"name": np.array(list(str(path)))})
        elif path.suffix == ".safetensors":
            from safetensors.numpy import save_file

            save_file({"name": np.frombuffer(str(path).encode(), np.uint8)}, path)
        elif path.suffix == ".hdf5":
            import h5py

            with h5py.File(path, "w") as file:
                file["name"] = str(path)
        else:
            path.write_text(str(path))


run_stage(main, Settings)
"""


class Repository:
    """The copy: commands in it, and edits that last for one test."""

    python: Path  # of the commands that are waited for

    def __init__(self, folder):
        self.folder = folder
        self._originals = {}

    def run(self, *command):
        """Exit code and output of a module of Python's."""
        with self.start(*command, python=self.python) as process:
            text = "".join(process.communicate())
        return process.returncode, text

    def start(self, *command, python=sys.executable):
        """The process of a module of Python's, its output in pipes."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
        environment["PATH"] = f"{self.folder / 'bin'}{os.pathsep}{environment['PATH']}"
        command = [python, "-m", *map(str, command)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=self.folder, env=environment, **pipes)

    def snakemake(self, *options):
        code, text = self.run("snakemake", "--nocolor", *options)
        assert code == 0, text
        return text

    def jobs(self, *options, views=VIEWS):
        """What a dry run would execute, as `rule wildcard ...`, without `views`."""
        text = self.snakemake("--dry-run", *options)
        found = set()
        for block in re.split(r"^(?:local)?rule ", text, flags=re.MULTILINE)[1:]:
            wildcards = re.search(r"^    wildcards: (.*)$", block, re.MULTILINE)
            values = re.findall(r"\w+=(\w+)", wildcards[1]) if wildcards else []
            found.add(" ".join([block.split(":")[0], *values]))
        return found - {"all", "maze", *views}

    def keep(self, name):
        """Restore a file (or its absence) after the test."""
        path = self.folder / name
        if path not in self._originals:
            self._originals[path] = (path.read_bytes(), path.stat()) if path.exists() else None
        return path

    def edit(self, name, how):
        """Change a text file by a function of its text."""
        path = self.keep(name)
        text = path.read_text() if path.exists() else ""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(how(text))
        assert path.read_text() != text

    def restore(self):
        for path, original in self._originals.items():
            if original is None:
                path.unlink(missing_ok=True)
                if not any(path.parent.iterdir()):
                    path.parent.rmdir()
            else:
                content, status = original
                path.write_bytes(content)
                os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        self._originals = {}


def config(change, domain="maze"):
    """A text edit of config.yaml by a function of its parsed values below a domain."""

    def edited(text):
        values = yaml.safe_load(text)
        change(values[domain])
        return yaml.safe_dump(values, sort_keys=False)

    return edited


def smooth_sequences(layouts, rows):
    """Prepared data of smooth random sequences in empty mazes: the arrays of a split."""
    rng = np.random.default_rng(0)
    frames, cells = 32, 8
    occupancy = np.ones((len(layouts), cells, cells), np.float32)
    occupancy[:, 1:-1, 1:-1] = 0
    velocities = rng.normal(size=(rows, frames, 2)).cumsum(1) * 0.1
    positions = 0.5 + (velocities / frames).cumsum(1)
    return {
        "positions": positions,
        "velocities": velocities,
        "start": np.concatenate([positions[:, 0], velocities[:, 0]], -1),
        "goal": positions[:, -1],
        "layout": np.repeat(range(len(layouts)), rows // len(layouts)),
        "layouts": np.array(layouts),
        "occupancy": occupancy,
        "sdf": rng.normal(size=(len(layouts), 8 * cells, 8 * cells)),
        "duration": np.full(rows, 1.0),
    }


def equally_spaced(data, levels, nested_levels):
    """Masks of equally spaced keyframes for such data: the arrays of a split."""
    rows, frames, _ = data["positions"].shape
    masks = {"levels": levels, "nested_levels": nested_levels, "max_gap_factor": 2.5, "interpolation": "linear"}
    for k in levels:
        masks[f"indices_{k}"] = np.tile(np.linspace(0, frames - 1, k).astype(np.int16), (rows, 1))
        masks[f"cost_{k}"] = np.ones(rows)
    return masks


def append(line):
    return lambda text: f"{text}\n\n{line}\n"


def copy(folder, python):
    """The repository in a folder, where jobs run a script in place of `python`."""
    folder.mkdir(exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, folder / part, ignore=ignore) if source.is_dir() else shutil.copy(source, folder)
    (folder / "bin").mkdir()
    (folder / "bin/python").write_text(python)
    (folder / "bin/python").chmod(0o755)
    return Repository(folder)


@pytest.fixture(scope="session", autouse=True)
def quick_start(tmp_path_factory):
    """Commands begin without the seconds of processor time that snakemake takes to import."""
    with forking(tmp_path_factory.mktemp("bin"), SNAKEMAKE) as Repository.python:
        yield


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repo")
    repository = copy(folder, f'#!/bin/sh\nshift 2\nexec {Repository.python} -m toy "$@"\n')
    (folder / "toy.py").write_text(TOY)
    # What the repository itself has no instance of: imports inside functions, relative ones, files from outside.
    repository.edit("interdiff/far.py", append("value = 1"))
    repository.edit("interdiff/maze/deep.py", append("from ..far import value"))
    repository.edit(
        "interdiff/maze/figures/gallery.py", append("def later():\n    from .. import deep\n\n    return deep")
    )
    with h5py.File(folder / SOURCE, "w") as file:
        for name in ("observations", "actions", "infos/qpos", "infos/qvel", "infos/goal"):
            file[name] = [[0.0, 0.0]]
    repository.edit("config.yaml", config(lambda maze: maze["layouts"]["umaze"].update(source=SOURCE)))
    repository._originals = {}
    repository.snakemake("--quiet", "all")
    return repository


@pytest.fixture
def repository(built):
    yield built
    built.restore()
