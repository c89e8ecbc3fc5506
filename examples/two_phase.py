"""The whole method on 2-D curves, with the core folders alone: python examples/two_phase.py curves.png [training steps]

B curves of T points, K of them keyframes, run over two corners to a goal, the points of the condition [B, 6], and sway.
"""

import sys

import torch
from matplotlib import pyplot as plt

from interdiff.keyframes import dynamic_programming, losses, nested_masks, predicted_cost, segment_cost
from interdiff.learning.networks import FourierFeatures, Transformer, mlp
from interdiff.two_phase import corruption, interpolation, sampler
from interdiff.two_phase import keyframe_diffusion as diffusion

T, K, LEVELS, LONGEST = 48, 6, (6, 12), 3.0  # keyframes of the nested masks; longest gap, in uniform gaps
FILL, SCHEDULER, ALL = interpolation.filling("linear"), diffusion.keyframe_scheduler(), torch.arange(T)[None]


def curves(count, generator):
    """Curves [B, T, 2] of constant speed, and their conditions [B, 6]."""
    points = torch.rand((count, 3, 2), generator=generator) * 2 - 1
    knots = torch.cat([torch.zeros(count, 1, 2), points], 1)
    lengths = knots.diff(dim=1).norm(dim=-1).cumsum(1)
    frames = torch.cat([torch.zeros(count, 1), lengths / lengths[:, -1:]], 1).mul(T - 1).round().long()
    curve, sway = FILL(*interpolation.place_keyframes(knots, frames, T))
    return curve + 0.15 * sway * torch.randn((count, 1, 2), generator=generator), points.flatten(1)


class Net(torch.nn.Module):
    """Tokens [B, N, inputs] of frames [B, N], a condition [B, 6] and a level [B] -> [B, N, outputs]."""

    def __init__(self, inputs, outputs, width=64):
        super().__init__()
        self.time, self.costs = FourierFeatures(5), predicted_cost.PairCosts(T)
        self.embed, self.head = mlp(inputs + self.time.width(1), width, width), torch.nn.Linear(width, outputs)
        self.condition, self.transformer = mlp(7, width, width), Transformer(width, 2, 4)

    def forward(self, tokens, frames, c, level):
        times = self.time(frames[..., None] / (T - 1)).expand(len(c), -1, -1)
        condition = self.condition(torch.cat([c, level[:, None]], -1))
        context = self.transformer.encode_context(condition[:, None])
        return self.head(self.transformer(self.embed(torch.cat([tokens, times], -1)), condition, context))

    def features(self, c):
        return self(torch.zeros(len(c), T, 2), ALL, c, torch.zeros(len(c)))


def train(net, loss):
    generator, optimizer = torch.Generator().manual_seed(0), torch.optim.AdamW(net.parameters(), 2e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(net, *curves(64, generator), generator).backward()
        optimizer.step()
    return net.eval()


# Keyframes: D_phi predicts the exact cost of every segment from the condition; dynamic programming chooses.
def segment_cost_loss(net, x, c, generator):
    i, j = torch.rand((len(x), 64, T), generator=generator).topk(2).indices.sort(-1).values.unbind(-1)
    exact = torch.from_numpy(segment_cost.all_segment_costs(x.numpy())).flatten(1).gather(1, i * T + j)
    return losses.cost_regression_loss(net.costs.pairs(net.features(c), i, j), exact)


@torch.no_grad()
def choose(c):
    """Keyframes [B, K], and ranks [B, T] of the nested masks that grow from them."""
    cost = d_phi.costs.all(d_phi.features(c)).masked_fill(torch.ones(T, T).tril().bool(), torch.inf).numpy()
    frames = dynamic_programming.optimal_indices(cost, K, LONGEST)[0]
    ranks = nested_masks.nested_ranks(lambda k: cost, LEVELS, LONGEST, frames)
    return torch.from_numpy(frames).long(), torch.from_numpy(ranks)


# Phase 1: diffusion over the points at K frames alone (over all T frames, to compare).
def denoising_loss(net, x, c, generator, frames):
    clean = x.gather(1, frames[..., None].expand(len(x), -1, 2))
    noisy, level = diffusion.noisy_keyframes(SCHEDULER, clean, torch.tensor(False), generator)
    return (net(noisy, frames, c, level) - clean).square().mean()


def denoise(net, frames, c, steps, generator):
    unknown = torch.zeros(len(c), frames.shape[1], 2), torch.tensor(False)
    return diffusion.sample_keyframes(SCHEDULER, lambda z, s: net(z, frames, c, s), *unknown, steps, generator)


# Phase 2: from a filled curve to a clean one. It learns on the errors that phase 1 makes, at a random nested level.
def refine(net, c):
    return lambda x, mask, _: x + net(torch.cat([x, mask[..., None]], -1), ALL, c, mask.float().mean(1))


def refiner_loss(net, x, c, generator):
    frames, ranks = choose(c)
    made = denoise(phase1, frames, c, 4, generator)
    wrong, _ = corruption.with_anchor_errors(x, made, frames, "linear", 0.8, 0.01, generator)
    mask = ranks <= torch.randint(2, (len(x), 1), generator=generator)
    return (refine(net, c)(corruption.degrade(wrong, mask, FILL, 0.0, generator)[0], mask, None) - x).square().mean()


torch.manual_seed(0)
STEPS = int(sys.argv[2]) if len(sys.argv) > 2 else 200
d_phi = train(Net(2, 32), segment_cost_loss)
phase1 = train(Net(2, 2), lambda net, x, c, g: denoising_loss(net, x, c, g, choose(c)[0]))
phase2 = train(Net(3, 2), refiner_loss)
whole = train(Net(2, 2), lambda net, x, c, g: denoising_loss(net, x, c, g, ALL))
x, c = curves(256, torch.Generator().manual_seed(1))
(frames, ranks), generator = choose(c), torch.Generator().manual_seed(2)
keyframes = denoise(phase1, frames, c, 4, generator)
masks, (anchors, _) = [ranks <= level for level in range(2)], interpolation.place_keyframes(keyframes, frames, T)
filled, refined = sampler.refine_over_levels(refine(phase2, c), anchors, masks, [0, 0], FILL, generator, lambda x: x)
full = denoise(whole, ALL, c, 16, generator)
_, panels = plt.subplots(1, 4, figsize=(12, 3))
rows = {"interpolated": (filled, 4 * K), "refined": (refined, 4 * K + 2 * T), "all frames": (full, 16 * T)}
for name, (made, tokens) in rows.items():
    print(f"{name:12s} {tokens:4d} tokens   mean squared error {(made - x).square().sum(-1).mean():.4f}")
    for curve, panel in enumerate(panels):
        panel.plot(*x[curve].T, "k:", lw=1, zorder=0)
        panel.plot(*made[curve].T, label=name)
plt.legend(fontsize=7)
plt.savefig(sys.argv[1], dpi=150, bbox_inches="tight")
