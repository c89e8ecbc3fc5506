"""What a stage's outputs depend on, as one text: settings, code, packages, threads, external files."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from interdiff.errors import InputError
from interdiff.files import canonical_json, file_sha256
from interdiff.own_code import file_in, folder_of

EXCLUDED = re.compile(
    r"interdiff/(workflow/(config|identity|stage|runner|progress|variants|pipelines/\w+|tracking/(tracker|connection|writer))"
    r"|(.*/)?settings|errors|files|own_code|learning/state|(maze|video)/__init__)\.py"
)
"""Modules that validate, track, store or only hand names on: they, and what only they import, have no part in results."""
ENVIRONMENT = "interdiff.learning.environment"
"""What every stage runs in: it counts though no stage imports it."""

PACKAGES = frozenset(
    {
        *("accelerate", "diffusers", "einops", "h5py", "mujoco", "numba", "numpy", "safetensors", "scipy", "torch"),
        *("av", "cv2", "peft", "transformers"),
    }
)
"""Packages whose version can change the numbers of a stage that imports them, as they are imported."""
DISTRIBUTIONS = {"cv2": "opencv-python-headless"}
"""Of packages that are installed by another name."""
INSTALLED = {"site-packages", "dist-packages"}
"""Folders that hold many packages, of which one's own code is one."""


def code_hashes(module: str, root: str | Path) -> dict[str, str]:
    """The files of the repository that a module imports, itself included, directly or not: file -> 12 hex digits.

    Of a module of one's own outside of the repository, also those that lie in the folder of its packages; of an installed
    one, those of its own package.

    Imports inside functions and relative imports count; comments, docstrings and formatting do not. What is
    imported by a computed name is not seen.

    Raises:
        InputError: there is no such module, or a file is not valid Python (names it).
    """
    return {name: _parsed(path).digest for name, path in _closure(module, Path(root))}


def packages(module: str, root: str | Path) -> dict[str, str]:
    """The versions, without build tags, of the PACKAGES that a module imports, directly or not."""
    names = {name for _, path in _closure(module, Path(root)) for name in _parsed(path).packages}
    return {name: _version(name) for name in sorted(names)}


def spec(
    stage: str,
    settings: Mapping[str, Any],
    *,
    root: str | Path,
    threads: int,
    sources: Iterable[str | Path] = (),
    implementations: Iterable[str] = (),
) -> str:
    """The canonical JSON that identifies a stage's work apart from its declared inputs.

    Args:
        stage: its module below `stages`, such as `maze.keyframes`.
        settings: the stage's slice of the configuration.
        sources: files from outside the pipeline, by content.
        implementations: modules that the settings choose by name, such as `interdiff.two_phase.interpolators.linear`, or
            one of one's own.
    """
    modules = (f"stages.{stage}", ENVIRONMENT, *implementations)
    return canonical_json(
        {
            "stage": stage,
            "settings": settings,
            "code": dict(sorted({k: v for module in modules for k, v in code_hashes(module, root).items()}.items())),
            "packages": dict(sorted({k: v for module in modules for k, v in packages(module, root).items()}.items())),
            "threads": threads,
            "sources": {str(path): file_sha256(path) for path in sources},
        }
    )


class _Parsed:
    """One file: the digest of its code, and what it imports as dotted names."""

    def __init__(self, path: Path) -> None:
        try:
            tree = ast.parse(path.read_bytes(), filename=str(path))
        except (SyntaxError, ValueError) as error:
            raise InputError(f"{path}: not valid Python ({error})") from error
        self.imports: list[tuple[int, str]] = []
        for node in ast.walk(tree):
            if isinstance(body := getattr(node, "body", None), list):
                body[:] = [statement for statement in body if not _is_text(statement)]
            self.imports += _imported(node)
        self.packages = {name.split(".")[0] for level, name in self.imports if not level} & PACKAGES
        self.empty = not tree.body
        self.digest = hashlib.sha256(_dump(tree).encode()).hexdigest()[:12]


def _dump(node: Any) -> str:
    """A syntax tree as text, without what is empty: Python's own `ast.dump` says other things in other versions."""
    if isinstance(node, ast.AST):
        fields = [
            f"{name}={_dump(value)}" for name, value in ast.iter_fields(node) if value is not None and value != []
        ]
        return f"{type(node).__name__}({', '.join(fields)})"
    return f"[{', '.join(map(_dump, node))}]" if isinstance(node, list) else repr(node)


@cache
def _parsed(path: Path) -> _Parsed:
    return _Parsed(path)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imported(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Level and dotted name of everything that an import statement may load."""
    if isinstance(node, ast.Import):
        yield from ((0, alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = node.module or ""
        yield node.level, module
        # A name is a submodule or an attribute: only files that exist are followed.
        yield from ((node.level, f"{module}.{alias.name}".strip(".")) for alias in node.names)


@dataclass(frozen=True)
class _Place:
    """A folder in which modules are looked for; `package`: the only one that counts there."""

    folder: Path
    package: str | None = None

    def file(self, dotted: str) -> str | None:
        """A module's file, relative to the folder."""
        return _file(self.folder, dotted) if self.package in (None, dotted.split(".")[0]) else None


@cache
def _closure(module: str, root: Path) -> tuple[tuple[str, Path], ...]:
    """Files by their names, which say nothing of where their folder is."""
    places = _places(module, root)
    queue = list(_files(places, module))
    found = dict(queue)
    while queue:
        name, path = queue.pop()
        for level, dotted in _parsed(path).imports:
            for file in _files(places, _absolute(name, level, dotted)):
                if file[0] not in found and not EXCLUDED.fullmatch(file[0]):
                    found[file[0]] = file[1]
                    queue.append(file)
    return tuple(sorted(found.items()))


def _places(module: str, root: Path) -> tuple[_Place, ...]:
    """Where the modules are that count: in the repository, and around a module that lies outside."""
    if _file(root, module):
        return (_Place(root),)
    folder = folder_of(module)
    if folder is None:
        raise InputError(f"module {module}: no such file under {root}, nor on Python's path")
    installed = INSTALLED & set(folder.parts)
    return (_Place(root), _Place(folder, module.split(".")[0] if installed else None))


def _absolute(importer: str, level: int, dotted: str) -> str:
    package = importer.split("/")[:-level] if level else []
    return ".".join([*package, *([dotted] if dotted else [])])


@cache
def _files(places: tuple[_Place, ...], dotted: str) -> tuple[tuple[str, Path], ...]:
    """The module's file and the packages around it that hold code."""
    parts, files = dotted.split("."), []
    for count in range(1, len(parts) + 1):
        found = ((place.folder, place.file(".".join(parts[:count]))) for place in places)
        folder, file = next(((folder, file) for folder, file in found if file), (None, None))
        if folder and file and not (file.endswith("__init__.py") and _parsed(folder / file).empty):
            files.append((file, folder / file))
    return tuple(files)


_file = cache(file_in)


@cache
def _version(name: str) -> str:
    try:
        return version(DISTRIBUTIONS.get(name, name)).split("+")[0]
    except PackageNotFoundError:
        return "missing"
