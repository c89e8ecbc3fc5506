"""What training learns, logs and keeps."""

import pytest
import torch
from test_training import WALL_TIMES, Tiny, draw, loss, run, settings

from interdiff.errors import InputError
from interdiff.learning import optimizers
from interdiff.learning.optimizers import Muon, build_optimizers, schedule
from interdiff.learning.state import TrainingState
from interdiff.learning.training import Objective, train


@pytest.mark.parametrize("shape", [(12, 12), (24, 8), (8, 24)])
def test_muon_is_pytorchs_without_its_rounding_to_bf16(monkeypatch, shape):
    generator = torch.Generator().manual_seed(0)
    start, *gradients = torch.randn((4, *shape), generator=generator)
    ends = {}
    for bf16 in (True, False):
        monkeypatch.setattr(optimizers, "fast_bf16", lambda _, bf16=bf16: bf16)
        matrix = torch.nn.Parameter(start.clone())
        muon = Muon([matrix], lr=0.1, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
        for gradient in gradients:
            matrix.grad = gradient
            muon.step()
        ends[bf16] = matrix.detach() - start
    assert 0 < (ends[True] - ends[False]).norm() < 0.02 * ends[True].norm()


def test_muon_takes_the_matrices_of_blocks_alone():
    model = Tiny()
    adamw, muon = (
        {p for group in o.param_groups for p in group["params"]}
        for o in build_optimizers(dict(model.named_parameters()), settings(muon_learning_rate=1e-2))
    )
    assert muon == {p for p in model.transformer.blocks.parameters() if p.ndim == 2}
    assert adamw == set(model.parameters()) - muon


def test_the_result_is_the_moving_average_of_the_weights(tmp_path):
    weights = []

    def recorded(model, batch):
        weights.append(model.head.weight.detach().clone())
        return loss(model, batch)

    average, _ = run(tmp_path, loss=recorded)
    last = TrainingState(tmp_path).load()[0]["model"]["head.weight"]
    weights = [*weights[1:], last]
    expected = weights[0]
    for weight in weights[1:]:
        expected = 0.9 * expected + 0.1 * weight
    torch.testing.assert_close(average.head.weight, expected)
    assert not torch.allclose(average.head.weight, weights[-1])
    assert not average.training


def test_history_rows_are_means_over_log_every_steps(tmp_path):
    losses, rows = [], []

    def recorded(model, batch):
        losses.append(loss(model, batch))
        return losses[-1]

    _, history = run(tmp_path, settings(steps=10), recorded, rows=rows)
    assert history == rows
    assert [row["step"] for row in history] == [4, 8, 10]
    for row, part in zip(history, (losses[:4], losses[4:8], losses[8:]), strict=True):
        assert set(row) == {"step", "loss", "progress", *WALL_TIMES}
        assert row["loss"] == pytest.approx(sum(scalars["loss"].item() for scalars in part) / len(part))
        assert row["samples_per_s"] == pytest.approx(4 * row["steps_per_s"])
    assert history[0]["progress"] == pytest.approx(sum(range(4)) / 40)


def test_validation_is_the_same_batches_each_time_whole_or_in_parts(tmp_path):
    still = settings(learning_rate=1e-30, accumulate=2)
    parts, whole = (
        [row["val_loss"] for row in run(tmp_path / str(n), options, held_out=draw)[1]]
        for n, options in enumerate((still, settings(learning_rate=1e-30)))
    )
    assert parts == pytest.approx(whole, rel=1e-5)
    assert whole == pytest.approx([whole[0]] * 3, rel=1e-5)


def test_training_learns(tmp_path):
    _, history = run(tmp_path, settings(steps=200, log_every=50, save_every=500))
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]


@pytest.mark.parametrize("what", ["blocks", "whole"])
def test_a_compiled_network_learns_the_same(tmp_path, what):
    compiled = set()

    def seen(model, batch):
        compiled.update(name for name, module in model.named_modules() if module._compiled_call_impl)
        return loss(model, batch)

    model, _ = run(tmp_path / "compiled", settings(compile=what), loss=seen)
    plain, _ = run(tmp_path / "plain")
    assert compiled == {"transformer.blocks.0" if what == "blocks" else ""}
    torch.testing.assert_close(model.state_dict(), plain.state_dict(), atol=1e-4, rtol=1e-3)
    assert not any(module._compiled_call_impl for module in model.modules())


def test_micro_batches_learn_what_one_batch_does(tmp_path):
    whole, parts = (run(tmp_path / str(n), settings(accumulate=n))[1] for n in (1, 4))
    assert [row["loss"] for row in parts] == pytest.approx([row["loss"] for row in whole], rel=1e-5)


def test_a_batch_that_cannot_be_shared_is_bad_input(tmp_path):
    with pytest.raises(InputError, match=r"batch_size=4: expected a multiple of the 1 processes times .*accumulate=3"):
        run(tmp_path, settings(accumulate=3))


def test_only_what_learns_is_kept_and_saved(tmp_path):
    model = Tiny()
    model.transformer.requires_grad_(False)
    frozen = {name: value.clone() for name, value in model.transformer.state_dict().items()}
    with TrainingState(tmp_path) as state:
        trained, _ = train(model, Objective(draw, loss), settings(), state, torch.device("cpu"), lambda row: None, iter)
    tensors, _ = TrainingState(tmp_path).load()
    learned = {"context", "head.weight", "head.bias"}
    assert set(tensors["model"]) == set(tensors["average"]) == learned
    assert len(tensors["optimizers"][0]["state"]) == len(learned)
    torch.testing.assert_close(trained.transformer.state_dict(), frozen, rtol=0, atol=0)


def test_the_learning_rate_warms_up_and_decays_to_zero():
    options = settings(steps=100, warmup_steps=10)
    rates = [options.learning_rate * schedule(options, step) for step in range(101)]
    assert rates[0] == pytest.approx(1e-3)
    assert max(rates) == pytest.approx(1e-2, rel=0.03)
    assert rates.index(max(rates)) == 9
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0, abs=1e-9)
