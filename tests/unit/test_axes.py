"""`rearrange` and `repeat` answer as einops' do."""

import einops
import pytest
import torch

from interdiff.axes import rearrange, repeat

PATTERNS = [
    ((2, 3, 4, 5, 6), "b c t h w -> b t (c h w)", {}),
    ((2, 4, 90), "b t (c h w) -> b c t h w", {"c": 3, "h": 5}),
    ((2, 4, 6, 12), "b t n (p q c) -> b c t (n p) q", {"p": 2, "q": 2}),
    ((4, 6), "b m -> (b m) 1 1 1", {}),
    ((24, 1, 5, 7), "(b m) 1 h w -> b m h w", {"b": 4}),
    ((2, 7, 3 * 8), "b n (three h e) -> three b h n e", {"three": 3, "h": 4}),
]


@pytest.mark.parametrize(("shape", "pattern", "sizes"), PATTERNS)
def test_rearrange(shape, pattern, sizes):
    x = torch.arange(torch.Size(shape).numel()).view(shape)
    assert torch.equal(rearrange(x, pattern, **sizes), einops.rearrange(x, pattern, **sizes))


@pytest.mark.parametrize("pattern", ["b c h -> (b m) c h", "b c h -> m (h b) c", "b c h -> b c h m"])
def test_repeat(pattern):
    x = torch.arange(24).view(2, 3, 4)
    assert torch.equal(repeat(x, pattern, m=5), einops.repeat(x, pattern, m=5))


@pytest.mark.parametrize(
    ("pattern", "sizes"),
    [("a b -> a", {}), ("a -> a", {}), ("(a c) b -> a b c", {"a": 4}), ("(a c) b -> a b c", {}), ("1 b -> b", {})],
)
def test_what_does_not_fit_is_an_error(pattern, sizes):
    with pytest.raises(ValueError, match=r"->"):
        rearrange(torch.zeros(6, 5), pattern, **sizes)
