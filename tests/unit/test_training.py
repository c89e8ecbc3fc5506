import json
import math
import signal
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from interdiff.errors import InputError
from interdiff.learning import draws
from interdiff.learning.checkpoints import save_checkpoint
from interdiff.learning.networks import Transformer
from interdiff.learning.processes import of_batch, parts
from interdiff.learning.state import TrainingState
from interdiff.learning.training import Interrupted, Objective, train
from stages.training import train_network

WALL_TIMES = ("steps_per_s", "samples_per_s", "peak_memory_mb")


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.context = nn.Parameter(torch.zeros(1, 3, 8))
        self.transformer = Transformer(8, 1, 2)
        self.head = nn.Linear(8, 1)

    def forward(self, x):
        context = self.transformer.encode_context(self.context)
        return self.head(self.transformer(x, x.mean(1), context))


def draw(generator, progress):
    return draws.normal((4 // parts(), 5, 8), of_batch(generator), "cpu"), torch.tensor(progress)


def loss(model, batch):
    x, progress = batch
    return {"loss": (model(x) - x[..., :1].cumsum(1)).square().mean(), "progress": progress}


def settings(**changes):
    values = {"steps": 12, "learning_rate": 1e-2, "warmup_steps": 2, "weight_decay": 0.01, "ema_decay": 0.9}
    values |= {
        "muon_learning_rate": None,
        "grad_clip": 1.0,
        "seed": 0,
        "log_every": 4,
        "save_every": 3,
        "mixed_precision": "no",
        "compile": "no",
        "accumulate": 1,
        "batch_size": 4,
    }
    return SimpleNamespace(**(values | changes))


def run(folder, options=None, loss=loss, after_step=lambda step, state: None, rows=None, held_out=None):
    """Train Tiny with its state in a folder; `after_step` is called as each step begins."""
    torch.manual_seed(0)
    state = TrainingState(folder)
    rows = [] if rows is None else rows

    def steps(left):
        for step in left:
            after_step(step, state)
            yield step

    with state:
        return train(
            Tiny(),
            Objective(draw, loss, held_out),
            options or settings(),
            state,
            torch.device("cpu"),
            rows.append,
            steps,
        )


def saved(model, history, folder):
    """The bytes of a checkpoint's weights, and its history without what a clock decides."""
    outputs = {name: folder / name for name in ("model", "config", "history")}
    save_checkpoint(outputs, model, {"kind": "tiny", "model": {}}, history)
    history = [{name: value for name, value in row.items() if name not in WALL_TIMES} for row in history]
    return outputs["model"].read_bytes(), json.dumps(history, sort_keys=True)


def stop_at(number):
    def after_step(step, state):
        state.stop_requested |= step == number

    return after_step


class Killed(BaseException):
    """In place of SIGKILL: nothing is saved after it."""


def kill_at(number):
    def after_step(step, state):
        if step == number:
            raise Killed

    return after_step


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return saved(*run(folder / "state"), folder)


@pytest.mark.parametrize("step", [0, 3, 7, 10, 11])
def test_stopped_and_resumed_gives_the_same_weights(tmp_path, uninterrupted, step):
    with pytest.raises(Interrupted) as stopped:
        run(tmp_path / "state", after_step=stop_at(step))
    assert stopped.value.code == 143
    begun = []
    result = run(tmp_path / "state", after_step=lambda step, state: begun.append(step))
    assert begun == list(range(step + 1, 12))
    assert saved(*result, tmp_path)[0] == uninterrupted[0]


@pytest.mark.parametrize("step", [1, 4, 11])
def test_killed_and_resumed_gives_the_same_weights(tmp_path, uninterrupted, step):
    with pytest.raises(Killed):
        run(tmp_path / "state", after_step=kill_at(step))
    begun = []
    result = run(tmp_path / "state", after_step=lambda step, state: begun.append(step))
    assert begun == list(range(step // 3 * 3, 12))
    assert saved(*result, tmp_path)[0] == uninterrupted[0]


def test_muon_learns_otherwise_and_goes_on_too(tmp_path, uninterrupted):
    muon = settings(muon_learning_rate=1e-2)
    whole = saved(*run(tmp_path / "whole", muon), tmp_path)[0]
    with pytest.raises(Killed):
        run(tmp_path / "killed", muon, after_step=kill_at(7))
    assert saved(*run(tmp_path / "killed", muon), tmp_path)[0] == whole != uninterrupted[0]


@pytest.mark.parametrize("step", [3, 5])
def test_a_resumed_history_is_that_of_an_uninterrupted_run(tmp_path, uninterrupted, step):
    with pytest.raises(Interrupted):
        run(tmp_path / "state", after_step=stop_at(step))
    assert saved(*run(tmp_path / "state"), tmp_path)[1] == uninterrupted[1]


def test_a_resumed_history_has_the_same_columns(tmp_path):
    with pytest.raises(Interrupted):
        run(tmp_path / "state", after_step=stop_at(7))
    saved(*run(tmp_path / "state"), tmp_path)
    columns = (tmp_path / "history").read_text().splitlines()[0]
    assert columns == ",".join(["step", "loss", "progress", *WALL_TIMES])


def test_other_weights_would_be_seen(tmp_path, uninterrupted):
    assert saved(*run(tmp_path / "state", settings(seed=1)), tmp_path)[0] != uninterrupted[0]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_bad_input_and_names_the_step(tmp_path, value):
    steps = iter(range(100))

    def bad(model, batch):
        scalars = loss(model, batch)
        return scalars | {"loss": scalars["loss"] * (value if next(steps) == 5 else 1)}

    with pytest.raises(InputError, match=rf"the training loss is {value} at step 5"):
        run(tmp_path, loss=bad)
    # What was saved before is good and stays.
    tensors, meta = TrainingState(tmp_path).load()
    assert meta["step"] == 3
    assert all(tensor.isfinite().all() for tensor in tensors["model"].values())


def test_validation_is_logged_beside_training_and_changes_nothing(tmp_path, uninterrupted):
    modes = []

    def seen(model, batch):
        modes.append((model.training, torch.is_grad_enabled()))
        return loss(model, batch)

    model, history = run(tmp_path / "whole", loss=seen, held_out=draw)
    weights, rows = saved(model, history, tmp_path)
    assert weights == uninterrupted[0]
    assert [row for row in modes if row != (True, True)] == [(False, False)] * 3 * 4
    training = [{name: value for name, value in row.items() if not name.startswith("val_")} for row in json.loads(rows)]
    assert json.dumps(training, sort_keys=True) == uninterrupted[1]
    assert all({"val_loss", "val_progress"} <= row.keys() for row in history)
    with pytest.raises(Interrupted):
        run(tmp_path / "killed", after_step=stop_at(5), held_out=draw)
    assert saved(*run(tmp_path / "killed", held_out=draw), tmp_path) == (weights, rows)


def test_the_random_state_is_that_of_the_cpu_on_every_device(tmp_path):
    """So a training goes on wherever it is taken up."""
    run(tmp_path)
    assert TrainingState(tmp_path).load()[0]["generator"].shape == torch.Generator().get_state().shape


def test_a_stop_after_the_training_ends_the_stage(tmp_path):
    """It writes its outputs then, which nothing can save half-done."""
    before = signal.getsignal(signal.SIGTERM)
    stage = SimpleNamespace(
        settings=SimpleNamespace(training=settings()),
        process=0,
        state=lambda: TrainingState(tmp_path).__enter__(),
        device=torch.device("cpu"),
        tracker=SimpleNamespace(log=lambda row: None),
        progress=lambda steps, description, unit: steps,
    )
    train_network(stage, Tiny(), Objective(draw, loss))
    assert signal.getsignal(signal.SIGTERM) is before
