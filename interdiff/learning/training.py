"""The training loop of every network. It knows no algorithm: a stage hands it a loss."""

from __future__ import annotations

import logging
import math
import resource
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from interdiff.errors import InputError
from interdiff.learning.settings import TrainingSettings

log = logging.getLogger(__name__)

Network = TypeVar("Network", bound=nn.Module)
# (model, generator, share of the steps done) -> scalars by name, among them "loss"; means over
# `interdiff.distributed.share` of the batch drawn
Loss = Callable[[Any, torch.Generator, float], dict[str, Tensor]]


Batch = TypeVar("Batch")


def drawn(draw: Callable[[torch.Generator, float], Batch], loss: Callable[[Any, Batch], dict[str, Tensor]]) -> Loss:
    """The loss of a training step: `loss` of a model and what `draw` made of the generator and the share of steps done."""
    return lambda model, generator, progress: loss(model, draw(generator, progress))


class State(Protocol):
    """Where resumable progress lives (`interdiff.state.TrainingState`)."""

    stop_requested: bool

    def load(self) -> tuple[dict, dict] | None: ...
    def save(self, tensors: dict, meta: dict) -> None: ...


class Interrupted(SystemExit):
    """Raised after a requested stop once the state is saved; the exit code is that of SIGTERM."""

    def __init__(self) -> None:
        super().__init__(143)


@dataclass
class Meter:
    """Means of the logged scalars since the last row, and the rate since then or since the process began."""

    batch_size: int
    sums: dict[str, float] = field(default_factory=dict)
    count: int = 0
    timed: int = 0
    started: float = field(default_factory=time.perf_counter)

    def add(self, scalars: dict[str, Tensor]) -> None:
        self.count += 1
        self.timed += 1
        for name, value in scalars.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)

    def row(self, step: int) -> dict[str, float]:
        rate = self.timed / (time.perf_counter() - self.started)
        row = {"step": step} | {name: total / self.count for name, total in self.sums.items()}
        row |= {"steps_per_s": rate, "samples_per_s": rate * self.batch_size, "peak_memory_mb": peak_memory_mb()}
        self.sums, self.count, self.timed, self.started = {}, 0, 0, time.perf_counter()
        return row


def peak_memory_mb() -> float:
    """Peak memory of the GPU in use, else of this process, in MiB."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def schedule(settings: TrainingSettings, step: int) -> float:
    """Share of the peak learning rates: linear warm-up, and a half cosine down to zero at the last step."""
    warm = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    return warm * 0.5 * (1 + math.cos(math.pi * step / settings.steps))


def build_optimizers(model: nn.Module, settings: TrainingSettings) -> list[torch.optim.Optimizer]:
    """AdamW; where Muon (Jordan et al. 2024) has a learning rate, it takes the matrices inside a network's blocks.

    Muon's updates are scaled to what AdamW's would measure (Liu et al. 2025, equation 4).
    """
    rate, decay = settings.muon_learning_rate, settings.weight_decay
    named = list(model.named_parameters())
    hidden = {name for name, parameter in named if rate and parameter.ndim == 2 and "blocks." in name}
    rest = [parameter for name, parameter in named if name not in hidden]
    adamw = torch.optim.AdamW(rest, lr=settings.learning_rate, weight_decay=decay, betas=(0.9, 0.98), fused=True)
    if rate is None:
        return [adamw]
    matrices = [parameter for name, parameter in named if name in hidden]
    return [adamw, torch.optim.Muon(matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")]


def train(
    model: Network,
    loss: Loss,
    settings: TrainingSettings,
    batch_size: int,
    state: State,
    device: torch.device,
    on_row: Callable[[dict[str, float]], None],
    steps: Callable[[range], Iterable[int]],
) -> tuple[Network, list[dict[str, float]]]:
    """Minimise `loss`; return the exponential moving average of the model and the history of logged rows.

    Everything a step depends on - weights, optimizer, average, random state, step - is saved every `save_every` steps and
    when a stop is requested, so a killed and resumed run ends with the bytes of an uninterrupted one. Several processes
    share each batch and average gradients and scalars; the first one's state counts.

    Args:
        on_row: gets each row of means as it is logged.
        steps: wraps the range of steps that are left, to show progress.

    Raises:
        InputError: the loss is not finite (names the step).
        Interrupted: a stop was requested; the state is saved.
    """
    accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision=settings.mixed_precision)
    optimizers = build_optimizers(model, settings)
    peaks = [optimizer.defaults["lr"] for optimizer in optimizers]
    average = AveragedModel(model.to(device), multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay))
    generator = torch.Generator(device).manual_seed(settings.seed)
    meter = Meter(batch_size)
    first, history = _resume(state, model, optimizers, average, generator, meter)
    # Mixed precision and the device; a wrapper for several processes would hide the network's methods.
    wrapped = accelerator.prepare_model(model, evaluation_mode=True)
    if settings.compile:
        wrapped = torch.compile(wrapped)
    prepared = [accelerator.prepare_optimizer(optimizer) for optimizer in optimizers]

    def save(next_step: int) -> None:
        tensors = {
            "model": model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
            "average": average.state_dict(),
            "generator": generator.get_state(),
        }
        row = {"sums": meter.sums, "count": meter.count}
        state.save(tensors, {"step": next_step, "history": history, "row": row})

    for step in steps(range(first, settings.steps)):
        for optimizer, peak in zip(prepared, peaks, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * schedule(settings, step)
        with accelerator.autocast():
            scalars = loss(wrapped, generator, step / settings.steps)
        means, stop = _average_scalars(accelerator, scalars, state.stop_requested)
        if not math.isfinite(float(means["loss"])):
            raise InputError(f"the training loss is {float(means['loss'])} at step {step}: expected a finite number")
        accelerator.backward(scalars["loss"])
        _average_gradients(accelerator, model)
        accelerator.clip_grad_norm_(model.parameters(), settings.grad_clip)
        for optimizer in prepared:
            optimizer.step()
            optimizer.zero_grad()
        average.update_parameters(model)
        meter.add(means)
        if (step + 1) % settings.log_every == 0 or step + 1 == settings.steps:
            history.append(meter.row(step + 1))
            on_row(history[-1])
        if (step + 1) % settings.save_every == 0 or stop:
            save(step + 1)
        if stop:
            raise Interrupted
    accelerator.end_training()
    return cast(Network, average.module).eval(), history


def _average_gradients(accelerator: Accelerator, model: nn.Module) -> None:
    """Replace each gradient by its mean over the processes.

    No wrapper around the network does it, since losses also call methods of it beside `forward`.
    """
    if accelerator.num_processes == 1:
        return
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    mean = accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), reduction="mean")
    parts = mean.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def _average_scalars(
    accelerator: Accelerator, scalars: dict[str, Tensor], stop: bool
) -> tuple[dict[str, Tensor], bool]:
    """Scalars as their means over the processes, and whether any process was asked to stop."""
    if accelerator.num_processes == 1:
        return {name: value.detach() for name, value in scalars.items()}, stop
    values = [torch.as_tensor(value, dtype=torch.float32, device=accelerator.device) for value in scalars.values()]
    flag = torch.tensor(float(stop), device=accelerator.device)
    *means, flag = accelerator.reduce(torch.stack([*(value.detach() for value in values), flag]), reduction="mean")
    return dict(zip(scalars, means, strict=True)), bool(flag > 0)


def _resume(
    state: State,
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    average: nn.Module,
    generator: torch.Generator,
    meter: Meter,
) -> tuple[int, list[dict[str, float]]]:
    saved = broadcast_object_list([state.load()])[0]
    if saved is None:
        return 0, []
    tensors, meta = saved
    model.load_state_dict(tensors["model"])
    for optimizer, saved_state in zip(optimizers, tensors["optimizers"], strict=True):
        optimizer.load_state_dict(saved_state)
    average.load_state_dict(tensors["average"])
    generator.set_state(tensors["generator"].cpu())
    meter.sums, meter.count = meta["row"]["sums"], meta["row"]["count"]
    log.info("training goes on at step %d", meta["step"])
    return meta["step"], meta["history"]
