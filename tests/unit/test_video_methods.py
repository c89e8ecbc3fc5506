import pytest
import torch

from interdiff.learning.checkpoints import save_checkpoint
from interdiff.video.evaluation.costs import WAN_LATENT, costs, fill_flops, wan_step_flops
from interdiff.video.interpolators.interpolator import lerp
from interdiff.video.interpolators.loading import (
    build_interpolator,
    interpolator_config,
    load_interpolator,
    straightener_config,
)
from interdiff.video.interpolators.settings import InterpolatorSettings, ShiftSettings, StraightenerSettings

AROUND = straightener_config(StraightenerSettings(couplings=1, shift=ShiftSettings(width=8, blocks=1)), 16)
CASES = [(method, around) for method in ("lerp", "smooth", "flow", "sinkhorn") for around in (None, AROUND)]


def config(method, around):
    return interpolator_config(InterpolatorSettings(method=method), 16, around)


@pytest.mark.parametrize(("method", "around"), CASES)
def test_every_method_comes_back_from_its_checkpoint(method, around, tmp_path):
    torch.manual_seed(0)
    made = build_interpolator(**config(method, around)).eval()
    names = ("model.safetensors", "config.json", "history.csv")
    outputs = {name.split(".")[0]: tmp_path / name for name in names}
    save_checkpoint(outputs, made, {"kind": "interpolator", "model": config(method, around)}, [])
    again = load_interpolator(tmp_path, torch.device("cpu"))
    first, last = torch.randn(2, 1, 16, 4, 4)
    arguments = first, last, torch.tensor([[0.25, 0.5]]), torch.tensor([4.0])
    with torch.no_grad():
        torch.testing.assert_close(again(*arguments).z, made(*arguments).z)
        if method == "lerp" and not around:
            torch.testing.assert_close(again(*arguments).z, lerp(*arguments).z)


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
