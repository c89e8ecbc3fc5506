"""What happens in a video of coloured shapes, from its pixels alone, and how much of a prompt it fulfils.

Every colour's coverage gives a place in each frame; of all motions that a prompt can describe, the one nearest to these places
counts. The same tracker reads ground truth and generated videos.

T frames, H x W pixels, M motions.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from interdiff.errors import InputError
from interdiff.video.data.scenes import (
    COLORS,
    DIRECTIONS,
    EVENTS,
    FAST,
    SHAPES,
    SLOW,
    SPEEDS,
    TIMES,
    Event,
    edge_distance,
)

NEAR = 0.32
"""Distance in RGB, from an object's colour, at which a pixel is no longer of it."""
SMALLEST = 0.008
"""Share of the picture that an object covers at least where it is seen."""
SEEN = 0.45
"""Share of frames in which an object that is there is seen; the others may hide it."""
FAR = 0.15
"""Distances between places, in widths of the picture, count no more than this: hidden objects' places are off."""
GAIN = 0.001
"""What an event must take off the mean distance to be believed."""
WHOLE = 6
"""How strongly frames count less that show less of an object."""
EVERY = 2
"""Every so many frames are compared."""
MARGINS = (0.115, 0.13, 0.145, 0.16)
"""Distances from the borders at which objects bounce: their sizes."""
MOMENTS = np.arange(0.12, 0.90, 0.02)
AREAS = {"circle": np.pi, "square": 4 * 0.89**2, "triangle": 1.87}
"""Areas of shapes of size 1."""


@dataclass(frozen=True)
class Described:
    """An object as a prompt describes it; `turn_to` and `when` are None where it does nothing of the kind."""

    color: str
    shape: str
    direction: str
    speed: str
    event: Event
    turn_to: str | None
    when: str | None


@dataclass(frozen=True)
class Track(Described):
    """An object as a video shows it: what it is most like, and its mean distance from that motion (widths of the picture)."""

    distance: float


_SENTENCE = re.compile(
    rf"An? (?P<color>{'|'.join(COLORS)}) (?P<shape>{'|'.join(SHAPES)}) moves (?P<direction>{'|'.join(DIRECTIONS)})"
    rf" (?P<speed>{'|'.join(SPEEDS)})"
    rf"(?: and (?P<event>turns|speeds up|stops)(?: (?P<turn_to>{'|'.join(DIRECTIONS)}))? (?P<when>{'|'.join(TIMES)}))?\."
)


def parse_prompt(prompt: str) -> tuple[Described, ...]:
    """The objects that a prompt describes; InputError where it is none of `scenes`' prompts."""
    found: list[dict[str, Any]] = [match.groupdict() for match in _SENTENCE.finditer(prompt)]
    rest = re.sub(r"The camera pans \w+\.", "", _SENTENCE.sub("", prompt)).strip()
    if not found or rest:
        raise InputError(f"prompt {prompt!r}: expected sentences about objects as scenes write them, not {rest!r}")
    return tuple(Described(**(values | {"event": values["event"] or "nothing"})) for values in found)


def coverage(video: np.ndarray) -> dict[str, np.ndarray]:
    """How much of each pixel is of each colour, from a video [T, H, W, 3] uint8: [T, H, W] in [0, 1] by colour."""
    pixels = video.astype(np.float32) / 255
    colors = np.array(list(COLORS.values()), np.float32)
    away = np.linalg.norm(pixels[..., None, :] - colors, axis=-1)
    share = np.clip(1 - away / NEAR, 0, 1) * (away.argmin(-1)[..., None] == np.arange(len(colors)))
    return dict(zip(COLORS, np.moveaxis(np.clip(1.6 * share, 0, 1), -1, 0), strict=True))


def track(cover_thw: np.ndarray, color: str) -> Track | None:
    """The object of a colour from that colour's coverage [T, H, W]; None where there is none for most of the time."""
    area = cover_thw.mean((1, 2))
    seen = area > SMALLEST
    if seen.mean() < SEEN:
        return None
    height, width = cover_thw.shape[1:]
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    total = cover_thw.sum((1, 2)) + 1e-9
    places = np.stack([cover_thw.sum(1) @ x, cover_thw.sum(2) @ y], -1) / total[:, None]
    usual = np.quantile(area[seen], 0.8)
    # What hides a part of an object moves its centre: the frames that show all of it decide.
    weights = np.where(seen, np.clip(area / usual, 0, 1) ** WHOLE, 0)
    motion, distance = _nearest_motion(places[::EVERY], weights[::EVERY])
    return Track(color, _nearest_shape(cover_thw, places, weights, usual), *motion, distance)


def adherence(video: np.ndarray, prompt: str) -> dict[str, float]:
    """Shares of what a prompt asks for that a video [T, H, W, 3] uint8 shows.

    objects: described colours that are there; shapes, directions, speeds, events (and where a turn leads) and times: of the
    objects described; `times` of those that do something (nan where none does); adherence: of all that is asked. An
    object that is not found fulfils nothing. easy, hard: adherence again, where a prompt is of one object, or of three of
    which two or more do something; else nan.
    """
    covers, described = coverage(video), parse_prompt(prompt)
    scores: dict[str, list[float]] = {
        name: [] for name in ("objects", "shapes", "directions", "speeds", "events", "times")
    }
    for asked in described:
        shown = track(covers[asked.color], asked.color)
        scores["objects"].append(shown is not None)
        for name in ("shape", "direction", "speed"):
            scores[f"{name}s"].append(shown is not None and getattr(shown, name) == getattr(asked, name))
        acts = shown is not None and (shown.event, shown.turn_to) == (asked.event, asked.turn_to)
        scores["events"].append(acts)
        if asked.when is not None:
            scores["times"].append(shown is not None and shown.when == asked.when)
    means = {name: float(np.mean(values)) if values else float("nan") for name, values in scores.items()}
    whole = float(np.mean(list(itertools.chain(*scores.values()))))
    tiers = {
        "easy": len(described) == 1,
        "hard": len(described) == 3 and sum(asked.event != "nothing" for asked in described) >= 2,
    }
    return {"adherence": whole, **means, **{name: whole if of else float("nan") for name, of in tiers.items()}}


@cache
def _motions() -> tuple[list[tuple[str, str, Event, str | None, str | None]], np.ndarray]:
    """Every motion that a prompt can describe, at every moment: in words, and as numbers [M, 5]: a velocity,
    the one after the event, and when that is."""
    words: list[tuple[str, str, Event, str | None, str | None]] = []
    numbers = []
    for direction, speed, event in itertools.product(DIRECTIONS, SPEEDS, EVENTS):
        heading = np.array(DIRECTIONS[direction], float)
        factor = {"turns": 1.0, "speeds up": FAST, "stops": SLOW, "nothing": 1.0}[event]
        across = [name for name in DIRECTIONS if np.dot(DIRECTIONS[name], heading) == 0]
        for turn_to in across if event == "turns" else [None]:
            then = heading if turn_to is None else np.array(DIRECTIONS[turn_to], float)
            for moment in [1.0] if event == "nothing" else MOMENTS:
                when = None if event == "nothing" else min(TIMES, key=lambda name: abs(np.mean(TIMES[name]) - moment))
                words.append((direction, speed, event, turn_to, when))
                numbers.append([*SPEEDS[speed] * heading, *SPEEDS[speed] * factor * then, moment])
    return words, np.array(numbers)


def _nearest_motion(
    places: np.ndarray, weights: np.ndarray
) -> tuple[tuple[str, str, Event, str | None, str | None], float]:
    """The motion nearest to places [T, 2] with weights [T], and its mean distance."""
    words, numbers = _motions()
    t = np.linspace(0, 1, len(places))
    before = np.minimum(t, numbers[:, 4:5])[..., None] * numbers[:, None, :2]
    after = np.maximum(t - numbers[:, 4:5], 0)[..., None] * numbers[:, None, 2:4]
    moved = before + after
    believed = np.array([0.0 if word[2] == "nothing" else GAIN for word in words])
    whole = np.flatnonzero(weights > 0.5)
    first = whole[: max(1, len(whole) // 10)] if len(whole) else np.arange(1)
    start = np.median(places[first] - moved[:, first], axis=1)
    best, least = 0, np.inf
    for margin in MARGINS:
        # An object may turn back at once: its start is then on the other side of the place it bounces off.
        paths = _folded(np.clip(start, margin, 1 - margin)[:, None] + moved, margin)
        away = np.minimum(np.linalg.norm(paths - places, axis=-1), FAR) @ weights / weights.sum() + believed
        if away.min() < least:
            best, least = int(away.argmin()), float(away.min())
    return words[best], least


def _folded(free: np.ndarray, margin: float) -> np.ndarray:
    """Places of objects that bounce off the borders at a distance, from those without borders."""
    room = 1 - 2 * margin
    return margin + room - np.abs((free - margin) % (2 * room) - room)


def _nearest_shape(cover_thw: np.ndarray, places: np.ndarray, weights: np.ndarray, area: float) -> str:
    """The shape whose coverage at these places is nearest to the one seen, in the frames that show most of it."""
    frames = np.argsort(-weights, kind="stable")[:12]
    side = cover_thw.shape[1]
    at = (np.arange(side) + 0.5) / side
    dx, dy = at - places[frames, :1, None], at[:, None] - places[frames, 1:, None]
    seen = cover_thw[frames]
    errors = {}
    for shape in SHAPES:
        size = np.sqrt(area / AREAS[shape])
        template = np.clip(0.5 - side * edge_distance(shape, dx, dy, size), 0, 1)
        errors[shape] = float(np.square(template - seen).mean())
    return min(errors, key=lambda shape: errors[shape])
