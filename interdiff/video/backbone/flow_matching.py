"""Flow matching on frames of clips: noise levels, what a network learns, and sampling in few or many steps.

A noisy frame is z = (1 - sigma) data + sigma noise, and the network predicts the velocity noise - data (Lipman et al. 2023,
with the linear path; Esser et al. 2024, section 3.1). Levels are shifted towards noise, sigma = s u / (1 + (s - 1) u) for u
in [0, 1] (Esser et al. 2024, section 5.3.2), as Wan's are.

B clips, C channels, T frames of which F are seen, H x W latents, L rows of text, D features of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from torch import Tensor

from interdiff.learning import draws
from interdiff.learning.draws import Stream
from interdiff.video.backbone.wan import TIMESTEPS, WanDenoiser, over_frames

Velocity = Callable[[Tensor, float], Tensor]
"""(noisy frames [B, C, F, H, W], the level of all of them) -> velocity."""
After = Callable[[Tensor], Tensor]
"""What a step has made, [B, C, F, H, W] -> what the next one begins with."""


def unchanged(z: Tensor) -> Tensor:
    """What most steps are followed by."""
    return z


def shifted(u: Tensor, shift: float) -> Tensor:
    """Noise levels of u in [0, 1]."""
    return shift * u / (1 + (shift - 1) * u)


def noisy(z: Tensor, noise: Tensor, sigma_bf: Tensor) -> Tensor:
    """Frames [B, C, F, H, W] at their noise levels [B, F] or [B, 1]."""
    return torch.lerp(z, noise, over_frames(sigma_bf))


def take_frames(z_bcthw: Tensor, frames_bf: Tensor) -> Tensor:
    """The frames [B, F] of clips [B, C, T, H, W]: [B, C, F, H, W]."""
    index = over_frames(frames_bf).expand(-1, z_bcthw.shape[1], -1, *z_bcthw.shape[3:])
    return z_bcthw.gather(2, index)


def drop_prompts(embed_bld: Tensor, negative_ld: Tensor, share: float, stream: Stream) -> Tensor:
    """Embeddings of which a share, at random, is the negative prompt's: what guidance needs to have learned."""
    dropped = draws.uniform((len(embed_bld), 1, 1), stream, embed_bld.device) < share
    return torch.where(dropped, negative_ld, embed_bld)


def velocity_loss(
    model: WanDenoiser, z: Tensor, noise: Tensor, sigma_b1: Tensor, embed_bld: Tensor, frames_bf: Tensor
) -> Tensor:
    """Mean squared error of the predicted velocity of frames z [B, C, F, H, W] at levels [B, 1]."""
    predicted = model(noisy(z, noise, sigma_b1), sigma_b1, embed_bld, frames_bf)
    return (predicted - (noise - z)).square().mean()


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance (Ho & Salimans 2022): its scale, and the embedding [L, D] that stands for no prompt.

    Above the noise level `below` there is none (Kynkäänniemi et al. 2024).
    """

    scale: float
    negative: Tensor
    below: float = 1.0

    def passes(self, levels: Sequence[float]) -> int:
        """Passes that steps from these noise levels take."""
        return sum(1 if self.scale == 1 or level > self.below else 2 for level in levels)

    def velocity(self, model: WanDenoiser, embed_bld: Tensor, frames_bf: Tensor) -> Velocity:
        """The guided velocity of frames, of one level for all of them; a guided step takes two passes."""

        def unguided(z: Tensor, level: float) -> Tensor:
            return model(z, z.new_full((len(z), 1), level), embed_bld, frames_bf)

        if self.scale == 1:
            return unguided
        both = torch.cat([embed_bld, self.negative.to(embed_bld).expand_as(embed_bld)])
        frames = torch.cat([frames_bf, frames_bf])

        def guided(z: Tensor, level: float) -> Tensor:
            if level > self.below:
                return unguided(z, level)
            sigma = z.new_full((2 * len(z), 1), level)
            with_prompt, without = model(torch.cat([z, z]), sigma, both, frames).chunk(2)
            return without + self.scale * (with_prompt - without)

        return guided


def even_levels(steps: int, shift: float, start: float = 1.0) -> list[float]:
    """The noise levels [steps + 1] from `start` to 0, evenly spaced before they are shifted."""
    u = start / (shift - (shift - 1) * start)
    return shifted(u * torch.linspace(1, 0, steps + 1), shift).tolist()


@torch.no_grad()
def euler(velocity: Velocity, z: Tensor, levels: Sequence[float], after: After = unchanged) -> Tensor:
    """Follow the flow from frames [B, C, F, H, W] at levels[0] to levels[-1] = 0, by diffusers' scheduler."""
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=list(levels[:-1]), device=z.device)
    scheduler.set_begin_index(0)  # or it looks for its place, and waits for the device
    for t, level in zip(scheduler.timesteps, levels, strict=False):
        z = after(scheduler.step(velocity(z, level), t, z).prev_sample)
    return z


@torch.no_grad()
def unipc(velocity: Velocity, noise: Tensor, steps: int, shift: float) -> Tensor:
    """Data from noise [B, C, F, H, W] by the solver that Wan is used with, of second order (Zhao et al. 2023)."""
    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift, num_train_timesteps=TIMESTEPS
    )
    scheduler.set_timesteps(steps, device=noise.device)
    scheduler.set_begin_index(0)
    z = noise
    for t, level in zip(scheduler.timesteps, scheduler.sigmas[:-1].tolist(), strict=True):
        z = scheduler.step(velocity(z, level), t, z).prev_sample
    return z
