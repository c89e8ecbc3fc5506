"""Checkpoints that rebuild their network: weights and configuration in one folder, nothing pickled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from interdiff.errors import InputError
from interdiff.files import SUMS, atomic_path, file_sha256, read_json, write_csv, write_json

MODEL, CONFIG = "model.safetensors", "config.json"
Network = TypeVar("Network", bound=nn.Module)


def save_checkpoint(
    outputs: Mapping[str, Path],
    model: nn.Module | Mapping[str, Tensor],
    config: Mapping[str, Any],
    history: Iterable[Mapping[str, Any]],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a checkpoint's weights, configuration and history.

    Args:
        outputs: paths by the names `model`, `config` and `history` (others are left alone).
        model: a module, or the tensors of one that are worth keeping.
        config: `{"kind": str, "model": {...}}`, enough to rebuild the module.
        history: logged rows, one mapping per row.
        metadata: one text by its name, for other programs that read the weights' file.

    Raises:
        InputError: the disk is full, or `config` has other keys.
    """
    if set(config) != {"kind", "model"}:
        raise InputError(
            f"{outputs['config']}: a checkpoint's config has the keys kind and model, not {sorted(config)}"
        )
    weights = model.state_dict() if isinstance(model, nn.Module) else model
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}
    with atomic_path(outputs["model"]) as temporary:
        save_file(tensors, temporary, dict(metadata or {"format": "pt"}))
    write_json(outputs["config"], dict(config))
    write_csv(outputs["history"], history)


def load_checkpoint(
    folder: str | Path,
    kind: str,
    build: Callable[[dict[str, Any]], Network],
    device: str | torch.device = "cpu",
    **expected: Any,
) -> Network:
    """Rebuild a checkpoint's network, in evaluation mode.

    Args:
        kind: what the checkpoint must be, such as "keyframes".
        build: makes the module from the configuration's `model` mapping.
        expected: values that this mapping must have, such as `frames=128`.

    Raises:
        InputError: a file is missing, damaged or another than `SHA256SUMS` says, the checkpoint is of another kind or for
            other values, or its tensors do not fit the module that its configuration describes (names the file and the
            tensor).
    """
    folder = Path(folder)
    check_sums(folder)
    config = model_config(folder / CONFIG, kind)
    for name, value in expected.items():
        if config.get(name) != value:
            raise InputError(f"{folder / CONFIG}: a checkpoint for {name}={config.get(name)}; expected {value}")
    try:
        module = build(config)
    except (TypeError, ValueError) as error:
        raise InputError(f"{folder / CONFIG}: not the configuration of a {kind!r} network ({error})") from error
    load_weights(folder / MODEL, module)
    return module.to(device).eval()


def write_in_bf16(weights: Path, target: Path) -> None:
    """A copy of a checkpoint's weights in half of the bytes."""
    tensors = {name: tensor.to(torch.bfloat16) for name, tensor in read_tensors(weights).items()}
    with atomic_path(target) as temporary:
        save_file(tensors, temporary, {"format": "pt"})


def write_sums(target: Path, files: Iterable[Path]) -> None:
    """The digests of files in the folder of `target`."""
    with atomic_path(target) as temporary:
        temporary.write_text("".join(f"{file_sha256(path)}  {path.relative_to(target.parent)}\n" for path in files))


def check_sums(folder: Path) -> None:
    """InputError naming the first file that is not what the folder's `SHA256SUMS` says, where it has one."""
    if not (folder / SUMS).is_file():
        return
    for line in (folder / SUMS).read_text().splitlines():
        digest, name = line.split(maxsplit=1)
        path = folder / name
        found = file_sha256(path) if path.is_file() else "no file"
        if found != digest:
            raise InputError(f"{path}: sha256 {found}; {SUMS} says {digest}")


def model_config(path: Path, kind: str) -> dict[str, Any]:
    """The `model` mapping of a checkpoint's configuration; InputError where it is not one of this kind."""
    config = read_json(path)
    if not isinstance(config, dict) or set(config) != {"kind", "model"} or not isinstance(config["model"], dict):
        raise InputError(f"{path}: not a checkpoint's configuration; expected the keys kind and model")
    if config["kind"] != kind:
        raise InputError(f"{path}: a checkpoint of kind {config['kind']!r}; expected {kind!r}")
    return config["model"]


def load_weights(
    path: Path,
    module: nn.Module,
    only: Mapping[str, Tensor] | None = None,
    reads: Callable[[str], bool] = lambda name: True,
) -> None:
    """Load a safetensors file into a module; InputError naming file and tensor where one does not fit.

    Args:
        only: the part of the module's tensors that the file must hold; by default all of them.
        reads: which of the file's tensors are read, by their names; others are someone else's.
    """
    tensors = {name: tensor for name, tensor in read_tensors(path).items() if reads(name)}
    expected = module.state_dict() if only is None else only
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in tensors:
            raise InputError(f"{path}: tensor {name!r} is missing: a checkpoint of another configuration")
        if name not in expected:
            raise InputError(f"{path}: unexpected tensor {name!r}: a checkpoint of another configuration")
        found, wanted = tuple(tensors[name].shape), tuple(expected[name].shape)
        if found != wanted:
            raise InputError(f"{path}: tensor {name!r} has shape {found}; expected {wanted}")
    module.load_state_dict(tensors, strict=only is None)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; InputError naming it where it is missing, truncated or foreign."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from error
