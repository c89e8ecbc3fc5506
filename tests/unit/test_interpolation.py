import numpy as np
import pytest
import torch

from interdiff.two_phase.interpolation import bridge_deviation, interpolate, neighbours

T = 17


def mask_of(*rows):
    mask = torch.zeros(len(rows), T, dtype=torch.bool)
    for row, indices in zip(mask, rows, strict=True):
        row[list(indices)] = True
    return mask


MASKS = mask_of((0, 16), (0, 1, 7, 16), (0, 5, 6, 7, 15, 16), range(T))
TAU = torch.linspace(0, 1, T, dtype=torch.float64)[:, None]


def polynomial(degree):
    """Positions [4, T, 2] of random polynomials in tau, and their derivatives with respect to it."""
    rng = torch.Generator().manual_seed(degree)
    c = torch.randn(4, 1, 2, degree + 1, generator=rng, dtype=torch.float64)
    n = torch.arange(degree + 1)
    position = (c * TAU[..., None] ** n).sum(-1)
    velocity = (c[..., 1:] * n[1:] * TAU[..., None] ** (n[1:] - 1)).sum(-1)
    return torch.cat([position, velocity], dim=-1)


@pytest.mark.parametrize(("method", "degree"), [("linear", 1), ("hermite", 3)])
def test_exact_up_to_its_degree(method, degree):
    truth = polynomial(degree)
    if method == "linear":
        truth = truth[..., :2]
    torch.testing.assert_close(interpolate(truth, MASKS, method), truth)


@pytest.mark.parametrize(("method", "degree"), [("linear", 2), ("hermite", 4)])
def test_not_beyond_it(method, degree):
    truth = polynomial(degree)
    filled = interpolate(truth, MASKS, method)
    assert (filled - truth)[:3].abs().amax((1, 2)).min() > 1e-4
    torch.testing.assert_close(filled[3], truth[3])


@pytest.mark.parametrize("method", ["linear", "hermite"])
def test_anchors_are_kept_and_nothing_else_is_read(method):
    x = torch.randn(4, T, 4, generator=torch.Generator().manual_seed(0))
    filled = interpolate(x, MASKS, method)
    assert torch.equal(filled[MASKS], x[MASKS])
    other = torch.where(MASKS[..., None], x, torch.nan)
    assert torch.equal(interpolate(other, MASKS, method), filled)


def test_linear_is_numpys():
    x = torch.randn(1, T, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    indices = [0, 1, 7, 16]
    expected = np.interp(np.arange(T), indices, x[0, indices, 0])
    np.testing.assert_allclose(interpolate(x, MASKS[1:2])[0, :, 0], expected)


def test_neighbours():
    left, right = neighbours(mask_of((0, 3, 4, 16)))
    assert left[0].tolist() == [0, 0, 0, 3, *[4] * 12, 16]
    assert right[0].tolist() == [0, 3, 3, 3, 4, *[16] * 12]


def test_bridge_deviation():
    deviation = bridge_deviation(MASKS)
    assert (deviation[MASKS] == 0).all()
    assert (deviation[~MASKS] > 0).all()
    # 1 in the middle of a gap that spans the sequence, and symmetric about it.
    assert deviation[0].argmax() == 8
    assert deviation[0, 8].item() == pytest.approx(1)
    torch.testing.assert_close(deviation[0], deviation[0].flip(0))


def test_bridge_deviation_grows_with_the_square_root_of_the_gap():
    middle_of_4, middle_of_16 = bridge_deviation(mask_of((0, 4, 16), (0, 16)))[[0, 1], [2, 8]]
    assert (middle_of_16 / middle_of_4).item() == pytest.approx(2)
