import json

import pytest
import torch
from torch import nn

from interdiff.errors import InputError
from interdiff.learning.checkpoints import load_checkpoint, save_checkpoint


def build(config):
    return nn.Linear(config["width"], 2)


@pytest.fixture
def folder(tmp_path):
    names = {"model": "model.safetensors", "config": "config.json", "history": "history.csv"}
    outputs = {key: tmp_path / name for key, name in names.items()}
    model = build({"width": 3})
    save_checkpoint(outputs, model, {"kind": "toy", "model": {"width": 3}}, [{"step": 1, "loss": 2.0}])
    return tmp_path


def test_a_checkpoint_rebuilds_its_module(folder):
    model = load_checkpoint(folder, "toy", build)
    assert not model.training
    assert model(torch.ones(1, 3)).shape == (1, 2)
    assert (folder / "history.csv").read_text() == "step,loss\n1,2.0\n"


def test_the_same_weights_give_the_same_bytes(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    outputs = {"model": other / "m", "config": other / "c", "history": other / "h"}
    save_checkpoint(outputs, load_checkpoint(folder, "toy", build), {"kind": "toy", "model": {"width": 3}}, [])
    assert (other / "m").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_another_kind_is_refused(folder):
    with pytest.raises(InputError, match=r"config\.json: a checkpoint of kind 'toy'; expected 'selector'"):
        load_checkpoint(folder, "selector", build)


def test_another_configuration_names_file_and_tensor(folder):
    (folder / "config.json").write_text(json.dumps({"kind": "toy", "model": {"width": 4}}))
    with pytest.raises(InputError, match=r"model\.safetensors: tensor 'weight' has shape \(2, 3\)"):
        load_checkpoint(folder, "toy", build)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda c: nn.Linear(3, 2, bias=False), "unexpected tensor 'bias'"),
        (lambda c: nn.Sequential(nn.Linear(3, 2)), "tensor '0.bias' is missing"),
    ],
)
def test_other_modules_are_refused(folder, make, message):
    with pytest.raises(InputError, match=message):
        load_checkpoint(folder, "toy", make)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_truncated_files_are_named(folder, name):
    (folder / name).write_bytes((folder / name).read_bytes()[:-9])
    with pytest.raises(InputError, match=name):
        load_checkpoint(folder, "toy", build)
