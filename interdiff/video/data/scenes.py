"""Procedural videos with real motion: coloured shapes that move, turn, change speed, bounce and hide each other.

A scene is drawn from a seed, rendered to frames, and told in a sentence that says what happens and when; the tables of where
every object is come along, so that whoever measures videos can be measured itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

COLORS = {
    "red": (0.90, 0.16, 0.16),
    "green": (0.16, 0.78, 0.24),
    "blue": (0.20, 0.36, 0.95),
    "yellow": (0.95, 0.85, 0.18),
    "magenta": (0.88, 0.24, 0.86),
    "cyan": (0.18, 0.84, 0.88),
}
SHAPES = ("circle", "square", "triangle")
DIRECTIONS = {"right": (1, 0), "left": (-1, 0), "down": (0, 1), "up": (0, -1)}
"""Unit vectors (x, y); y runs down."""
SPEEDS = {"slowly": 0.3, "quickly": 0.8}
"""Widths of the picture per clip at an even pace."""
TIMES = {"early": (0.15, 0.30), "midway": (0.42, 0.58), "late": (0.70, 0.85)}
"""When an event happens, as shares of the clip."""
FAST, SLOW = 2.5, 0.0
PAN = 0.3
"""Widths that the background moves per clip when the camera pans."""

Event = Literal["turns", "speeds up", "stops", "nothing"]
EVENTS: tuple[Event, ...] = ("turns", "speeds up", "stops", "nothing")


@dataclass(frozen=True)
class Mover:
    """One object: what it is, where it starts (shares of the picture), how it moves, and its one event."""

    color: str
    shape: str
    size: float
    start: tuple[float, float]
    direction: str
    speed: str
    event: Event
    turn_to: str
    when: str
    time: float

    def sentence(self) -> str:
        """What it does, in words."""
        what = f"A {self.color} {self.shape} moves {self.direction} {self.speed}"
        if self.event == "nothing":
            return f"{what}."
        action = f"turns {self.turn_to}" if self.event == "turns" else self.event
        return f"{what} and {action} {self.when}."


@dataclass(frozen=True)
class Scene:
    """Objects, the later ones in front, and the camera."""

    movers: tuple[Mover, ...]
    pan: str | None
    background: int

    @property
    def prompt(self) -> str:
        """The scene in words."""
        sentences = [mover.sentence() for mover in self.movers]
        return " ".join([*sentences, *([f"The camera pans {self.pan}."] if self.pan else [])])


def random_scene(rng: np.random.Generator) -> Scene:
    """One to three objects of different colours, and in a third of the scenes a pan of the camera."""
    colors = rng.permutation(list(COLORS))[: rng.integers(1, 4)]
    movers = tuple(_random_mover(str(color), rng) for color in colors)
    pan = str(rng.choice(list(DIRECTIONS))) if rng.random() < 1 / 3 else None
    return Scene(movers, pan, int(rng.integers(2**31)))


def split_scene(seed: int, split: str, number: int) -> Scene:
    """A scene by its number in a split; no two of them share their random numbers."""
    return random_scene(np.random.default_rng([seed, *split.encode(), number]))


def _random_mover(color: str, rng: np.random.Generator) -> Mover:
    direction = str(rng.choice(list(DIRECTIONS)))
    across = [name for name in DIRECTIONS if np.dot(DIRECTIONS[name], DIRECTIONS[direction]) == 0]
    when = str(rng.choice(list(TIMES)))
    return Mover(
        color=color,
        shape=str(rng.choice(SHAPES)),
        size=float(rng.uniform(0.11, 0.16)),
        start=(float(rng.uniform(0.2, 0.8)), float(rng.uniform(0.2, 0.8))),
        direction=direction,
        speed=str(rng.choice(list(SPEEDS))),
        event=EVENTS[rng.integers(len(EVENTS))],
        turn_to=str(rng.choice(across)),
        when=when,
        time=float(rng.uniform(*TIMES[when])),
    )


def paths(scene: Scene, frames: int) -> np.ndarray:
    """Centres of the objects in shares of the picture: [objects, frames, 2] as (x, y). They bounce off the borders."""
    t = np.linspace(0, 1, frames)
    return np.array([_path(mover, t) for mover in scene.movers]).reshape(-1, frames, 2)


def _path(mover: Mover, t: np.ndarray) -> np.ndarray:
    speed = SPEEDS[mover.speed]
    before, after = np.minimum(t, mover.time), np.maximum(t - mover.time, 0)
    heading = np.array(DIRECTIONS[mover.direction], dtype=float)
    then = np.array(DIRECTIONS[mover.turn_to], dtype=float) if mover.event == "turns" else heading
    factor = {"turns": 1.0, "speeds up": FAST, "stops": SLOW, "nothing": 1.0}[mover.event]
    free = np.array(mover.start) + speed * (before[:, None] * heading + factor * after[:, None] * then)
    room = 1 - 2 * mover.size
    return mover.size + room - np.abs((free - mover.size) % (2 * room) - room)


def render(scene: Scene, frames: int, side: int) -> np.ndarray:
    """The video [frames, side, side, 3], uint8; edges are smoothed over a pixel."""
    video = _background(scene, frames, side)
    at = (np.arange(side, dtype=np.float32) + 0.5) / side
    for mover, path in zip(scene.movers, paths(scene, frames).astype(np.float32), strict=True):
        dx, dy = at - path[:, :1, None], at[:, None] - path[:, 1:, None]
        coverage = np.clip(0.5 - side * edge_distance(mover.shape, dx, dy, mover.size), 0, 1)[..., None]
        video += coverage * (np.array(COLORS[mover.color], dtype=np.float32) - video)
    return np.rint(video * 255).astype(np.uint8)


def edge_distance(shape: str, dx: np.ndarray, dy: np.ndarray, size: float) -> np.ndarray:
    """Distance to a shape's edge, negative inside, at places off its centre; `dx` and `dy` are broadcast together."""
    if shape == "circle":
        return np.hypot(dx, dy) - np.float32(size)
    if shape == "square":
        return np.maximum(np.abs(dx), np.abs(dy)) - 0.89 * size
    return np.maximum(0.866 * np.abs(dx) - 0.5 * dy, dy) - 0.6 * size


def _background(scene: Scene, frames: int, side: int) -> np.ndarray:
    """Dim soft stripes, periodic in the picture's width so that a pan never runs out: float32 [frames, side, side, 3]."""
    rng = np.random.default_rng(scene.background)
    base, swing = rng.uniform(0.10, 0.30, 3), rng.uniform(0.03, 0.10, (2, 3))
    phase = rng.uniform(0, 2 * np.pi, (2, 3))
    shift = np.zeros(2) if scene.pan is None else PAN * np.array(DIRECTIONS[scene.pan])
    at = (np.arange(side) + 0.5) / side + np.linspace(0, 1, frames)[:, None] * shift[:, None, None]
    waves = 2 * np.pi * rng.integers(1, 3, 2)[:, None, None] * at
    x, y = (swing[:, None, None] * np.sin(waves[..., None] + phase[:, None, None])).astype(np.float32)
    return np.clip(base.astype(np.float32) + x[:, None, :] + y[:, :, None], 0, 1)
