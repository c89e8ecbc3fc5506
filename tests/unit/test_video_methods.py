import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from interdiff.errors import InputError
from interdiff.files import read_json, write_json
from interdiff.learning.checkpoints import save_checkpoint
from interdiff.video.evaluation.costs import WAN_LATENT, costs, fill_flops, wan_step_flops
from interdiff.video.interpolators.loading import (
    METHODS,
    build_interpolator,
    interpolator_config,
    load_interpolator,
    straightener_config,
)
from interdiff.video.interpolators.methods.lerp import lerp
from interdiff.video.interpolators.settings import InterpolatorSettings, ShiftSettings, StraightenerSettings
from interdiff.workflow.identity import code_hashes

ROOT = Path(__file__).parents[2]
AROUND = straightener_config(StraightenerSettings(couplings=1, shift=ShiftSettings(width=8, blocks=1)), 16)
CASES = [(method, around) for method in ("lerp", "smooth", "flow", "sinkhorn") for around in (None, AROUND)]


def config(method, around):
    return interpolator_config(InterpolatorSettings(method=method), 16, around)


def saved(model, of, folder):
    names = ("model.safetensors", "config.json", "history.csv")
    outputs = {name.split(".")[0]: folder / name for name in names}
    save_checkpoint(outputs, model, {"kind": "interpolator", "model": of}, [])


@pytest.mark.parametrize(("method", "around"), CASES)
def test_every_method_comes_back_from_its_checkpoint(method, around, tmp_path):
    torch.manual_seed(0)
    made = build_interpolator(**config(method, around)).eval()
    saved(made, config(method, around), tmp_path)
    again = load_interpolator(tmp_path, torch.device("cpu"))
    first, last = torch.randn(2, 1, 16, 4, 4)
    arguments = first, last, torch.tensor([[0.25, 0.5]]), torch.tensor([4.0])
    with torch.no_grad():
        torch.testing.assert_close(again(*arguments).z, made(*arguments).z)
        if method == "lerp" and not around:
            torch.testing.assert_close(again(*arguments).z, lerp(*arguments).z)


def test_checkpoints_hold_what_they_always_held():
    flow = InterpolatorSettings().flow.model_dump()
    assert config("flow", None) == {"method": "flow", "size": {"channels": 16, **flow}, "around": None}
    assert config("lerp", AROUND) == {"method": "lerp", "size": {}, "around": AROUND}


def test_a_checkpoint_of_an_unknown_method_is_refused(tmp_path):
    saved(build_interpolator(**config("lerp", None)), config("lerp", None), tmp_path)
    content = read_json(tmp_path / "config.json")
    content["model"]["method"] = "glide"
    write_json(tmp_path / "config.json", content)
    with pytest.raises(InputError, match=r"config\.json.*glide"):
        load_interpolator(tmp_path, torch.device("cpu"))


def test_a_method_is_one_file(monkeypatch):
    """One that settings do not know is told the channels, and falls back on its own defaults."""

    def build(channels, width=3):
        return torch.nn.Conv2d(channels, width, 1)

    monkeypatch.setitem(sys.modules, f"{METHODS}.glide", SimpleNamespace(build=build))
    made = interpolator_config(InterpolatorSettings().model_copy(update={"method": "glide"}), 16, None)
    assert made == {"method": "glide", "size": {"channels": 16}, "around": None}
    assert build_interpolator(**made).weight.shape == (3, 16, 1, 1)


@pytest.mark.parametrize(
    "stage", ["interpolator", "interpolation", "interpolation_pictures", "oracle", "refiner", "samples"]
)
def test_stages_follow_the_chosen_method_alone(stage):
    modules = code_hashes(f"stages.video.{stage}", ROOT)
    assert "interdiff/video/interpolators/loading.py" in modules
    assert not [name for name in modules if name.startswith(METHODS.replace(".", "/"))]


def test_samples_do_not_follow_losses():
    assert not [name for name in code_hashes("stages.video.samples", ROOT) if "losses" in name]


def test_a_token_straightener_takes_its_own_sizes():
    settings = StraightenerSettings(shift=ShiftSettings(form="token", patch=4, heads=2))
    assert straightener_config(settings, 16) | {"patch": 4, "heads": 2} == straightener_config(settings, 16)
    assert "patch" not in AROUND


def test_wans_step_is_what_arithmetic_says():
    _, frames, height, width = WAN_LATENT
    tokens, d, ffn, layers, text = frames * height * width // 4, 1536, 8960, 30, 512
    linear = tokens * (4 * d * d + 2 * d * ffn + 2 * d * d) + text * 2 * d * d
    attention = 2 * tokens * tokens * d + 2 * tokens * text * d
    assert wan_step_flops() == pytest.approx(2 * layers * (linear + attention), rel=0.01)


def test_costs_count_what_filling_takes():
    model = build_interpolator(**config("flow", None))
    found = costs(model, torch.randn(16, 21, 4, 4))
    assert found["params_m"] == pytest.approx(sum(p.numel() for p in model.parameters()) / 1e6)
    assert found["ms_per_frame"] > 0
    assert 0 < found["wan_step_share"] < 0.05
    assert fill_flops(build_interpolator(**config("lerp", None))) == 0
