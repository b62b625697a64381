"""Scenes to pixels: anti-aliased layers painted from the back, with the layer and the depth seen at every pixel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnn_jax.data.shapes import draw, texture
from cnn_jax.data.shapes.outline import FULL, distance
from cnn_jax.data.shapes.scene import LAYERS, Scene

_FAR = -1e3
_BEVEL = np.float32(0.4)
_SHADOW_OFFSET = np.float32(0.3)


def paint(scene: Scene, size: int, keys: np.ndarray) -> dict[str, np.ndarray]:
    """Paints [n] scenes at `size` x `size`; `keys`, uint64 [n], choose the sensor noise.

    Returns:
        image uint8 [n, size, size, 3]; layer int8 [n, size, size], the layer that covers at least half of the pixel and
        is in front; depth float32 [n, size, size], metres, of that layer at the pixel's centre.
    """
    # All layers of all scenes are drawn together, then composed layer by layer: NumPy wants few, large operations.
    present = _Rows(scene, scene.present, size)
    casting = _Rows(scene, scene.present & (scene.shadow > 0), size)
    light, cover, depths = _appearance(present)
    shadow = _shadows(casting)

    n = len(keys)
    canvas = np.zeros((n, 3, size, size), np.float32)
    layer = np.zeros((n, size, size), np.int8)
    depth = np.zeros((n, size, size), np.float32)
    colour_a = scene.colour_a[present.image, present.layer].astype(np.float32)[:, :, None, None]
    colour_b = scene.colour_b[present.image, present.layer].astype(np.float32)[:, :, None, None]
    blend, shade = light
    for number in range(LAYERS):
        dark = casting.layer == number
        canvas[casting.image[dark]] *= 1.0 - shadow[dark][:, None]
        rows = np.nonzero(present.layer == number)[0]
        images = present.image[rows]
        under = canvas[images]
        colour = colour_a[rows] + (colour_b[rows] - colour_a[rows]) * blend[rows][:, None]
        canvas[images] = under + (colour * shade[rows][:, None] - under) * cover[rows][:, None]
        owned = cover[rows] >= 0.5
        layer[images] = np.where(owned, np.int8(number), layer[images])
        depth[images] = np.where(owned, depths[rows], depth[images])

    x, y = _grid(size)
    light_x, light_y = (values[:, :1, None].astype(np.float32) for values in (scene.light_x, scene.light_y))
    canvas *= (1.0 + (x * light_x + y * light_y) * np.float32(0.4))[:, None]
    canvas += _grain(keys, size) * scene.noise[:, :1, None, None].astype(np.float32)
    image = (np.clip(canvas, 0.0, 1.0) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    return {"image": np.ascontiguousarray(image.transpose(0, 2, 3, 1)), "layer": layer, "depth": depth}


class _Rows:
    """The chosen layers of all scenes as m rows: each attribute of the scene as float32 [m, 1, 1]."""

    def __init__(self, scene: Scene, chosen: np.ndarray, size: int):
        self.scene, self.size = scene, size
        self.image, self.layer = np.nonzero(chosen)
        self.kind = scene.kind[self.image, self.layer]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        return values[self.image, self.layer].astype(np.float32)[:, None, None]

    def coordinates(self, dx: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """From offsets in the image (y down) to the coordinates of the upright shape (y up), float32 [m, H, W]."""
        scene = self.scene
        cos, sin = self(draw.cosine(scene.angle)), self(draw.sine(scene.angle))
        radius, stretch = self(scene.radius), self(scene.stretch)
        across, up = 1.0 / (radius * stretch), stretch / radius
        return dx * (cos * across) - dy * (sin * across), -(dx * (sin * up)) - dy * (cos * up)

    def outlines(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Signed distances, float32 [m, H, W], in units of the layer's radius."""
        d = _by_kind(self.kind, x.shape, lambda kind, rows: _FAR if kind == FULL else distance(kind, x[rows], y[rows]))
        half = self.scene.half[self.image, self.layer]
        d[half] = np.maximum(d[half], -y[half])
        return d


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the pixels' centres: x [1, 1, size], y [1, size, 1]."""
    line = ((np.arange(size) + 0.5) * (2.0 / size) - 1.0).astype(np.float32)
    return line[None, None, :], line[None, :, None]


def _by_kind(
    kinds: np.ndarray, shape: tuple[int, ...], evaluate: Callable[[int, np.ndarray], np.ndarray | float]
) -> np.ndarray:
    """float32 of `shape`, filled group by group with `evaluate(kind, rows)`."""
    out = np.empty(shape, np.float32)
    for kind in np.unique(kinds):
        rows = np.nonzero(kinds == kind)[0]
        out[rows] = evaluate(int(kind), rows)
    return out


def _appearance(rows: _Rows) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray]:
    """((blend of the two colours, shade), cover, depth) of each row, each float32 [m, H, W]."""
    scene = rows.scene
    grid_x, grid_y = _grid(rows.size)
    dx, dy = grid_x - rows(scene.x), grid_y - rows(scene.y)
    x, y = rows.coordinates(dx, dy)
    d = rows.outlines(x, y)
    radius = rows(scene.radius)
    cover = np.clip(0.5 - d * (radius * np.float32(rows.size / 2)), 0.0, 1.0)

    # Brighter on the side of the light, and rounded off towards the outline.
    inside = np.clip(d * (-1.0 / _BEVEL), 0.0, 1.0)
    slant = 1.0 + (dx * rows(scene.light_x) + dy * rows(scene.light_y)) * (0.55 / radius)
    shade = np.where(
        (rows.kind != FULL)[:, None, None], slant * (0.72 + inside * (2.0 - inside) * np.float32(0.3)), 1.0
    )

    depth = rows(scene.depth) + np.clip(x * rows(scene.slope_x) + y * rows(scene.slope_y), -0.2, 0.2)
    return (_textures(rows, x, y), np.clip(shade, 0.45, 1.5)), cover, depth


def _textures(rows: _Rows, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The texture fields in object coordinates, so that they move with the object, float32 [m, H, W]."""
    scene = rows.scene
    frequency, stretch = rows(scene.frequency), rows(scene.stretch)
    cos, sin = rows(draw.cosine(scene.texture_angle)) * frequency, rows(draw.sine(scene.texture_angle)) * frequency
    offset_x, offset_y = rows(scene.texture_x), rows(scene.texture_y)
    salts = scene.salt[rows.image, rows.layer][:, None, None]

    def one(kind: int, these: np.ndarray) -> np.ndarray | float:
        # Without the stretch, which would show the shape's proportions in the texture.
        across, up = x[these] * stretch[these], y[these] / stretch[these]
        along = across * cos[these] + up * sin[these]
        if kind != texture.GRADIENT:
            along += offset_x[these]
        return texture.field(kind, along, up * cos[these] - across * sin[these] + offset_y[these], salts[these])

    return _by_kind(scene.texture[rows.image, rows.layer], x.shape, one)


def _shadows(rows: _Rows) -> np.ndarray:
    """Opacity of the shadows, float32 [m, H, W]: the outline again, moved away from the light and softened."""
    scene = rows.scene
    grid_x, grid_y = _grid(rows.size)
    dx = grid_x - rows(scene.x) + rows(scene.light_x) * _SHADOW_OFFSET
    dy = grid_y - rows(scene.y) + rows(scene.light_y) * _SHADOW_OFFSET
    return np.clip(0.5 - rows.outlines(*rows.coordinates(dx, dy)) * 3.0, 0.0, 1.0) * rows(scene.shadow)


def _grain(keys: np.ndarray, size: int) -> np.ndarray:
    """Sensor noise, float32 [n, 3, size, size] in (-1, 1): two uniforms a channel, all from one hash a pixel."""
    pixel = np.arange(size * size, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    bits = draw.mix(keys[:, None] + pixel[None]).reshape(len(keys), size, size)
    channels = []
    for channel in range(3):
        first = (bits >> np.uint64(20 * channel)) & np.uint64(1023)
        second = (bits >> np.uint64(20 * channel + 10)) & np.uint64(1023)
        channels.append((first + second).astype(np.float32) * np.float32(1 / 1023) - np.float32(1))
    return np.stack(channels, axis=1)
