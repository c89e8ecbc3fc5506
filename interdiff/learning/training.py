"""The training loop of every network. It knows no algorithm: a stage hands it a loss."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from interdiff.errors import InputError
from interdiff.learning import draws
from interdiff.learning.costs import peak_memory_mb
from interdiff.learning.optimizers import build_optimizers, schedule
from interdiff.learning.parallel import (
    Parallel,
    called,
    compile_network,
    held_out_scalars,
    like,
    load_optimizer,
    uncompiled,
    whole,
    with_weights,
    without_weights,
)
from interdiff.learning.precision import mixed_precision
from interdiff.learning.processes import micro_batch, processes
from interdiff.learning.settings import BlockwiseTrainingSettings, TrainingSettings

log = logging.getLogger(__name__)

Network = TypeVar("Network", bound=nn.Module)
Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Objective(Generic[Batch]):
    """What a step minimises: `loss` of a model and of what `draw` makes of a stream and the share of steps done.

    `loss` gives scalars by name, among them "loss"; means over the part of the batch that was drawn
    (`interdiff.learning.processes`). `held_out` draws from other data, whose scalars are logged as val_NAME.
    """

    draw: Callable[[torch.Generator, float], Batch]
    loss: Callable[[Any, Batch], dict[str, Tensor]]
    held_out: Callable[[torch.Generator, float], Batch] | None = None

    def __call__(self, model: Any, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        return self.loss(model, self.draw(generator, progress))


class State(Protocol):
    """Where resumable progress lives (`interdiff.learning.state.TrainingState`)."""

    stop_requested: bool

    def load(self) -> tuple[dict, dict] | None: ...
    def save(self, tensors: dict, meta: dict) -> None: ...


class Interrupted(SystemExit):
    """Raised after a requested stop once the state is saved; the exit code is that of SIGTERM."""

    def __init__(self) -> None:
        super().__init__(143)


@dataclass
class Meter:
    """Means of the logged scalars since the last row, and the rate since then or since the process began.

    Scalars stay where they were computed until they are read: whoever waits for them at every step leaves a GPU idle.
    """

    batch_size: int
    sums: dict[str, float] = field(default_factory=dict)
    count: int = 0
    timed: int = 0
    started: float = field(default_factory=time.perf_counter)
    unread: list[dict[str, Tensor]] = field(default_factory=list)

    def add(self, scalars: dict[str, Tensor]) -> None:
        self.count += 1
        self.timed += 1
        self.unread.append(scalars)

    def read(self, step: int) -> None:
        """Add up the scalars of the steps before `step`; InputError naming the first whose loss is not finite."""
        values = iter(torch.stack([value for scalars in self.unread for value in scalars.values()]).tolist())
        for number, scalars in enumerate(self.unread, step - len(self.unread)):
            read = dict(zip(scalars, values, strict=False))
            if not math.isfinite(read["loss"]):
                raise InputError(f"the training loss is {read['loss']} at step {number}: expected a finite number")
            for name, value in read.items():
                self.sums[name] = self.sums.get(name, 0.0) + value
        self.unread = []

    def row(self, step: int) -> dict[str, float]:
        rate = self.timed / (time.perf_counter() - self.started)
        row = {"step": step} | {name: total / self.count for name, total in self.sums.items()}
        row |= {"steps_per_s": rate, "samples_per_s": rate * self.batch_size, "peak_memory_mb": peak_memory_mb()}
        self.sums, self.count, self.timed, self.started = {}, 0, 0, time.perf_counter()
        return row


def train(
    model: Network,
    objective: Objective[Any],
    settings: TrainingSettings,
    state: State,
    device: torch.device,
    on_row: Callable[[dict[str, float]], None],
    steps: Callable[[range], Iterable[int]],
) -> tuple[Network, list[dict[str, float]]]:
    """Minimise a loss; return the model with the exponential moving average of its weights, and the history of logged rows.

    Only what learns, the parameters that require a gradient, is optimised, averaged and saved. All that a step depends on -
    weights, optimizer, average, random state, step - is saved every `save_every` steps and when a stop is requested, so a
    killed and resumed run ends with the bytes of an uninterrupted one, and may go on on another device. Several processes
    and micro-batches share each batch (`interdiff.learning.processes`); the first process's state counts. Autocast covers
    the network's forward pass alone, whose outputs are fp32: draws, labels and losses are exact.

    Args:
        on_row: gets each row of means as it is logged.
        steps: wraps the range of steps that are left, to show progress.

    Raises:
        InputError: the loss was not finite (names the step; told at the next log or save), or a batch cannot be shared.
        Interrupted: a stop was requested; the state is saved.
    """
    accelerator = _accelerator(settings, device)
    _check_shares(settings)
    sharded = processes() > 1 and isinstance(settings, BlockwiseTrainingSettings) and settings.fsdp
    result = without_weights(model) if sharded else model
    for network in called(model.to(device)):
        accelerator.prepare_model(network, evaluation_mode=True)
        compile_network(network, settings.compile)
    parallel = Parallel(model, objective.loss, sharded)
    # Here, since a forward pass leaves whole weights in some of the shards' places.
    weights = dict(model.named_parameters())
    learned = {name: parameter for name, parameter in weights.items() if parameter.requires_grad}
    optimizers = build_optimizers(learned, settings)
    peaks = [optimizer.defaults["lr"] for optimizer in optimizers]
    average = {name: parameter.detach().clone() for name, parameter in learned.items()}
    generator = draws.generator_of(settings.seed)
    meter = Meter(settings.batch_size)
    first, history = _resume(state, learned, optimizers, average, generator, meter)
    asked: Tensor | None = None

    def save(next_step: int) -> None:
        tensors = {
            "model": whole(learned),
            "optimizers": [whole(optimizer.state_dict()) for optimizer in optimizers],
            "average": whole(average),
            "generator": generator.get_state(),
        }
        row = {"sums": meter.sums, "count": meter.count}
        state.save(tensors, {"step": next_step, "history": history, "row": row})

    for step in steps(range(first, settings.steps)):
        for optimizer, peak in zip(optimizers, peaks, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * schedule(settings, step)
        scalars = _gradients(parallel, objective.draw, generator, step / settings.steps, settings.accumulate)
        asked_before = asked
        means, asked = _average_scalars(accelerator, scalars, state.stop_requested)
        accelerator.clip_grad_norm_(learned.values(), settings.grad_clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        _update_average(average, learned, settings.ema_decay if step else 0.0)
        meter.add(means)
        # Several processes stop together, a step after one was asked to: by then nobody waits for the answer.
        stop = state.stop_requested if processes() == 1 else asked_before is not None and bool(asked_before)
        logs = (step + 1) % settings.log_every == 0 or step + 1 == settings.steps
        saves = (step + 1) % settings.save_every == 0 or stop
        if logs or saves:
            meter.read(step + 1)
        if logs:
            row = meter.row(step + 1)
            if objective.held_out is not None:
                done = (step + 1) / settings.steps
                scalars = held_out_scalars(parallel, objective.held_out, done, settings.accumulate)
                means, _ = _average_scalars(accelerator, scalars, False)
                row |= {f"val_{name}": value.item() for name, value in means.items()}
            history.append(row)
            on_row(history[-1])
        if saves:
            save(step + 1)
        if stop:
            raise Interrupted
    _set(learned, average)
    for network in called(model):
        accelerator.unwrap_model(uncompiled(network), keep_fp32_wrapper=False)
    trained = with_weights(result, weights, device) if sharded else result
    accelerator.end_training()
    return trained.eval(), history


def _accelerator(settings: TrainingSettings, device: torch.device) -> Accelerator:
    # It remembers the device and precision of the first training in a process, for whatever comes later.
    if processes() == 1:
        AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(cpu=device.type == "cpu", mixed_precision=mixed_precision(settings.mixed_precision, device))


def _check_shares(settings: TrainingSettings) -> None:
    count = processes() * settings.accumulate
    if settings.batch_size % count:
        raise InputError(
            f"training.batch_size={settings.batch_size}: expected a multiple of the {processes()} processes"
            f" times training.accumulate={settings.accumulate}"
        )


def _gradients(
    parallel: Parallel,
    draw: Callable[[torch.Generator, float], Any],
    generator: torch.Generator,
    done: float,
    count: int,
) -> dict[str, Tensor]:
    """Add up the gradients of a step's micro-batches; scalars as their means over them.

    Each draws the whole batch again from the same random state and keeps its part.
    """
    before, scalars = generator.get_state(), []
    for number in range(count):
        generator.set_state(before)
        with micro_batch(number, count), parallel.last_pass(number + 1 == count):
            values = parallel(draw(generator, done))
            (values["loss"] / count).backward()
        scalars.append({name: value.detach() for name, value in values.items()})
    return {name: torch.stack([values[name] for values in scalars]).mean(0) for name in scalars[0]}


@torch.no_grad()
def _update_average(average: dict[str, Tensor], learned: dict[str, nn.Parameter], decay: float) -> None:
    torch._foreach_lerp_(list(average.values()), list(learned.values()), 1 - decay)


@torch.no_grad()
def _set(tensors: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        tensor.copy_(values[name])


def _average_scalars(
    accelerator: Accelerator, scalars: dict[str, Tensor], stop: bool
) -> tuple[dict[str, Tensor], Tensor]:
    """Scalars as their means over the processes, and the share of these that were asked to stop; none is read."""
    values = torch.stack([value.float() for value in scalars.values()])
    values = torch.cat([values, values.new_full((1,), float(stop))])
    if accelerator.num_processes > 1:
        values = accelerator.reduce(values, reduction="mean")
    *means, asked = values.unbind()
    return dict(zip(scalars, means, strict=True)), asked


def _resume(
    state: State,
    learned: dict[str, nn.Parameter],
    optimizers: Sequence[torch.optim.Optimizer],
    average: dict[str, Tensor],
    generator: torch.Generator,
    meter: Meter,
) -> tuple[int, list[dict[str, float]]]:
    saved = state.load()
    if saved is None:
        return 0, []
    tensors, meta = saved
    for into, values in ((learned, tensors["model"]), (average, tensors["average"])):
        _set(into, {name: like(values[name], tensor) for name, tensor in into.items()})
    for optimizer, saved_state in zip(optimizers, tensors["optimizers"], strict=True):
        load_optimizer(optimizer, saved_state)
    generator.set_state(tensors["generator"])
    meter.sums, meter.count = meta["row"]["sums"], meta["row"]["count"]
    log.info("training goes on at step %d", meta["step"])
    return meta["step"], meta["history"]
