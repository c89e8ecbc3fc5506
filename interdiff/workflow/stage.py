"""A stage: its settings, inputs, outputs, device and resumable state."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interdiff.errors import InputError
from interdiff.files import canonical_json, file_sha256, read_json, remove_temporaries, write_json
from interdiff.learning.devices import VISIBLE, launched, process_number
from interdiff.learning.environment import numpy_generator, seed_of, stream_seed
from interdiff.workflow.locks import claim_output
from interdiff.workflow.manifest import Manifest, describe, manifest_path, relative_to
from interdiff.workflow.progress import Progress

if TYPE_CHECKING:
    import numpy as np
    import torch

    from interdiff.learning.state import TrainingState
    from interdiff.workflow.tracking.tracker import Tracker

OWNER = "owner.json"
"""In a folder of resumable progress: whose it is."""


@dataclass
class Stage:
    """What a stage is given: settings, inputs and outputs by name, and what depends on the machine."""

    name: str
    spec: dict[str, Any]
    settings: Any
    inputs: dict[str, list[Path]]
    outputs: dict[str, Path]
    threads: int
    gpus: int
    results: Path
    started: float = field(default_factory=time.time)

    @property
    def label(self) -> str:
        """The outputs' folder below the results root, such as maze/keyframes/base."""
        folder = os.path.commonpath([path.parent for path in self.outputs.values()])
        return os.path.relpath(folder, self.results)

    @property
    def variant(self) -> str:
        """The variant whose artifact this is: the name of the outputs' folder."""
        return Path(self.label).name

    @property
    def process(self) -> int:
        """This process's number among those that train together; process 0 alone writes."""
        return process_number()

    @property
    def seed(self) -> int:
        """The seed of the settings, or of their training section."""
        return seed_of(self.settings)

    @cached_property
    def device(self) -> torch.device:
        """The GPU where one was granted, else the CPU.

        Raises:
            InputError: a GPU was granted and torch finds none.
        """
        import torch

        if self.gpus and not torch.cuda.is_available():
            raise InputError(
                f"--gpus {self.gpus}: torch finds no GPU; limit the gpu resource to 0 or install CUDA's torch"
            )
        if self.gpus and launched():
            return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        return torch.device("cuda" if self.gpus else "cpu")

    def generator(self, offset: int = 0) -> torch.Generator:
        """A generator; different offsets give independent streams of the same seed."""
        from interdiff.learning import draws

        return draws.generator_of(stream_seed(self.seed, offset))

    def rng(self, offset: int = 0) -> np.random.Generator:
        """The NumPy counterpart of `generator`."""
        return numpy_generator(self.seed, offset)

    def path(self, name: str) -> Path:
        """An input of one file."""
        (path,) = self.inputs[name]
        return path

    def folder(self, name: str) -> Path:
        """The folder of an input of one or more files, such as a checkpoint."""
        return self.inputs[name][0].parent

    @cached_property
    def identity(self) -> str:
        """SHA-256 of what the outputs depend on, and of which outputs they are: spec and input contents."""
        contents = {name: [self.hashes[path] for path in self.inputs[name]] for name in self.inputs}
        names = {name: os.path.relpath(path, self.results) for name, path in self.outputs.items()}
        text = canonical_json({"spec": self.spec, "inputs": contents, "outputs": names})
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def hashes(self) -> dict[Path, str]:
        """SHA-256 of every input file."""
        return {path: file_sha256(path) for name in self.inputs for path in self.inputs[name]}

    @cached_property
    def state_folder(self) -> Path:
        """Where this stage's resumable progress lives."""
        return self.results / ".state" / self.identity[:32]

    def claim(self) -> None:
        """Take the outputs until this process ends, and remove what killed writers of them have left.

        Whatever its settings, an earlier process may still be at work on the same files.

        Raises:
            InputError: one is.
        """
        first = next(iter(self.outputs.values()))
        claim_output(self.results, relative_to(self.results, first), self.label)
        for path in [*self.outputs.values(), manifest_path(first)]:
            remove_temporaries(path)

    def state(self) -> TrainingState:
        """The resumable state, for a `with` block; cleared when the stage ends well."""
        write_json(self.state_folder / OWNER, self._owner)
        return self._state

    @property
    def _owner(self) -> dict[str, str]:
        return {"output": relative_to(self.results, next(iter(self.outputs.values())))}

    @cached_property
    def _state(self) -> TrainingState:
        from interdiff.learning.state import TrainingState

        return TrainingState(self.state_folder)

    @cached_property
    def tracker(self) -> Tracker:
        """Where logged rows go: the log, and MLflow if it is on."""
        from interdiff.workflow.tracking.tracker import Tracker

        return Tracker.start(
            self.results,
            self.label,
            self.identity,
            self.settings.model_dump(),
            self.state_folder / "tracking.json",
        )

    def progress(self, items: Iterable[Any] | int, description: str = "", unit: str = "it") -> Progress:
        """A progress bar over items, or over a total for `update` calls, that shows rate and time left."""
        label = f"{self.label}: {description}" if description else self.label
        if isinstance(items, int):
            return Progress(total=items, desc=label, unit=unit)
        if isinstance(items, range) and items.step == 1:
            return Progress(items, total=items.stop, initial=items.start, desc=label, unit=unit)
        return Progress(items, desc=label, unit=unit)

    def finish(self) -> None:
        """Check the outputs, write `run` where it is declared and the record, and forget the resumable state."""
        tracked = self.__dict__.get("tracker")
        if "run" in self.outputs:
            write_json(self.outputs["run"], self._run(tracked))
        for name, path in self.outputs.items():
            if not path.exists():
                raise RuntimeError(f"{self.name} ended without writing {name}={path}")
        self._manifest().write(self.results)
        if tracked:
            tracked.finish("FINISHED")
        if self.state_folder_used:
            self._state.clear()
            self._forget_older()

    def _forget_older(self) -> None:
        """Remove the progress of the same outputs under other settings, inputs or code: these have been replaced."""
        for path in self.state_folder.parent.glob(f"*/{OWNER}"):
            with contextlib.suppress(InputError):
                if read_json(path) == self._owner:
                    shutil.rmtree(path.parent, ignore_errors=True)

    @property
    def state_folder_used(self) -> bool:
        return "_state" in self.__dict__ or "tracker" in self.__dict__

    def _manifest(self) -> Manifest:
        return Manifest(
            stage=self.spec.get("stage", self.name),
            identity=self.identity,
            spec=self.spec,
            gpus=self.gpus,
            inputs={relative_to(self.results, path): digest for path, digest in self.hashes.items()},
            outputs={relative_to(self.results, path): describe(path) for path in self.outputs.values()},
        )

    def _run(self, tracked: Tracker | None) -> dict[str, Any]:
        from interdiff.workflow.manifest import git_commit

        return {
            "stage": self.name,
            "identity": self.identity,
            "spec": self.spec,
            "mlflow_run_id": tracked.run_id() if tracked else None,
            "git_commit": git_commit(),
            "python": platform.python_version(),
            "packages": self.spec.get("packages", {}),
            "device": str(self.__dict__.get("device", "cpu")),
            "visible_devices": os.environ.get(VISIBLE),
            "seconds": round(time.time() - self.started, 2),
        }
