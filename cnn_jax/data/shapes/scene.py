"""What is in a scene: a function of (seed, split, index), in coordinates that know nothing of the resolution.

The image is the square [-1, 1] x [-1, 1], x to the right and y down. A scene is a stack of flat layers, painted from
the back: the background, clutter, up to three objects of which the largest gives the label, and bars that occlude.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cnn_jax.data.shapes import draw, texture
from cnn_jax.data.shapes.outline import BAR, CLASSES, FULL

CLUTTER, OBJECTS, OCCLUDERS = 4, 3, 2
LAYERS = 1 + CLUTTER + OBJECTS + OCCLUDERS
FIRST_OBJECT = 1 + CLUTTER
SPLITS = {"train": 0, "test": 1, "tuning": 2}

# A half of one of these is no longer a shape that has a name: clutter is made of them.
_HALVES = np.array([CLASSES.index(name) for name in ("disc", "ring", "star", "cross", "heart")])

# Difficulty, in units of half the image. Chosen on the split "tuning", then frozen: a change is another data set.
RADIUS = (0.41, 0.68)  # of the main object
REACH = 0.78  # its centre and its radius stay within this of the image's centre
TILT = 0.09  # turns to either side
SMALLER = (0.34, 0.6)  # radius of the other objects, in parts of the main one's
CONTRAST = (0.14, 0.5)  # of luminance against the background
LIGHTER = 0.9  # how often a thing is lighter than the background
TEXTURE_CONTRAST = (0.04, 0.13)
NOISE = (0.02, 0.09)
CLUTTERED, ACCOMPANIED, OCCLUDED = 0.5, 0.5, 0.42  # how often each layer is there


class Scene(NamedTuple):
    """Arrays [n, LAYERS] (colours [n, LAYERS, 3]); layer 0 is the background, the last is in front."""

    kind: np.ndarray  # class, BAR or FULL
    present: np.ndarray  # bool
    instance: np.ndarray  # 1 the main object, 2 and 3 the others, 0 not labelled
    half: np.ndarray  # bool: cut in half
    x: np.ndarray
    y: np.ndarray
    radius: np.ndarray  # of the disc of equal area
    angle: np.ndarray  # turns, anticlockwise
    stretch: np.ndarray  # width over height is the square of it
    colour_a: np.ndarray
    colour_b: np.ndarray
    texture: np.ndarray
    frequency: np.ndarray  # periods per unit of the object's coordinates
    texture_angle: np.ndarray
    texture_x: np.ndarray
    texture_y: np.ndarray
    salt: np.ndarray
    depth: np.ndarray  # metres at the layer's centre
    slope_x: np.ndarray
    slope_y: np.ndarray
    shadow: np.ndarray  # opacity of the shadow it casts
    light_x: np.ndarray  # direction of the light and its strength, the same for all layers of a scene
    light_y: np.ndarray
    noise: np.ndarray


class Motion(NamedTuple):
    """The way to the second frame, arrays [n, LAYERS]: p -> centre + shift + scale * rotation(turn) (p - centre)."""

    shift_x: np.ndarray
    shift_y: np.ndarray
    turn: np.ndarray
    scale: np.ndarray


class _Dice:
    """Draws for one layer of every scene. Slots are counted up: the order of the calls in `compose` is the format."""

    def __init__(self, keys: np.ndarray, stream: int):
        self._keys = draw.mix(keys ^ draw.mix(np.array([stream + 1], np.uint64)))
        self._slot = -1

    def __call__(self, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        self._slot += 1
        return draw.uniform(self._keys, self._slot, low, high)

    def integer(self, count: int) -> np.ndarray:
        return (self() * count).astype(np.int64)

    def salt(self) -> np.ndarray:
        self._slot += 1
        return draw.mix(self._keys + np.uint64(self._slot))


def labels(indices: np.ndarray, *, seed: int, split: str) -> np.ndarray:
    """The classes of the main objects, int64 [n]: every ten successive indices hold each class once, shuffled."""
    indices = np.asarray(indices)
    keys = draw.example_keys(indices // len(CLASSES), seed=seed, split=SPLITS[split] + len(SPLITS))
    shuffled = np.argsort(np.stack([draw.uniform(keys, slot) for slot in range(len(CLASSES))]), axis=0, kind="stable")
    return np.take_along_axis(shuffled, (indices % len(CLASSES))[None], axis=0)[0]


def _hsv(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """RGB [n, 3] in [0, 1]."""
    channels = []
    for offset in (5.0, 3.0, 1.0):
        k = offset + hue * 6.0
        k = k - 6.0 * np.floor(k / 6.0)
        channels.append(value - value * saturation * np.clip(np.minimum(k, 4.0 - k), 0.0, 1.0))
    return np.stack(channels, axis=-1)


def _luminance(colour: np.ndarray) -> np.ndarray:
    return 0.3 * colour[:, 0] + 0.6 * colour[:, 1] + 0.1 * colour[:, 2]


def _surface(dice: _Dice, behind: np.ndarray | None) -> dict[str, np.ndarray]:
    """Colours and texture; with `behind`, the luminance behind it [n], far enough from that to be seen."""
    hue, saturation, value = dice(), dice(0.1, 0.75), dice(0.25, 1.0)
    colour = _hsv(hue, saturation, value)
    if behind is not None:
        step = _luminance(colour) - behind
        contrast = dice(*CONTRAST)
        # Mostly lighter than what is behind, as lit things are; never invisible.
        side = np.where(dice() < LIGHTER, 1.0, -1.0)
        side = np.where(behind + side * contrast > 0.95, -1.0, np.where(behind + side * contrast < 0.05, 1.0, side))
        colour = np.clip(colour + (side * contrast - step)[:, None], 0.0, 1.0)
    second = _hsv(hue + dice(-0.15, 0.15), dice(0.1, 0.75), np.ones_like(hue))
    second = colour + (second * _luminance(colour)[:, None] - colour) * 0.6
    spread = dice(*TEXTURE_CONTRAST) * np.where(dice() < 0.5, 1.0, -1.0)
    return {
        "colour_a": np.clip(colour - spread[:, None], 0.0, 1.0),
        "colour_b": np.clip(second + spread[:, None], 0.0, 1.0),
        "texture": dice.integer(texture.KINDS),
        "frequency": dice(1.1, 2.6),
        "texture_angle": dice(),
        "texture_x": dice(-8.0, 8.0),
        "texture_y": dice(-8.0, 8.0),
        "salt": dice.salt(),
        "slope_x": dice(-0.2, 0.2),
        "slope_y": dice(-0.2, 0.2),
        "depth_jitter": dice(-0.1, 0.1),
    }


def compose(indices: np.ndarray, *, seed: int, split: str) -> Scene:
    """The scenes of the given indices, int [n]."""
    keys = draw.example_keys(indices, seed=seed, split=SPLITS[split])
    n = len(keys)
    zeros, ones = np.zeros(n), np.ones(n)
    layers: list[dict[str, np.ndarray]] = []

    dice = _Dice(keys, 0)
    light_angle, light = dice(), dice(0.1, 0.6)
    everywhere = {
        "light_x": light * draw.cosine(light_angle),
        "light_y": light * draw.sine(light_angle),
        "noise": dice(*NOISE),
    }
    rank = dice.integer(OBJECTS)  # the main object's place among the objects, from the back
    background = _surface(dice, None)
    behind = _luminance(0.5 * (background["colour_a"] + background["colour_b"]))
    layers.append(
        {"kind": np.full(n, FULL), "present": ones > 0, "instance": zeros, "half": zeros > 0, "x": zeros, "y": zeros}
        | {"radius": ones, "angle": zeros, "stretch": ones, "shadow": zeros, **background}
    )

    for number in range(CLUTTER):
        dice = _Dice(keys, 1 + number)
        bar = dice() < 0.5
        layers.append(
            {
                "kind": np.where(bar, BAR, _HALVES[dice.integer(len(_HALVES))]),
                "present": dice() < CLUTTERED,
                "instance": zeros,
                "half": ~bar,
                "x": dice(-1.0, 1.0),
                "y": dice(-1.0, 1.0),
                "radius": np.where(bar, dice(0.4, 0.9), dice(0.15, 0.35)),
                "angle": dice(),
                "stretch": dice(0.85, 1.18),
                "shadow": zeros,
                **_surface(dice, behind),
            }
        )

    main: dict[str, np.ndarray] = {}
    objects = []
    for number in range(OBJECTS):
        dice = _Dice(keys, 1 + CLUTTER + number)
        if number == 0:
            radius = dice(*RADIUS)
            reach = np.maximum(REACH - radius, 0.1)
            kind, present = labels(indices, seed=seed, split=split), ones > 0
            x, y = dice(-1.0, 1.0) * reach, dice(-1.0, 1.0) * reach
        else:
            radius = dice(*SMALLER) * main["radius"]
            kind, present = dice.integer(len(CLASSES)), dice() < ACCOMPANIED
            x, y = dice(-0.9, 0.9), dice(-0.9, 0.9)
            # Beside the main object, so that it hides no more than its rim.
            away_x, away_y = x - main["x"], y - main["y"]
            distance = np.maximum(np.sqrt(away_x * away_x + away_y * away_y), 1e-3)
            push = np.maximum((main["radius"] + 0.4 * radius) / distance, 1.0)
            x, y = main["x"] + away_x * push, main["y"] + away_y * push
        here = {
            "kind": kind,
            "present": present,
            "instance": np.full(n, number + 1),
            "half": zeros > 0,
            "x": x,
            "y": y,
            "radius": radius,
            "angle": dice(-TILT, TILT),
            "stretch": dice(0.88, 1.136),
            "shadow": dice(0.0, 0.5),
            **_surface(dice, behind),
        }
        main = main or here
        objects.append(here)
    for place in range(OBJECTS):
        # The main object stands at `rank`; the others fill the places left, in order.
        number = np.where(place == rank, 0, np.where(place < rank, place + 1, place))
        layers.append({name: _choose(number, [o[name] for o in objects]) for name in main})

    for number in range(OCCLUDERS):
        dice = _Dice(keys, 1 + CLUTTER + OBJECTS + number)
        reach = main["radius"]
        layers.append(
            {
                "kind": np.full(n, BAR),
                "present": dice() < OCCLUDED,
                "instance": zeros,
                "half": zeros > 0,
                "x": main["x"] + dice(-0.9, 0.9) * reach,
                "y": main["y"] + dice(-0.9, 0.9) * reach,
                "radius": dice(0.8, 1.4) * reach,
                "angle": dice(),
                "stretch": dice(0.9, 1.1),
                "shadow": dice(0.0, 0.4),
                **_surface(dice, behind),
            }
        )

    stacked = {name: np.stack([layer[name] for layer in layers], axis=1) for name in layers[0]}
    # No finer than 3.5 pixels of the 32 x 32 image, or small things would only flicker.
    stacked["frequency"] = np.minimum(stacked["frequency"], 4.5 * stacked["radius"])
    stacked["depth"] = 8.0 - 0.7 * np.arange(LAYERS) + stacked.pop("depth_jitter")
    stacked |= {name: np.repeat(value[:, None], LAYERS, axis=1) for name, value in everywhere.items()}
    return Scene(**stacked)


def _choose(number: np.ndarray, values: list[np.ndarray]) -> np.ndarray:
    return np.stack(values)[number, np.arange(len(number))]


def move(indices: np.ndarray, *, seed: int, split: str) -> Motion:
    """A small similarity for each layer."""
    keys = draw.example_keys(indices, seed=seed, split=SPLITS[split])
    moves = [
        (dice(-0.15, 0.15), dice(-0.15, 0.15), dice(-0.03, 0.03), dice(0.94, 1.06))
        for dice in (_Dice(keys, 64 + layer) for layer in range(LAYERS))
    ]
    return Motion(*(np.stack(values, axis=1) for values in zip(*moves, strict=True)))
