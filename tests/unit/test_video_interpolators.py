import pytest
import torch

from interdiff.video.interpolators.interpolator import fill, gaps
from interdiff.video.interpolators.methods.flow import FlowInterpolator, cost_volume
from interdiff.video.interpolators.methods.lerp import lerp
from interdiff.video.interpolators.methods.sinkhorn import (
    SinkhornInterpolator,
    phase_correlation,
    rotated,
    turn_of_places,
)
from interdiff.video.interpolators.methods.smooth import smooth
from interdiff.video.interpolators.straightener import Straightened, Straightener
from interdiff.video.interpolators.warping import warp

CPU = torch.device("cpu")
FLOW = {"channels": 4, "width": 16, "pair_blocks": 1, "time_blocks": 1, "gap_conditioning": True, "time_mask": True}
FLOW |= {"cost_radius": 1, "cost_scale": 2, "residual": True, "scale": 2}
SINKHORN = {"channels": 4, "width": 8, "token": 1, "radius": 2, "iterations": 10, "correlation": "multi"}
SINKHORN |= {"correlation_level": "latent", "angles": [0.0], "spatial_weight": 0.1, "consistency": 1.0}
FORMS = {"convolutional": {}, "token": {"patch": 2, "heads": 2}}


def seeded(module, **options):
    torch.manual_seed(0)
    return module(**options)


def straightener(form="convolutional", random=True):
    model = seeded(Straightener, channels=4, couplings=3, form=form, width=16, blocks=1, **FORMS[form])
    if random:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape))
    return model


def moving_flow(**changes):
    """A flow network whose last layers, zero at first, do something."""
    model = seeded(FlowInterpolator, **FLOW | changes)
    for layer in (model.flow, model.out, model.error.second):
        torch.nn.init.normal_(layer.weight, std=0.1)
    return model


MAKERS = {
    "lerp": lambda: lerp,
    "smooth": lambda: smooth,
    "flow": moving_flow,
    "sinkhorn": lambda: seeded(SinkhornInterpolator, **SINKHORN),
    "straightened": lambda: Straightened(straightener(), lerp),
}


def ends(batch=2, channels=4, size=(6, 8), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, channels, *size, generator=generator) for _ in range(2)]


def textured(shift, size=16, seed=0):
    """A smooth random picture [1, 4, size, size] moved by (x, y), cyclically."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.nn.functional.avg_pool2d(torch.randn(1, 4, size, size, generator=generator), 3, 1, 1) * 3
    return z.roll((shift[1], shift[0]), (2, 3))


@pytest.mark.parametrize("name", MAKERS)
def test_shapes_and_expected_errors(name):
    first, last = ends()
    tau = torch.tensor([[0.25, 0.5, 0.75], [0.1, 0.2, 0.9]])
    between = MAKERS[name]()(first, last, tau, torch.tensor([4.0, 10.0]))
    assert between.z.shape == (2, 3, 4, 6, 8)
    assert between.error.shape == (2, 3, 6, 8)
    assert (between.error >= 0).all()


@pytest.mark.parametrize("name", MAKERS)
def test_the_ends_are_kept(name):
    first, last = ends()
    tau = torch.tensor([[1e-4, 1 - 1e-4]] * 2)
    between = MAKERS[name]()(first, last, tau, torch.tensor([4.0, 4.0]))
    torch.testing.assert_close(between.z[:, 0], first, atol=0.02, rtol=0)
    torch.testing.assert_close(between.z[:, 1], last, atol=0.02, rtol=0)
    assert between.error.max() < 0.05


@pytest.mark.parametrize("name", ["lerp", "smooth", "straightened"])
def test_a_still_picture_stays(name):
    first, _ = ends()
    between = MAKERS[name]()(first, first, torch.full((2, 1), 0.5), torch.tensor([4.0, 4.0]))
    torch.testing.assert_close(between.z[:, 0], first, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["flow", "sinkhorn", "straightened"])
def test_times_do_not_disturb_each_other(name):
    first, last = ends()
    model, gap = MAKERS[name](), torch.tensor([4.0, 4.0])
    both = model(first, last, torch.tensor([[0.3, 0.6]] * 2), gap)
    alone = model(first, last, torch.tensor([[0.6]] * 2), gap)
    torch.testing.assert_close(both.z[:, 1:], alone.z)


def test_an_untrained_flow_is_linear():
    first, last = ends()
    tau, gap = torch.tensor([[0.2, 0.7]] * 2), torch.tensor([3.0, 3.0])
    torch.testing.assert_close(seeded(FlowInterpolator, **FLOW)(first, last, tau, gap).z, lerp(first, last, tau, gap).z)


def filled_at(model, gap=2.0):
    first, last = ends()
    return model(first, last, torch.full((2, 1), 0.3), torch.full((2,), gap)).z


@pytest.mark.parametrize("kept", [True, False])
def test_the_gap_can_be_kept_from_the_flow(kept):
    model = moving_flow(gap_conditioning=kept)
    assert torch.equal(filled_at(model, 2.0), filled_at(model, 9.0)) != kept


@pytest.mark.parametrize("kept", [True, False])
def test_the_correction_of_the_flow_can_be_left_out(kept):
    model = moving_flow(residual=kept)
    before = filled_at(model)
    torch.nn.init.zeros_(model.out.weight[FLOW["scale"] ** 2 :])
    assert torch.equal(filled_at(model), before) != kept


@pytest.mark.parametrize("change", [{"cost_radius": 0}, {"time_mask": False}])
def test_other_parts_of_the_flow_can_be_left_out(change):
    assert (filled_at(moving_flow(**change)) - filled_at(moving_flow())).abs().mean() > 1e-3


def test_warping_moves_and_repeats_borders():
    z = torch.arange(5.0).expand(1, 1, 4, 5)
    flow = torch.zeros(1, 2, 4, 5)
    flow[:, 0] = 1.5
    assert warp(z, flow)[0, 0, 0].tolist() == [1.5, 2.5, 3.5, 4.0, 4.0]


def test_the_cost_volume_peaks_where_things_went():
    first, last = textured((0, 0)), textured((2, 0))
    volume = cost_volume(first, last, radius=2, scale=1)
    best = volume[0, :, 4:12, 4:12].mean((1, 2)).argmax()
    assert divmod(int(best), 5) == (2, 4)  # row y = 0, column x = +2


@pytest.mark.parametrize("mode", ["mean", "multi"])
@pytest.mark.parametrize("shift", [(0, 0), (3, 0), (-2, 5), (7, -8)])
def test_phase_correlation_finds_a_cyclic_shift(mode, shift):
    found, peak = phase_correlation(textured((0, 0)), textured(shift), mode)
    assert found[0].tolist() == list(shift)
    assert peak > 0.9
    _, low = phase_correlation(textured((0, 0)), textured((0, 0), seed=1), mode)
    assert low < 0.5


def test_rotation_about_the_middle():
    z = torch.zeros(1, 1, 5, 5)
    z[0, 0, 1, 2] = 1
    turned = rotated(z, 90)
    assert turned[0, 0].argmax() == 2 * 5 + 1
    torch.testing.assert_close(turn_of_places(90, CPU) @ torch.tensor([0.0, -1.0]), torch.tensor([-1.0, 0.0]))
    torch.testing.assert_close(rotated(rotated(z, 90), -90), z, atol=1e-5, rtol=0)


@pytest.mark.parametrize("form", FORMS)
def test_the_straightener_undoes_itself_and_begins_as_a_permutation(form):
    z, _ = ends()
    model = straightener(form)
    s = model(z)
    torch.testing.assert_close(model.inverse(s), z, atol=1e-5, rtol=0)
    assert (s - z).abs().max() > 0.1
    plain = straightener(form, random=False)(z)
    torch.testing.assert_close(plain.flatten(1).sort(1)[0], z.flatten(1).sort(1)[0])


def test_any_interpolator_runs_in_the_straightened_space():
    first, last = ends()
    flow = seeded(FlowInterpolator, **FLOW)
    between = Straightened(straightener(), flow)(first, last, torch.full((2, 2), 0.5), torch.tensor([2.0, 2.0]))
    assert between.z.shape == (2, 2, 4, 6, 8)


def test_a_clip_is_filled_between_its_anchors():
    z = torch.randn(2, 4, 7, 3, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(2, 7, dtype=torch.bool)
    mask[0, [0, 3, 6]] = True
    mask[1, [0, 1, 6]] = True
    filled, error = fill(z, mask, lerp)
    assert torch.equal(filled[0][:, mask[0]], z[0][:, mask[0]])
    torch.testing.assert_close(filled[0, :, 1], z[0, :, 0] * 2 / 3 + z[0, :, 3] / 3)
    torch.testing.assert_close(filled[1, :, 5], z[1, :, 1] / 5 + z[1, :, 6] * 4 / 5)
    assert (error[mask] == 0).all()
    assert (error[~mask].flatten(1).mean(1) > 0).all()
    whole, none = fill(z, torch.ones_like(mask), lerp)
    assert torch.equal(whole, z)
    assert not none.any()


def test_gaps_lie_between_known_frames_of_one_clip():
    mask = torch.tensor([[True, False, False, True, True], [True, True, False, False, True], [True] * 5])
    assert gaps(mask).tolist() == [[0, 0, 3], [1, 1, 4]]


def test_an_interpolator_looks_at_each_pair_once():
    pairs = []

    def counted(first, last, tau, gap):
        pairs.extend(zip(gap.tolist(), tau.shape[1:] * len(gap), strict=True))
        return lerp(first, last, tau, gap)

    mask = torch.zeros(2, 9, dtype=torch.bool)
    mask[:, [0, 2, 8]] = mask[1, 5] = True
    fill(torch.randn(2, 4, 9, 3, 3, generator=torch.Generator().manual_seed(0)), mask, counted)
    assert sorted(pairs) == [(2.0, 1), (2.0, 1), (3.0, 2), (3.0, 2), (6.0, 5)]
