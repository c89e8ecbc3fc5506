"""What the maze's four networks share: the condition, the map encoder and the conditioned backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from interdiff.learning.networks import Context, FourierFeatures, Transformer, constant, mlp
from interdiff.learning.precision import full_precision
from interdiff.maze.world.layouts import far

STATE_CHANNELS = 4
# Sequences hold positions in [0, 1] and d position / d tau; networks see them with a spread of about one.
STATE_MIDDLE, STATE_SCALE = (0.5, 0.5, 0.0, 0.0), (5.0, 5.0, 1.5, 1.5)
TOP_SPEED = 5.0
CELLS_PER_TOKEN = 2
POSITION_OCTAVES = 6
ROUTE_WIDTH = 512
ROUTE_DEPTH = 2
ROUTE_TIMES = 16
MAP_SUMMARY = 32
ROUTE_SCALE = 3.0


@dataclass(frozen=True)
class Condition:
    """What a plan is conditioned on; B samples ordered by group, B / G of each group.

    occupancy [G, cells, cells] float, sdf [G, R, R] world units, steps [B, 2, cells^2] to every cell from start and
    goal, start [B, 4] (normalised position, world velocity), goal [B, 2] normalised.
    """

    occupancy: Tensor
    sdf: Tensor
    steps: Tensor
    start: Tensor
    goal: Tensor

    @property
    def cells(self) -> int:
        return self.occupancy.shape[-1]


def to_network(x: Tensor) -> Tensor:
    """States [..., 4] in normalised units -> the networks' units."""
    middle, scale = (constant(values, x.dtype, x.device) for values in (STATE_MIDDLE, STATE_SCALE))
    return (x - middle) * scale


def from_network(z: Tensor) -> Tensor:
    """Inverse of `to_network`."""
    middle, scale = (constant(values, z.dtype, z.device) for values in (STATE_MIDDLE, STATE_SCALE))
    return z / scale + middle


@full_precision
def sample_sdf(sdf: Tensor, points: Tensor) -> Tensor:
    """Bilinear signed distance at normalised points: [G, R, R], [B, N, 2] with B a multiple of G -> [B, N]."""
    groups = sdf.shape[0]
    grid = rearrange(points.flip(-1) * 2 - 1, "(g s) n c -> g s n c", g=groups)
    values = F.grid_sample(sdf[:, None], grid, padding_mode="border", align_corners=False)
    return rearrange(values, "g 1 s n -> (g s) n")


class MapEncoder(nn.Module):
    """Occupancy [G, C, C] -> map tokens [G, M, D], one for every 2 x 2 cells; run once per layout."""

    def __init__(self, d_model: int, channels: int = 32) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, d_model, CELLS_PER_TOKEN, stride=CELLS_PER_TOKEN),
        )
        self.fourier = FourierFeatures(POSITION_OCTAVES)
        self.position = nn.Linear(self.fourier.width(2), d_model)
        self.norm = nn.LayerNorm(d_model)

    def forward(self, occupancy: Tensor) -> Tensor:
        padding = -occupancy.shape[-1] % CELLS_PER_TOKEN
        walls = F.pad(occupancy[:, None], (0, padding, 0, padding), value=1.0)
        tokens = rearrange(self.convolutions(walls), "g d h w -> g (h w) d")
        return self.norm(tokens + self.position(self.fourier(token_centres(occupancy))))


def token_centres(occupancy: Tensor) -> Tensor:
    """Normalised centres of the map tokens' cells: [G, C, C] -> [M, 2]."""
    cells = occupancy.shape[-1]
    side = torch.arange(0, cells, CELLS_PER_TOKEN, device=occupancy.device, dtype=occupancy.dtype)
    side = (side + CELLS_PER_TOKEN / 2) / cells
    return torch.cartesian_prod(side, side)


@dataclass(frozen=True)
class Encoded:
    """Everything about a condition that does not depend on the tokens.

    vector [B, D] modulates every block, route [B, S, D] says where the path should be at S equally spaced times, context
    is the map, bias [B, H, M] the start's and goal's heatmaps as attention scores.
    """

    vector: Tensor
    route: Tensor
    context: Context
    bias: Tensor


class Waypoints(nn.Module):
    """Where the shortest ways from start to goal are at S times: positions [B, S, 2] and their length in cells [B, 1].

    A position is a mean over free cells, each weighted by how far a way through it is from the shortest (its detour) and
    by how far along it lies. It is what value iteration networks (Tamar et al. 2016) compute on the map; here the
    iteration is fixed (`conditions.iterated_steps`), and only the weights are learned. So it holds in any maze, where an
    encoding of the map would have to learn to search.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor([1.0, 0.5]))
        self.times = nn.Parameter(torch.linspace(0, 1, ROUTE_TIMES))

    @full_precision
    def forward(self, condition: Condition) -> tuple[Tensor, Tensor]:
        cells, groups = condition.cells, len(condition.occupancy)
        group = torch.arange(groups, device=condition.goal.device).repeat_interleave(len(condition.goal) // groups)
        from_start, to_goal = condition.steps.to(condition.goal.dtype).unbind(1)
        free = condition.occupancy.flatten(1)[group] == 0
        total = from_start + to_goal
        length = total.masked_fill(~free, 2.0 * far(cells)).amin(1, keepdim=True)
        detour, progress = (total - length)[:, None], from_start / total.clamp_min(1)
        lag = (progress[:, None] - self.times[:, None]) * (length[:, None] + 1)
        sharpness = F.softplus(self.sharpness) * 2
        logits = -sharpness[0] * detour - sharpness[1] * lag.square()
        weights = logits.masked_fill(~free[:, None], -torch.inf).softmax(-1)
        side = (torch.arange(cells, device=free.device, dtype=weights.dtype) + 0.5) / cells
        return weights @ torch.cartesian_prod(side, side), length


class StraightLine(nn.Module):
    """In the place of `Waypoints`, for networks that see no solved path: points of the line from start to goal."""

    def forward(self, condition: Condition) -> tuple[Tensor, Tensor]:
        start, goal = condition.start[:, None, :2], condition.goal[:, None]
        share = torch.linspace(0, 1, ROUTE_TIMES, dtype=goal.dtype, device=goal.device)[:, None]
        return start + share * (goal - start), (goal - start).abs().sum(-1) * condition.cells


ROUTES = {"search": Waypoints, "straight": StraightLine}
"""What networks are told of the way, by the value of `route`."""


class RouteEncoder(nn.Module):
    """Residual MLP from start, goal and a summary of the map to one vector and to features at S times.

    One vector per sample is cheap beside its tokens, so it can be wide, and it learns routes much faster than attention
    does: in equal time a transformer alone is left with four times the error of the expected path.
    """

    def __init__(self, inputs: int, width: int, d_model: int) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), mlp(width, width, width)) for _ in range(ROUTE_DEPTH)
        )
        self.out = nn.Linear(width, (1 + ROUTE_TIMES) * d_model)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = self.embed(features)
        for block in self.blocks:
            x = x + block(x)
        out = rearrange(self.out(x), "b (s d) -> b s d", s=1 + ROUTE_TIMES)
        return out[:, 0], out[:, 1:]


class Backbone(nn.Module):
    """Transformer conditioned on map, start and goal.

    Start (with its velocity), goal and their distance (`route`: along the searched way, or the straight line) enter as a
    token that modulates every block and as a route over time that is added to the tokens at their times, and as heatmaps
    over the map tokens that bias the attention to them.
    """

    def __init__(
        self, d_model: int, depth: int, heads: int, route_width: int = ROUTE_WIDTH, route: str = "search"
    ) -> None:
        super().__init__()
        self.map_encoder = MapEncoder(d_model)
        self.map_summary = nn.Linear(d_model, MAP_SUMMARY)
        self.fourier = FourierFeatures(POSITION_OCTAVES)
        self.waypoints = ROUTES[route]()
        self.route = RouteEncoder(2 * self.fourier.width(2) + 6 + 6 * ROUTE_TIMES + MAP_SUMMARY, route_width, d_model)
        self.heat = nn.Linear(2, heads, bias=False)
        self.transformer = Transformer(d_model, depth, heads)

    def encode(self, condition: Condition) -> Encoded:
        """Encode a condition once for any number of passes."""
        map_tokens = self.map_encoder(condition.occupancy)
        summary = self.map_summary(map_tokens.mean(1))
        position, goal = condition.start[:, :2], condition.goal
        offset = goal - position
        waypoints, length = self.waypoints(condition)
        away = (waypoints - position[:, None]) * ROUTE_SCALE
        headings = torch.diff(waypoints, dim=1, append=goal[:, None]) * ROUTE_SCALE * ROUTE_SCALE
        features = [
            self.fourier(position),
            self.fourier(goal),
            condition.start[:, 2:] / TOP_SPEED,
            offset,
            offset.norm(dim=-1, keepdim=True),
            length / 20,
            waypoints.flatten(1),
            away.flatten(1),
            headings.flatten(1),
            summary.repeat_interleave(len(position) // len(summary), dim=0),
        ]
        points = torch.stack([position, goal], dim=1)
        distance = torch.cdist(points, token_centres(condition.occupancy).expand(len(points), -1, -1))
        heat = torch.exp(-0.5 * (distance * condition.cells / CELLS_PER_TOKEN) ** 2)
        vector, route = self.route(torch.cat(features, -1))
        return Encoded(vector, route, self.transformer.encode_context(map_tokens), self.heat(heat.mT).mT)

    def forward(self, tokens: Tensor, times: Tensor, encoded: Encoded, modulation: Tensor | float) -> Tensor:
        """Tokens [B, N, D] at times [N] or [B, N] in [0, 1]; `modulation` [B, D] is added to the condition's vector."""
        knots = torch.arange(ROUTE_TIMES, device=tokens.device)
        weights = (1 - (times[..., None] * (ROUTE_TIMES - 1) - knots).abs()).clamp_min(0)
        tokens = tokens + weights @ encoded.route
        return self.transformer(tokens, encoded.vector + modulation, encoded.context, encoded.bias)


class FrameQueries(nn.Module):
    """Learned features of every frame from the condition alone: T / f tokens that carry f frames each -> [B, T, C]."""

    def __init__(self, frames: int, frames_per_token: int, outputs: int, d_model: int, **size: Any) -> None:
        super().__init__()
        self.frames, self.frames_per_token = frames, frames_per_token
        self.query = nn.Parameter(0.5 * torch.randn(frames // frames_per_token, d_model))
        self.backbone = Backbone(d_model, **size)
        self.norm = nn.LayerNorm(d_model)
        self.head = nn.Linear(d_model, frames_per_token * outputs)

    def forward(self, encoded: Encoded, modulation: Tensor | float = 0.0, bias: Tensor | float = 0.0) -> Tensor:
        """Features from `self.backbone.encode(condition)`; `bias` [B, 1, D] is added to the queries."""
        tokens = self.query.expand(len(encoded.vector), -1, -1) + bias
        times = torch.linspace(0, 1, tokens.shape[1], dtype=tokens.dtype, device=tokens.device)
        hidden = self.norm(self.backbone(tokens, times, encoded, modulation))
        return rearrange(self.head(hidden), "b n (f c) -> b (n f) c", f=self.frames_per_token)
