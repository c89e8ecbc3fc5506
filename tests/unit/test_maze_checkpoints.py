"""Checkpoints of the maze's networks."""

import json

import pytest
import torch
from test_maze_networks import NETWORKS, T, condition_of, made, output

from interdiff.errors import InputError
from interdiff.learning.checkpoints import load_checkpoint, save_checkpoint
from interdiff.maze.planner.refiner import build_refiner
from interdiff.maze.planner.settings import RefinerSettings


def written(kind, network, folder):
    names = {"model": "model.safetensors", "config": "config.json", "history": "history.csv"}
    outputs = {key: folder / name for key, name in names.items()}
    save_checkpoint(outputs, network, {"kind": kind, "model": NETWORKS[kind][1]}, [{"step": 1}])


def loaded(kind, folder):
    return load_checkpoint(folder, kind, lambda config: NETWORKS[kind][0](**config))


@pytest.mark.parametrize("kind", NETWORKS)
def test_checkpoints_round_trip(kind, tmp_path):
    network = made(kind)
    written(kind, network, tmp_path)
    back = loaded(kind, tmp_path)
    assert not back.training
    assert torch.equal(output(kind, back, condition_of()), output(kind, network, condition_of()))


@pytest.mark.parametrize("change", [{"d_model": 32}, {"depth": 3}, {"depth": 1}])
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_checkpoint_of_another_size_is_bad_input(kind, change, tmp_path):
    written(kind, made(kind), tmp_path)
    config = {"kind": kind, "model": NETWORKS[kind][1] | change}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"model\.safetensors: .*tensor"):
        loaded(kind, tmp_path)


def test_a_checkpoint_of_another_network_is_bad_input(tmp_path):
    written("keyframes", made("keyframes"), tmp_path)
    with pytest.raises(InputError, match=r"config\.json: a checkpoint of kind 'keyframes'; expected 'refiner'"):
        loaded("refiner", tmp_path)


@pytest.mark.parametrize("change", ["unknown", "missing"])
def test_a_configuration_with_other_keys_is_bad_input(change, tmp_path):
    written("refiner", made("refiner"), tmp_path)
    model = dict(NETWORKS["refiner"][1])
    if change == "unknown":
        model["layers"] = 3
    else:
        del model["depth"]
    (tmp_path / "config.json").write_text(json.dumps({"kind": "refiner", "model": model}))
    with pytest.raises(InputError, match=r"config\.json"):
        loaded("refiner", tmp_path)


def test_a_refiner_told_of_neighbours_is_rebuilt_as_one(tmp_path):
    config = NETWORKS["refiner"][1] | {"neighbours": True}
    model = made("refiner", neighbours=True)
    outputs = {name: tmp_path / file for name, file in (("model", "model.safetensors"), ("config", "config.json"))}
    save_checkpoint(outputs | {"history": tmp_path / "history.csv"}, model, {"kind": "refiner", "model": config}, [])
    again = load_checkpoint(tmp_path, "refiner", lambda c: build_refiner(**c), torch.device("cpu"), frames=T)
    assert torch.equal(*(output("refiner", network, condition_of()) for network in (model, again)))
    with pytest.raises(ValueError, match="neighbours: expected false with a network of one's own"):
        RefinerSettings(network={"class": "torch.nn.Identity"}, neighbours=True)
