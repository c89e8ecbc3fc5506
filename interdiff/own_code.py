"""Classes of one's own, named by import path: found and read without importing them, and imported where they are used."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Collection, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from interdiff.errors import InputError


def file_in(folder: Path, module: str) -> str | None:
    """A module's file, relative to the folder that its packages lie in; None where it is not there."""
    path = module.replace(".", "/")
    names = (f"{path}.py", f"{path}/__init__.py")
    return next((name for name in names if module and (folder / name).is_file()), None)


def folder_of(module: str) -> Path | None:
    """The folder that a module's packages lie in: the working directory, else one on Python's path; None without any."""
    folders = dict.fromkeys([Path.cwd(), *(Path(entry).absolute() for entry in sys.path), *_installed(module)])
    return next((folder for folder in folders if file_in(folder, module)), None)


def _installed(module: str) -> Iterator[Path]:
    """Where the finder of an editable installation says that the module's package is."""
    try:
        spec = importlib.util.find_spec(module.split(".")[0])
    except (ImportError, ValueError):
        return
    if spec and spec.origin:
        file = Path(spec.origin)
        yield file.parents[1] if file.name == "__init__.py" else file.parent


def check_class(path: str, arguments: Collection[str]) -> None:
    """That a class exists, is a network, and takes these arguments, as far as its text tells.

    Raises:
        ValueError: there is no such module or class, it has no `forward`, or an argument is unknown or missing.
    """
    defined = _definition(path)
    if defined is None:
        return
    methods = {node.name: node for node in defined.body if isinstance(node, ast.FunctionDef)}
    bases = {ast.unparse(base).split(".")[-1] for base in defined.bases}
    if bases <= {"object"}:
        raise ValueError(f"{path!r}: expected a subclass of torch.nn.Module")
    if bases == {"Module"} and "forward" not in methods:
        raise ValueError(f"{path!r}: it has no method forward")
    if "__init__" in methods:
        _check_arguments(path, methods["__init__"].args, arguments)


def _check_arguments(path: str, taken: ast.arguments, given: Collection[str]) -> None:
    plain = [argument.arg for argument in (*taken.posonlyargs, *taken.args)][1:]
    optional = plain[len(plain) - len(taken.defaults) :] if taken.defaults else []
    optional += [a.arg for a, default in zip(taken.kwonlyargs, taken.kw_defaults, strict=True) if default is not None]
    known = [*plain, *(argument.arg for argument in taken.kwonlyargs)]
    wrong = [f"takes no argument {name!r}" for name in given if name not in known and not taken.kwarg]
    wrong += [f"needs an argument {name!r}" for name in known if name not in given and name not in optional]
    if wrong:
        raise ValueError(f"{path!r}: it {', '.join(wrong)}; its arguments are {', '.join(known)}")


def _definition(path: str) -> ast.ClassDef | None:
    """The class's definition in its module; None where the module has it from elsewhere. ValueError without either."""
    module, _, name = path.rpartition(".")
    if not module:
        raise ValueError(f"{path!r}: expected the import path of a class, as package.module.Class")
    folder = folder_of(module)
    file = folder and file_in(folder, module)
    if not (folder and file):
        raise ValueError(f"{path!r}: no module {module} in the working directory or on Python's path (PYTHONPATH)")
    try:
        tree = ast.parse((folder / file).read_bytes())
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{path!r}: {file} is not valid Python ({error})") from error
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    if name not in classes and not {name, "*"} & set(_bound(tree)):
        raise ValueError(f"{path!r}: {file} has no class {name}; it has {', '.join(classes) or 'none'}")
    return classes.get(name)


def _bound(tree: ast.AST) -> Iterator[str]:
    """Names that imports and assignments give, `*` for all of a module's."""
    for node in ast.walk(tree):
        if isinstance(node, ast.alias):
            yield node.asname or node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def imported_class(path: str) -> Any:
    """The class itself; InputError where it is not there. Only a module that has such a name is run."""
    try:
        _definition(path)
        module, _, name = path.rpartition(".")
        return getattr(import_module(module), name)
    except (ValueError, ImportError, AttributeError) as error:
        raise InputError(f"{error}" if path in f"{error}" else f"{path!r}: cannot be imported ({error})") from error
