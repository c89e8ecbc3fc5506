import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from interdiff.video.interpolators.interpolator import fill, gaps
from interdiff.video.interpolators.methods.flow import FlowInterpolator, cost_volume
from interdiff.video.interpolators.methods.lerp import lerp
from interdiff.video.interpolators.methods.sinkhorn import (
    SinkhornInterpolator,
    Window,
    phase_correlation,
    rotated,
    sinkhorn,
    turn_of_places,
    window_around,
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


def everywhere(count, batch=1):
    targets = torch.arange(count).expand(batch, count, -1)
    return Window(targets, torch.ones_like(targets, dtype=torch.bool))


def dense_sinkhorn(scores, dustbin, iterations):
    """Transport between all places and two dustbins: [B, N, N] -> [B, N + 1, N + 1] (Sarlin et al. 2020, section 3.2)."""
    count = scores.shape[1]
    padded = torch.nn.functional.pad(scores, (0, 1, 0, 1))
    padded[:, -1, :] = padded[:, :, -1] = dustbin
    marginal = torch.cat([torch.zeros(count), torch.tensor([float(count)]).log()])
    rows, columns = torch.zeros(2, *padded.shape[:2])
    for _ in range(iterations):
        rows = marginal - (padded + columns[:, None]).logsumexp(2)
        columns = marginal - (padded + rows[:, :, None]).logsumexp(1)
    return (padded + rows[:, :, None] + columns[:, None]).exp()


def test_transport_leaves_to_the_dustbin_what_has_no_partner():
    scores = torch.full((1, 3, 3), -20.0)
    scores[0, 0, 1] = scores[0, 1, 0] = 5.0
    plan = sinkhorn(scores, everywhere(3), torch.tensor(0.0), 50)
    assert plan[0, 0, 1] > 0.85
    assert plan[0, 2].sum() < 0.1
    assert plan.sum(2).max() < 1 + 1e-3


@pytest.mark.parametrize(("radius", "size"), [(0, (4, 6)), (2, (4, 6)), (9, (4, 6)), (1, (1, 5))])
def test_transport_in_a_window_is_dense_transport_where_nothing_else_is_allowed(radius, size):
    generator, count = torch.Generator().manual_seed(0), size[0] * size[1]
    y, x = (at.flatten() for at in torch.meshgrid(*map(torch.arange, size), indexing="ij"))
    places = torch.stack([x, y], -1).float()
    expected = places + 2 * torch.randn(2, count, 2, generator=generator)
    scores = torch.randn(2, count, count, generator=generator)
    outside = (places - expected[:, :, None]).abs().amax(-1) > radius + 0.5
    window, away = window_around(expected, radius, *size)
    torch.testing.assert_close(away[window.inside], (places[window.targets] - expected[:, :, None])[window.inside])
    dense = dense_sinkhorn(scores.masked_fill(outside, -torch.inf), torch.tensor(0.3), 7)[:, :-1, :-1]
    plan = sinkhorn(scores.gather(2, window.targets), window, torch.tensor(0.3), 7)
    found = torch.zeros_like(dense).scatter_add(2, window.targets, plan)
    torch.testing.assert_close(found, dense, atol=1e-5, rtol=1e-5)


class Largest(TorchDispatchMode):
    """The most numbers in a tensor that is made."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        sizes = [made.numel()] if isinstance(made, torch.Tensor) else []
        self.numbers = max(self.numbers, *sizes, 0)
        return made


@pytest.mark.parametrize("token", [1, 2, 4])
def test_matching_takes_memory_in_proportion_to_places_at_wans_size(token):
    """All pairs of 6,240 places would be 39 million numbers in each of many tensors."""
    with torch.device("meta"), Largest() as largest:
        model = SinkhornInterpolator(**SINKHORN | {"channels": 16, "token": token})
        first, last = torch.empty(2, 1, 16, 60, 104)
        assert model.matches(first, last)[0].shape == (1, 2, 60, 104)
    assert largest.numbers <= 49 * 8 * 6240


@pytest.mark.parametrize("token", [1, 2, 4])
def test_tokens_of_any_size_follow_a_moving_picture(token):
    model = SinkhornInterpolator(**SINKHORN | {"width": 4, "token": token})
    torch.nn.init.zeros_(model.project.bias)
    torch.nn.init.zeros_(model.project.weight)
    for channel in range(4):
        model.project.weight.data[channel, channel] = 1 / token**2
    first, last = textured((0, 0), size=32), textured((4, -4), size=32)
    forward = model.matches(first, last)[0]
    assert forward[:, :, 10:22, 10:22].mean((0, 2, 3)).tolist() == pytest.approx([4, -4], abs=0.4)


def test_matches_follow_a_moving_picture():
    model = SinkhornInterpolator(**SINKHORN | {"width": 4})
    torch.nn.init.dirac_(model.project.weight)
    torch.nn.init.zeros_(model.project.bias)
    first, last = textured((0, 0)), textured((4, 1))
    forward, backward, sure, _ = model.matches(first, last)
    inner = (slice(None), slice(None), slice(5, 11), slice(5, 11))
    assert forward[inner].mean((0, 2, 3)).tolist() == pytest.approx([4, 1], abs=0.4)
    assert backward[inner].mean((0, 2, 3)).tolist() == pytest.approx([-4, -1], abs=0.4)
    middle = model(first, last, torch.tensor([[0.5]]), torch.tensor([8.0])).z[:, 0]
    truth = textured((2, 0))[..., 6:10, 6:10] * 0.5 + textured((2, 1))[..., 6:10, 6:10] * 0.5
    straight = lerp(first, last, torch.tensor([[0.5]]), torch.tensor([8.0])).z[:, 0]
    error, linear = ((z[..., 6:10, 6:10] - truth).abs().mean() for z in (middle, straight))
    assert error < 0.5 * linear
    assert sure[:, 5:11, 5:11].mean() > 0.5


def test_the_window_follows_a_turning_picture():
    """With the turn among the angles, places far from the middle find themselves again; without it they leave the window."""
    first = textured((0, 0))
    last, misses = rotated(first, 20.0), {}
    places = torch.stack(torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="xy")) - 7.5
    truth = torch.einsum("ij,jhw->ihw", turn_of_places(20.0, CPU), places) - places
    for angles in ([0.0], [-20.0, 0.0, 20.0]):
        model = SinkhornInterpolator(**SINKHORN | {"width": 4, "radius": 1, "angles": angles})
        torch.nn.init.dirac_(model.project.weight)
        torch.nn.init.zeros_(model.project.bias)
        turn, _ = model.global_motion(first, last)
        misses[len(angles)] = (model.matches(first, last)[0][0] - truth).norm(dim=0)[3:13, 3:13].mean()
    torch.testing.assert_close(turn[0], turn_of_places(20.0, CPU))
    assert misses[3] < 0.5 * misses[1]


def test_without_a_match_it_is_linear():
    model = SinkhornInterpolator(**SINKHORN)
    with torch.no_grad():
        model.dustbin.fill_(50.0)
    first, last = ends()
    tau, gap = torch.tensor([[0.3]] * 2), torch.tensor([5.0, 5.0])
    torch.testing.assert_close(model(first, last, tau, gap).z, lerp(first, last, tau, gap).z, atol=1e-3, rtol=0)


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
