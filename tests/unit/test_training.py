import json
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from interdiff.errors import InputError
from interdiff.learning.checkpoints import save_checkpoint
from interdiff.learning.networks import Transformer
from interdiff.learning.state import TrainingState
from interdiff.learning.training import Interrupted, build_optimizers, schedule, train

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


def loss(model, generator, progress):
    x = torch.randn(4, 5, 8, generator=generator)
    error = (model(x) - x[..., :1].cumsum(1)).square().mean()
    return {"loss": error, "progress": torch.tensor(progress)}


def settings(**changes):
    values = {"steps": 12, "learning_rate": 1e-2, "warmup_steps": 2, "weight_decay": 0.01, "ema_decay": 0.9}
    values |= {
        "muon_learning_rate": None,
        "grad_clip": 1.0,
        "seed": 0,
        "log_every": 4,
        "save_every": 3,
        "mixed_precision": "no",
        "compile": False,
    }
    return SimpleNamespace(**(values | changes))


def run(folder, options=None, loss=loss, after_step=lambda step, state: None, rows=None):
    """Train Tiny with its state in a folder; `after_step` is called as each step begins."""
    torch.manual_seed(0)
    state = TrainingState(folder)
    rows = [] if rows is None else rows

    def steps(left):
        for step in left:
            after_step(step, state)
            yield step

    with state:
        return train(Tiny(), loss, options or settings(), 4, state, torch.device("cpu"), rows.append, steps)


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


def test_muon_takes_the_matrices_of_blocks_alone():
    model = Tiny()
    adamw, muon = (
        {p for group in o.param_groups for p in group["params"]}
        for o in build_optimizers(model, settings(muon_learning_rate=1e-2))
    )
    assert muon == {p for p in model.transformer.blocks.parameters() if p.ndim == 2}
    assert adamw == set(model.parameters()) - muon


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

    def bad(model, generator, progress):
        scalars = loss(model, generator, progress)
        return scalars | {"loss": scalars["loss"] * (value if next(steps) == 5 else 1)}

    with pytest.raises(InputError, match=rf"the training loss is {value} at step 5"):
        run(tmp_path, loss=bad)
    # What was saved before is good and stays.
    tensors, meta = TrainingState(tmp_path).load()
    assert meta["step"] == 3
    assert all(tensor.isfinite().all() for tensor in tensors["model"].values())


def test_the_result_is_the_moving_average_of_the_weights(tmp_path):
    weights = []

    def recorded(model, generator, progress):
        weights.append(model.head.weight.detach().clone())
        return loss(model, generator, progress)

    torch.manual_seed(0)
    model = Tiny()
    with TrainingState(tmp_path) as state:
        average, _ = train(model, recorded, settings(), 4, state, torch.device("cpu"), lambda row: None, iter)
    weights = [*weights[1:], model.head.weight.detach()]
    expected = weights[0]
    for weight in weights[1:]:
        expected = 0.9 * expected + 0.1 * weight
    torch.testing.assert_close(average.head.weight, expected)
    assert not torch.allclose(average.head.weight, weights[-1])
    assert not average.training


def test_history_rows_are_means_over_log_every_steps(tmp_path):
    losses, rows = [], []

    def recorded(model, generator, progress):
        losses.append(loss(model, generator, progress))
        return losses[-1]

    _, history = run(tmp_path, settings(steps=10), recorded, rows=rows)
    assert history == rows
    assert [row["step"] for row in history] == [4, 8, 10]
    for row, part in zip(history, (losses[:4], losses[4:8], losses[8:]), strict=True):
        assert set(row) == {"step", "loss", "progress", *WALL_TIMES}
        assert row["loss"] == pytest.approx(sum(scalars["loss"].item() for scalars in part) / len(part))
        assert row["samples_per_s"] == pytest.approx(4 * row["steps_per_s"])
    assert history[0]["progress"] == pytest.approx(sum(range(4)) / 40)


def test_training_learns(tmp_path):
    _, history = run(tmp_path, settings(steps=200, log_every=50, save_every=500))
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]


def test_a_compiled_network_learns_the_same(tmp_path):
    calls = []

    def seen(model, generator, progress):
        calls.append(type(model).__name__)
        return loss(model, generator, progress)

    model, _ = run(tmp_path / "compiled", settings(compile=True), loss=seen)
    plain, _ = run(tmp_path / "plain")
    assert set(calls) == {"OptimizedModule"}
    torch.testing.assert_close(model.state_dict(), plain.state_dict(), atol=1e-4, rtol=1e-3)


def test_the_learning_rate_warms_up_and_decays_to_zero():
    options = settings(steps=100, warmup_steps=10)
    rates = [options.learning_rate * schedule(options, step) for step in range(101)]
    assert rates[0] == pytest.approx(1e-3)
    assert max(rates) == pytest.approx(1e-2, rel=0.03)
    assert rates.index(max(rates)) == 9
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0, abs=1e-9)
