"""A network made of the backbone's first blocks."""

import pytest
import torch
from test_video_lora import ALL, LEVEL, denoiser, inputs, stock  # noqa: F401

from interdiff.errors import InputError
from interdiff.learning.checkpoints import CONFIG, MODEL
from interdiff.video.backbone.settings import TuningSettings
from interdiff.video.backbone.tuning import load_tuned, save_tuned, tuned


def test_the_backbones_first_blocks_learn_to_answer(stock, inputs, tmp_path):  # noqa: F811
    z, embed = inputs
    shallow = TuningSettings(layers=1)
    model = tuned(denoiser(stock), shallow)
    assert [len(network.transformer.blocks) for network in (model, denoiser(stock))] == [1, 2]
    for name, weight in model.transformer.blocks[0].named_parameters():
        assert torch.equal(weight, stock.blocks[0].get_parameter(name))
    assert not model(z, LEVEL, embed, ALL).any()
    torch.nn.init.ones_(model.transformer.proj_out.weight)
    files = {name: tmp_path / file for name, file in (("model", MODEL), ("config", CONFIG), ("history", "history.csv"))}
    save_tuned(files, "refiner", model, shallow, [])
    loaded = load_tuned(tmp_path, "refiner", denoiser(stock))
    assert torch.equal(loaded(z, LEVEL, embed, ALL), model.eval()(z, LEVEL, embed, ALL))
    with pytest.raises(InputError, match=r"tuning\.layers: 3, but the backbone has 2"):
        tuned(denoiser(stock), TuningSettings(layers=3))
