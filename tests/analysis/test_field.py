"""The receptive field of every unit against what one pixel reaches, and against the support of the gradient."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import analysis, ops
from cnn_jax.analysis.span import identity


class Branches(nn.Module):
    """Unequal strides, a residual, a dilated and a pooled branch, a transposed convolution and a cropped skip."""

    @nn.compact
    def __call__(self, x):
        x = skip = nn.Conv(2, (3, 4), strides=(2, 1), padding=((1, 0), (2, 1)))(x)
        x = nn.relu(x + nn.Conv(2, (3, 3), padding="SAME")(x))
        wide = nn.Conv(2, (3, 3), kernel_dilation=(2, 3), padding=((2, 2), (3, 3)))(x)
        x = jnp.concatenate([ops.max_pool(x, (3, 2), strides=1, padding=((1, 1), (0, 1))), wide], -1)
        x = nn.Conv(3, (2, 3), strides=(1, 2), padding="VALID")(x)
        x = nn.ConvTranspose(2, (3, 4), strides=(3, 2), padding="VALID")(x)
        x = nn.Conv(2, (2, 2), strides=(2, 1), padding=1)(x)
        height, width = min(x.shape[1], skip.shape[1]), min(x.shape[2], skip.shape[2])
        x = jnp.concatenate([x[:, 1:height], skip[:, 1:height, 2 : width + 2]], -1) if width < 14 else x
        return nn.Conv(1, (1, 1))(x)


class Encoder(nn.Module):
    """U-shaped: two 2x2/2 down and up, 3x3 convolutions between, concatenated skips."""

    @nn.compact
    def __call__(self, x):
        skips = []
        for _ in range(2):
            skips.append(x := nn.Conv(2, (3, 3), padding="SAME")(x))
            x = nn.max_pool(x, (2, 2), (2, 2))
        x = nn.Conv(2, (3, 3), padding="SAME")(x)
        for skip in reversed(skips):
            x = nn.ConvTranspose(2, (2, 2), (2, 2), padding="VALID")(x)
            x = nn.Conv(2, (3, 3), padding="SAME")(jnp.concatenate([x, skip], -1))
        return x


class Shuffles(nn.Module):
    """Space to depth, pixel shuffle and repetition, written with reshapes; flips and a subsampling slice."""

    @nn.compact
    def __call__(self, x):
        n, h, w, c = x.shape
        x = x.reshape(n, h // 2, 2, w // 3, 3, c).transpose(0, 1, 3, 2, 4, 5).reshape(n, h // 2, w // 3, 6 * c)
        x = nn.Conv(12, (3, 2), padding="SAME")(x)
        n, h, w, c = x.shape
        x = x.reshape(n, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * h, 2 * w, c // 4)
        x = nn.Conv(2, (2, 2), padding="VALID")(x[:, ::-1])
        x = jnp.repeat(x, 2, axis=1)[:, :, ::2]
        return nn.Conv(1, (3, 3), padding="SAME")(x)


class Own(nn.Module):
    """This project's operations, with every kind of padding, under a gate that sees the whole map."""

    gated: bool = False

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", nn.initializers.ones, (3, 3, x.shape[-1], 2))
        x = ops.conv(x, kernel, strides=(1, 2), padding=((1, 1), (0, 1)))
        x = ops.max_pool(x, (2, 3), strides=(2, 1), padding=(0, 1))
        x = ops.avg_pool(x, 3, strides=2, padding=1)
        x = x * nn.Dense(2)(ops.global_avg_pool(x))[:, None, None] if self.gated else x
        return nn.Conv(1, (1, 1))(x)


class Resized(nn.Module):
    """Bilinear and nearest resizing, up and down, between convolutions."""

    method: str
    size: tuple[int, int]

    @nn.compact
    def __call__(self, x):
        x = nn.avg_pool(nn.Conv(1, (3, 2), padding="VALID")(x), (2, 2), (2, 2))
        x = jax.image.resize(x, (1, *self.size, 1), self.method, antialias=False)
        return nn.Conv(1, (2, 2), strides=(1, 2), padding="VALID")(x)


def boxes(seen: np.ndarray) -> tuple | None:
    """First and last index along each axis where a mask holds."""
    places = np.argwhere(seen)
    return tuple(zip(places.min(0).tolist(), places.max(0).tolist(), strict=True)) if places.size else None


def all_ones(model, shape):
    """Variables of a model, all one: every weight lets every pixel through."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *shape)))
    return jax.tree.map(lambda leaf: jnp.ones(leaf.shape), shapes)


def reached(model, shape) -> np.ndarray:
    """[h, w, H, W]: whether raising a pixel raises a unit of the output, all weights being one.

    Maximum pooling, too, lets a pixel through that is raised above all others.
    """
    height, width, channels = shape
    variables = all_ones(model, shape)
    raised = 1 + 1e3 * jnp.eye(height * width).reshape(-1, height, width, 1)
    images = jnp.concatenate([jnp.ones((1, *shape)), jnp.broadcast_to(raised, (*raised.shape[:3], channels))])
    with ops.plain_ops():
        out = np.asarray(jax.jit(model.apply)(variables, images))
    higher = (out[1:] > out[:1] * (1 + 1e-5)).any(-1)
    return np.moveaxis(higher.reshape(height, width, *out.shape[1:3]), (0, 1), (2, 3))


def felt(model, shape) -> np.ndarray:
    """[h, w, H, W]: whether the derivative of a unit with respect to a pixel is not zero, all weights positive."""
    variables = all_ones(model, shape)
    jacobian = jax.jit(jax.jacrev(lambda x: model.apply(variables, x[None])[0, :, :, 0]))(jnp.ones(shape))
    return np.abs(jacobian).sum(-1) > 0


def compare(model, shape, measured):
    table = analysis.show(model, shape)
    name = table.layers[-1].name
    assert table.layers[-1].output[:2] == measured.shape[:2]
    for unit in np.ndindex(*measured.shape[:2]):
        assert table.box(name, *unit) == boxes(measured[unit]), unit
    return table


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (Branches(), (23, 18, 1)),
        (Encoder(), (20, 24, 1)),
        (Shuffles(), (12, 15, 1)),
        (Own(), (15, 17, 2)),
        (Own(gated=True), (11, 12, 1)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else str(value),
)
def test_boxes_are_the_reach_of_every_pixel(model, shape):
    compare(model, shape, reached(model, shape))


@pytest.mark.parametrize("method", ["bilinear", "nearest"])
@pytest.mark.parametrize("size", [(26, 16), (9, 20)])
def test_boxes_through_a_resize_are_the_support_of_the_gradient(method, size):
    model = Resized(method, size)
    compare(model, (29, 17, 1), felt(model, (29, 17, 1)))


def test_field_and_jump_are_those_of_an_inner_unit():
    measured = reached(model := Branches(), (61, 60, 1))
    table = compare(model, (61, 60, 1), measured)
    last = table.layers[-1]
    height, width = measured.shape[:2]
    inner = [boxes(measured[y, x]) for y in range(height // 3, height // 2) for x in range(width // 3, width // 2)]
    assert all(box is not None for box in inner)
    sizes = [[hi - lo + 1 for lo, hi in box] for box in inner if box is not None]
    assert last.receptive_field_max == tuple(np.max(sizes, axis=0))
    top = [boxes(measured[y, width // 2]) for y in (height // 3, height // 3 + 6)]
    assert top[0] is not None
    assert top[1] is not None
    assert last.jump is not None
    assert (top[1][0][0] - top[0][0][0]) / 6 == last.jump[0]


def test_transposed_convolutions_have_the_mean_field_and_a_fractional_jump():
    """DCGAN's generator: 4x4/2 transposed convolutions, fields 5, 5.5, 5.75, 5.875 (facts, section 2)."""
    span = identity().window(padding=3, size=4)
    for expected in (5, 5.5, 5.75, 5.875):
        span = span.window(padding=2, size=4, input_dilation=2)
        assert np.mean(span.sizes()) == expected
    assert span.jump == 1 / 16


def test_a_transposed_convolution_with_holes_leaves_units_that_see_nothing():
    class Holes(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.ConvTranspose(1, (2, 2), strides=(3, 3), padding="VALID")(x)

    table = analysis.show(Holes(), (4, 4, 1))
    name = table.layers[-1].name
    boxes = [table.box(name, y, 0) for y in range(table.layers[-1].output[0])]
    assert boxes.count(None) == len(boxes) // 3


def test_border_padding_is_the_padding_of_the_convolution():
    class Wrapped(nn.Module):
        mode: str

        @nn.compact
        def __call__(self, x):
            kernel = self.param("kernel", nn.initializers.ones, (3, 5, x.shape[-1], 2))
            return ops.conv(x, kernel, padding=((1, 1), (2, 2)), padding_mode=self.mode)

    for mode in ("zeros", "wrap", "edge", "reflect", "symmetric"):
        row = analysis.show(Wrapped(mode), (9, 8, 3)).layers[-1]
        assert row.padding == ((1, 1), (2, 2)), mode
        assert row.receptive_field == (3, 5), mode
        assert row.remainder == (0, 0), mode
