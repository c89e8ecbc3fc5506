"""The control without phase 1: keyframes where the features of the way say that it lies, refined as ours are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from interdiff.maze.planner.data import Prepared
from interdiff.maze.planner.networks import Condition
from interdiff.maze.planner.plans import Planner


@dataclass(frozen=True)
class WaypointsPlanner(Planner):
    """Phase 2 after the points that every network is told of the way (`networks.Waypoints`), in the place of phase 1's."""

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        chooser = [self.phase1.selector] if self.settings.policy == "selector" else []
        return (*chooser, self.phase1.segment_cost.queries.backbone.waypoints, self.refiner)

    @property
    def varies(self) -> bool:
        return self.settings.noise != "none"

    @torch.no_grad()
    def drawn(self, data: Prepared, rows: Tensor, indices: Tensor, generator: torch.Generator) -> Tensor:
        """Keyframes [B, K, 4] at frames [B, K]; nothing is drawn."""
        return way(self.phase1.segment_cost.queries.backbone.waypoints, data.condition(rows), indices, data.frames)


def way(waypoints: nn.Module, condition: Condition, indices_bk: Tensor, frames: int) -> Tensor:
    """States [B, K, 4] at frames [B, K] of T along the points of a network, linear between them; the ends are exact."""
    points, _ = waypoints(condition)
    points = torch.cat([condition.start[:, None, :2], points[:, 1:-1], condition.goal[:, None]], dim=1)
    pieces = points.shape[1] - 1
    at = indices_bk / (frames - 1) * pieces
    before = at.long().clamp_max(pieces - 1)
    slopes = torch.diff(points, dim=1) * pieces
    position, slope = (x.gather(1, before[..., None].expand(-1, -1, 2)) for x in (points, slopes))
    return torch.cat([position + (at - before)[..., None] / pieces * slope, slope], dim=-1)
