"""Runs a stage: command line, environment, seeds, log, progress, resumable state and exit codes."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NoReturn

from pydantic import BaseModel, ValidationError

from interdiff.errors import InputError
from interdiff.files import is_disk_full
from interdiff.learning.devices import VISIBLE, launched, launcher, lease, process_number, spread
from interdiff.learning.environment import set_environment
from interdiff.workflow.stage import Stage

log = logging.getLogger("stages")


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
        _take_devices(stage, arguments.command)
        set_environment(stage.threads, stage.seed, stage.gpus)
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
    nodes = 1
    if stage.gpus and not launched():
        nodes = spread(stage.gpus)
        lease(stage.gpus // nodes)
    if VISIBLE in os.environ:
        log.info("%s=%s", VISIBLE, os.environ[VISIBLE])
    if stage.gpus > 1 and not launched() and hasattr(stage.settings, "training"):
        start = launcher(stage.gpus, nodes)
        os.execvp(start[0], [*start, f"stages.{stage.name}", *command])


def _failed(stage: Stage | None, code: int, status: str = "FAILED") -> int:
    if stage is not None and "tracker" in stage.__dict__:
        stage.tracker.finish(status)
    return code


def _stage_name(main: Callable[[Stage], None]) -> str:
    """The name as in `python -m stages.maze.keyframes`: maze.keyframes."""
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
        "--in", dest="inputs", nargs="*", default=[], metavar=form, help="inputs, as NAME=PATH; a name may repeat"
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
    outputs = {}
    for key, paths in parse_paths(arguments.outputs, "--out").items():
        if len(paths) != 1:
            raise InputError(f"--out {key}: {len(paths)} paths; expected one")
        outputs[key] = paths[0]
    for paths in inputs.values():
        for path in paths:
            if not path.exists():
                raise InputError(f"{path}: no such input file")
    threads = int(spec.get("threads", 1))
    return Stage(name, spec, settings, inputs, outputs, threads, arguments.gpus, arguments.results)


def parse_paths(words: Sequence[str], option: str) -> dict[str, list[Path]]:
    """Read `name=path` words; a name may repeat."""
    paths: dict[str, list[Path]] = {}
    for word in words:
        match = re.fullmatch(r"([a-z]\w*)=(.+)", word)
        if not match:
            raise InputError(f"{option} {word}: expected NAME=PATH")
        paths.setdefault(match[1], []).append(Path(match[2]))
    return paths


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
