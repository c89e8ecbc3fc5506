"""The selector: keyframes from the condition alone, distilled from DP over D_phi's costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interdiff.keyframe_dp import density_cost, optimal_indices, path_cost, random_indices, uniform_indices
from interdiff.maze.data import Prepared
from interdiff.maze.masks import Masks
from interdiff.maze.networks import Condition, FrameQueries, MapEncoder
from interdiff.maze.segment_cost import SegmentCostModel, costs_of_chunks
from interdiff.networks import mlp
from interdiff.training import Loss


class KeyframeSelector(nn.Module):
    """Keyframe logits per frame from the condition and the level K / T.

    condition_bias: "direct" adds a linear map of start and goal to the time queries, "encoder" an encoding of start,
    goal and map by a small network of its own, "none" leaves the condition to attention and modulation. The levels and
    the bound on gaps that its labels kept come along, so that whoever uses it keeps the same.
    """

    def __init__(
        self,
        frames: int,
        frames_per_token: int,
        condition_bias: Literal["none", "direct", "encoder"],
        nested_levels: Sequence[int],
        max_gap_factor: float,
        d_model: int,
        depth: int,
        heads: int,
    ) -> None:
        super().__init__()
        self.frames, self.nested_levels, self.max_gap_factor = frames, tuple(nested_levels), max_gap_factor
        self.queries = FrameQueries(frames, frames_per_token, 1, d_model, depth, heads)
        self.level = mlp(3, d_model, d_model)
        self.condition_bias = condition_bias
        if condition_bias == "direct":
            self.bias = nn.Linear(6, d_model)
        elif condition_bias == "encoder":
            self.map_bias = MapEncoder(d_model)
            self.bias = mlp(6 + d_model, 2 * d_model, d_model)

    def forward(self, condition: Condition, k: int) -> Tensor:
        """Logits [B, T] of the interior frames' density; both ends, which are always kept, are -inf."""
        level = condition.start.new_tensor([k / self.frames, (k / self.frames) ** 0.5, 1 / k])
        logits = self.queries(condition, self.level(level), self._query_bias(condition))[..., 0]
        ends = torch.zeros_like(logits, dtype=torch.bool)
        ends[:, [0, -1]] = True
        return logits.masked_fill(ends, -torch.inf)

    def _query_bias(self, condition: Condition) -> Tensor | float:
        if self.condition_bias == "none":
            return 0.0
        points = torch.cat([condition.start, condition.goal], dim=-1)
        if self.condition_bias == "encoder":
            pooled = self.map_bias(condition.occupancy).mean(1)
            points = torch.cat([points, pooled.repeat_interleave(len(points) // len(pooled), 0)], dim=-1)
        return self.bias(points)[:, None]


class Settings(Protocol):
    """The selector's section of the config; see there."""

    gumbel: float
    temperature: float
    final_temperature: float
    kl_to_uniform: float
    training: Any


def distilled_labels(
    segment_cost: SegmentCostModel, data: Prepared, chunks: Iterable[Tensor], levels: Sequence[int], masks: Masks
) -> dict[int, Tensor]:
    """K -> keyframes [N, K] int64 that are optimal under D_phi's predicted costs."""
    parts: dict[int, list[np.ndarray]] = {k: [] for k in levels}
    for rows in chunks:
        with torch.no_grad():
            cost = segment_cost.all_costs(segment_cost(data.condition(rows)))
        for k in levels:
            parts[k].append(optimal_indices(cost, k, masks.max_gap_factor)[0])
    device = data.states.device
    return {k: torch.as_tensor(np.concatenate(p).astype(np.int64), device=device) for k, p in parts.items()}


def selector_loss(data: Prepared, labels: dict[int, Tensor], settings: Settings) -> Loss:
    """Cross-entropy of the density with the labelled keyframes, at a random level per step.

    Args:
        labels: K -> [N, K] int64 keyframes to imitate.
        settings: `gumbel` adds that much Gumbel noise to the logits (a softened Gumbel top-k sample), the temperature
            that divides them moves linearly to its final value, `kl_to_uniform` weighs KL(density || uniform).
    """
    levels = [k for k in sorted(labels) if k > 2]

    def loss(model: nn.Module, generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        rows = data.random_rows(settings.training.batch_size, generator)
        k = levels[int(torch.randint(len(levels), (), generator=generator, device=generator.device))]
        logits = model(data.condition(rows), k)[:, 1:-1]
        if settings.gumbel:
            noise = torch.empty_like(logits).exponential_(generator=generator).log()
            logits = logits - settings.gumbel * noise
        temperature = settings.temperature + progress * (settings.final_temperature - settings.temperature)
        log_density = F.log_softmax(logits / temperature, dim=-1)
        label = labels[k][rows][:, 1:-1] - 1
        cross_entropy = -log_density.gather(1, label).mean()
        kl = (log_density.exp() * log_density).sum(-1).mean() + float(np.log(logits.shape[1]))
        return {"loss": cross_entropy + settings.kl_to_uniform * kl, "cross_entropy": cross_entropy, "kl": kl}

    return loss


def density(logits_bt: Tensor, k: int) -> np.ndarray:
    """Expected number of keyframes at every frame: K - 2 spread over the interior by softmax, one at each end."""
    density_bt = (k - 2) * torch.softmax(logits_bt, dim=-1).double()
    density_bt[:, [0, -1]] = 1
    return density_bt.numpy(force=True)


@torch.no_grad()
def level_costs(model: KeyframeSelector, condition: Condition, k: int) -> np.ndarray:
    """The selector's cost matrices [B, T, T] at level K: DP over them reads keyframes off its density."""
    return density_cost(density(model(condition, k), k))


def select(model: KeyframeSelector, data: Prepared, k: int, chunk: int = 512) -> np.ndarray:
    """Keyframes [N, K] int16 for every row."""
    chunks = [level_costs(model, data.condition(rows), k) for rows in data.chunks(chunk)]
    return np.concatenate([optimal_indices(cost, k, model.max_gap_factor)[0] for cost in chunks])


def evaluate(
    model: KeyframeSelector, segment_cost: SegmentCostModel, data: Prepared, masks: Masks, rng: np.random.Generator
) -> dict[str, dict]:
    """Held-out quality per layout and K: cost ratios of the selector, DP(D_phi), uniform and random keyframes.

    Also the mean absolute error and the overlap of the selector's interior keyframes with the exact optimum's, and the
    frames that it and the optimum choose most often.
    """
    counts = [k for k in masks.indices if k > 2]
    matrices = [(exact, predicted) for _, predicted, exact in costs_of_chunks(segment_cost, data)]
    exact, predicted = (np.concatenate(parts) for parts in zip(*matrices, strict=True))
    result: dict[str, dict] = {name: {} for name in data.layouts}
    for k in counts:
        chosen = {
            "selector": select(model, data, k),
            "dphi": optimal_indices(predicted, k, masks.max_gap_factor)[0],
            "uniform": np.tile(uniform_indices(data.frames, k), (len(exact), 1)),
            "random": random_indices(len(exact), data.frames, k, rng),
        }
        for layout, name in enumerate(data.layouts):
            rows = data.rows_of(layout).numpy(force=True)
            best, ours = masks.indices[k][rows][:, 1:-1], chosen["selector"][rows][:, 1:-1].astype(int)
            total = masks.costs[k][rows].sum()
            ratios = {
                f"cost_ratio_{n}": float(path_cost(exact[rows], i[rows]).sum() / total) for n, i in chosen.items()
            }
            result[name][str(k)] = ratios | {
                "index_mae": float(np.abs(best - ours).mean()),
                "overlap": float((best[:, :, None] == ours[:, None]).any(1).mean()),
                "top_indices": _most_frequent(ours),
                "top_indices_optimum": _most_frequent(best),
            }
    return result


def _most_frequent(indices: np.ndarray, count: int = 10) -> list[int]:
    return np.argsort(-np.bincount(indices.ravel(), minlength=1), kind="stable")[:count].tolist()
