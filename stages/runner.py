"""Runs a stage: command line, environment, seeds, log, progress, resumable state and exit codes."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import platform
import random
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from pydantic import BaseModel, ValidationError
from tqdm import tqdm

from interdiff.errors import InputError
from interdiff.files import canonical_json, file_sha256, is_disk_full, remove_temporaries, write_json
from interdiff.locks import claim_output
from interdiff.manifest import Manifest, describe, manifest_path, relative_to
from stages.devices import VISIBLE, launched, launcher, lease, process_number

if TYPE_CHECKING:
    import torch

    from interdiff.state import TrainingState
    from interdiff.tracking import Tracker

log = logging.getLogger("stages")

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
PLAIN_INTERVAL = 10.0
"""Seconds between progress lines where stderr is not a terminal."""


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
        """The outputs' folder below the results root, such as maze/keypoints/base."""
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
        return getattr(self.settings, "seed", getattr(getattr(self.settings, "training", None), "seed", 0))

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
        """A generator on the stage's device; different offsets give independent streams of the same seed."""
        import torch

        return torch.Generator(self.device).manual_seed(_mixed(self.seed, offset))

    def rng(self, offset: int = 0) -> np.random.Generator:
        """The NumPy counterpart of `generator`."""
        return np.random.default_rng([self.seed, offset])

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
        """The resumable state, cleared when the stage ends well."""
        return self._state.__enter__()

    @cached_property
    def _state(self) -> TrainingState:
        from interdiff.state import TrainingState

        return TrainingState(self.state_folder)

    @cached_property
    def tracker(self) -> Tracker:
        """Where logged rows go: the log, and MLflow if it is on."""
        from interdiff.tracking import Tracker

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
        from interdiff.tracking import git_commit

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


class Progress(tqdm):
    """A progress bar on a terminal, and a line every few seconds elsewhere."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._plain = not sys.stderr.isatty()
        if self._plain:
            kwargs |= {"mininterval": PLAIN_INTERVAL, "maxinterval": 3 * PLAIN_INTERVAL, "ncols": 110}
        super().__init__(*args, file=sys.stderr, dynamic_ncols=not self._plain, **kwargs)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Draw the bar, or print it as a line of its own."""
        if not self._plain:
            return super().display(msg, pos)
        if self.n > self.initial:
            print(re.sub(r"\|.*\|", "", str(self), count=1) if msg is None else msg, file=sys.stderr, flush=True)
        return True


class _Tee:
    """A stream that is copied into the log."""

    def __init__(self, stream: Any, copy: Any) -> None:
        self._stream, self._copy = stream, copy

    def write(self, text: str) -> int:
        self._copy.write(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._copy.flush()
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def run_stage(
    main: Callable[[Stage], None], settings_model: type[BaseModel], argv: Sequence[str] | None = None
) -> NoReturn:
    """Parse the command line, prepare the process, run `main` and exit.

    Exit codes: 0 done, 1 a defect (traceback in the log), 2 bad input (one line), 143 stopped by SIGTERM.
    """
    arguments = _parser(main).parse_args(argv)
    arguments.command = list(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with _open_log(None if process_number() else arguments.log) as stream, redirect_stdout(_Tee(sys.stdout, stream)):
        _set_logging(stream)
        code = _run(main, settings_model, arguments)
        sys.stdout.flush()
        logging.basicConfig(handlers=[logging.StreamHandler(sys.stderr)], force=True)
    sys.exit(code)


def _run(main: Callable[[Stage], None], settings_model: type[BaseModel], arguments: argparse.Namespace) -> int:
    stage = None
    try:
        stage = _stage(_stage_name(main), settings_model, arguments)
        set_environment(stage.threads, stage.seed)
        _take_devices(stage, arguments.command)
        if not stage.process:
            stage.claim()
        _ = stage.hashes  # of the inputs as they are before the stage reads them
        main(stage)
        stage.finish()
        return 0
    except InputError as error:
        log.error("error: %s", error)
        return _failed(stage, 2)
    except KeyboardInterrupt:
        return _failed(stage, 130, "KILLED")
    except SystemExit as stop:
        return _failed(stage, int(stop.code or 0), "KILLED")
    except Exception as error:
        if is_disk_full(error):
            log.error("error: no space left on the disk (%s)", error)
            return _failed(stage, 2)
        log.error("%s", traceback.format_exc())
        return _failed(stage, 1)


def _take_devices(stage: Stage, command: list[str]) -> None:
    """Lease the GPUs granted; where training may use several, become the launcher of a process for each."""
    if stage.gpus and not launched():
        lease(stage.gpus)
    if VISIBLE in os.environ:
        log.info("%s=%s", VISIBLE, os.environ[VISIBLE])
    if stage.gpus > 1 and not launched() and hasattr(stage.settings, "training"):
        os.execv(sys.executable, [*launcher(stage.gpus), f"stages.{stage.name}", *command])


def _failed(stage: Stage | None, code: int, status: str = "FAILED") -> int:
    if stage is not None and "tracker" in stage.__dict__:
        stage.tracker.finish(status)
    return code


def _stage_name(main: Callable[[Stage], None]) -> str:
    """The name as in `python -m stages.maze.keypoints`: maze.keypoints."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return (spec.name if spec and main.__module__ == "__main__" else main.__module__).removeprefix("stages.")


def _parser(main: Callable[[Stage], None]) -> argparse.ArgumentParser:
    module = sys.modules[main.__module__]
    parser = argparse.ArgumentParser(
        prog=f"python -m stages.{_stage_name(main)}", description=module.__doc__, epilog=main.__doc__
    )
    parser.add_argument("--spec", required=True, metavar="JSON", help="identity and settings of the stage")
    parser.add_argument("--gpus", type=int, default=0, metavar="N", help="GPUs granted; 0 is the CPU (default)")
    parser.add_argument("--log", type=Path, metavar="FILE", help="log file (default: none)")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="ROOT", help="results root")
    form = "NAME=PATH"
    parser.add_argument(
        "--in", dest="inputs", nargs="*", default=[], metavar=form, help="inputs, as NAME=PATH; more paths make a list"
    )
    parser.add_argument("--out", dest="outputs", nargs="*", default=[], metavar=form, help="outputs, as NAME=PATH")
    return parser


def _stage(name: str, settings_model: type[BaseModel], arguments: argparse.Namespace) -> Stage:
    try:
        spec = json.loads(arguments.spec)
        settings = settings_model.model_validate(spec["settings"])
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"--spec: {error}") from error
    inputs = parse_paths(arguments.inputs, "--in")
    outputs = {key: paths[0] for key, paths in parse_paths(arguments.outputs, "--out").items()}
    for paths in inputs.values():
        for path in paths:
            if not path.exists():
                raise InputError(f"{path}: no such input file")
    threads = int(spec.get("threads", 1))
    return Stage(name, spec, settings, inputs, outputs, threads, arguments.gpus, arguments.results)


def parse_paths(words: Sequence[str], option: str) -> dict[str, list[Path]]:
    """Read `name=path` words; a name may repeat, and a word without a name belongs to the name before it."""
    paths: dict[str, list[Path]] = {}
    name = None
    for word in words:
        match = re.fullmatch(r"([a-z]\w*)=(.*)", word)
        name, path = match.groups() if match else (name, word)
        if name is None:
            raise InputError(f"{option} {word}: expected NAME=PATH")
        known = paths.setdefault(name, [])
        if path:
            known.append(Path(path))
    return {key: values for key, values in paths.items() if values}


def set_environment(threads: int, seed: int) -> None:
    """Threads, deterministic algorithms and global seeds; torch is not imported where a stage has not."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - libraries that still use it must be reproducible too
    if numba := sys.modules.get("numba"):
        # Not the variable: with another value than at its import, numba refuses to compile.
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    else:
        os.environ["NUMBA_NUM_THREADS"] = str(threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(not torch.cuda.is_available())
        torch.utils.deterministic.fill_uninitialized_memory = False  # costs time and changes no result


def _mixed(seed: int, offset: int) -> int:
    return int(np.random.SeedSequence([seed, offset]).generate_state(1, np.uint64)[0] >> 1)


def _open_log(path: Path | None) -> Any:
    if path is None:
        return open(os.devnull, "w")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("w", buffering=1, encoding="utf-8")


def _set_logging(stream: Any) -> None:
    handlers: list[logging.Handler] = [logging.StreamHandler(stream), logging.StreamHandler(sys.stderr)]
    handlers[0].setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    handlers[1].setFormatter(logging.Formatter("%(message)s"))
    logging.captureWarnings(True)
    logging.basicConfig(level=logging.WARNING if process_number() else logging.INFO, handlers=handlers, force=True)
