"""`maximise`: images that a class or a unit likes most, by gradient ascent.

Simonyan et al. 2013, section 2, climb the class's score minus an L2 norm of the image, from the mean image; Yosinski et
al. 2015, "Understanding Neural Networks Through Deep Visualization", section 3, put the regularisation into the step:
decay, and from time to time a blur that takes high frequencies away. The step here is Yosinski's with a gradient scaled
to unit root mean square, so that one rate serves all layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import ops
from cnn_jax.errors import ConfigError
from cnn_jax.inspect import Inspection, Request
from cnn_jax.inspect.network import Network, Subject, as_network, compiled_once, find_class, find_tap, tap_shapes
from cnn_jax.inspect.picture import panels, show_image, stretched
from cnn_jax.plotting import style

UNITS = 12
"""Classes or units shown."""


class Ascent(NamedTuple):
    """How to climb.

    Attributes:
        steps: how many.
        rate: length of a step, root mean square over the image, in standard deviations of pixels.
        decay: share of the image taken away at each step (L2; Yosinski's theta_decay).
        blur: standard deviation of the Gaussian, in pixels (theta_b_width); 0 for none.
        every: steps between blurs (theta_b_every).
        start: standard deviation of the noise that the image starts from.
    """

    steps: int = 200
    rate: float = 0.1
    decay: float = 0.005
    blur: float = 0.6
    every: int = 4
    start: float = 0.1


def maximise(
    subject: Subject,
    image_shape: Sequence[int],
    units: Sequence[int],
    *,
    key: jax.Array,
    tap: str | None = None,
    ascent: Ascent | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Climbs from noise to an image for each unit.

    Args:
        subject: a run, or (model, variables).
        image_shape: (H, W, C).
        units: classes; with `tap` its feature maps, of which the unit in the middle is taken, or its units.
        key: of the noise that is started from; the same key gives the same images.
        tap: None for the classes' logits.
        ascent: how to climb.

    Returns:
        Images float32 [units, H, W, C], as the network takes them, within what pixels can be; and the score before
        each step and after the last, float32 [units, steps + 1].

    Raises:
        ConfigError: no such tap or unit.
    """
    network, how = as_network(subject), ascent or Ascent()
    if tap is not None:
        find_tap(network, image_shape, tap)
    unit = jnp.asarray(units, jnp.int32)
    low, high = (
        network.inputs(np.full((1, 1, 1, image_shape[-1]), level, np.uint8)) for level in (0, 255)
    )  # what pixels can be

    def score(variables, x):
        logits, taps = network.apply(variables, x)
        values = logits if tap is None else taps[tap]
        if values.ndim == 4:
            values = values[:, values.shape[1] // 2, values.shape[2] // 2]
        count = values.shape[-1]
        if wrong := [one for one in units if not 0 <= one < count]:
            raise ConfigError(242, f"{tap or 'the last layer'} has no unit {wrong[0]}: use 0 to {count - 1}")
        return jnp.take_along_axis(values, unit[:, None], axis=-1)[:, 0]

    @compiled_once
    def climb(variables, x):
        def step(x, number):
            def total(x):
                each = score(variables, x)
                return each.sum(), each

            slope, before = jax.grad(total, has_aux=True)(x)
            size = jnp.sqrt(jnp.square(slope).mean(axis=(1, 2, 3), keepdims=True))
            x = (1 - how.decay) * (x + how.rate * slope / jnp.maximum(size, 1e-12))
            if how.blur:
                x = jnp.where(number % how.every == how.every - 1, blurred(x, how.blur), x)
            return jnp.clip(x, low, high), before

        x, scores = jax.lax.scan(step, x, jnp.arange(how.steps))
        return x, jnp.concatenate([scores, score(variables, x)[None]])

    start = how.start * jax.random.normal(key, (len(units), *image_shape))
    images, scores = climb(network.variables, start)
    return np.asarray(images), np.asarray(scores).T


def blurred(x: jax.Array, sigma: float) -> jax.Array:
    """Images [N, H, W, C] under a Gaussian of `sigma` pixels, borders repeated."""
    reach = max(1, round(3 * sigma))
    kernel = ops.gaussian_kernel(2 * reach + 1, sigma)[:, :, None, None]
    kernel = jnp.asarray(np.repeat(kernel, x.shape[-1], axis=-1))
    return ops.conv(x, kernel, padding=reach, padding_mode="edge", feature_group_count=x.shape[-1])


def inspect(request: Request) -> Inspection:
    """An image for each class, or for the one asked for; with a tap for some of its units.

    Raises:
        ConfigError: no such tap or class, or both are asked for.
    """
    import pandas as pd

    network, shape = as_network(request.run), request.run.spec.image_shape
    units, names = _units(network, shape, request)
    ascent = Ascent()
    key = jax.random.key(request.config.seed)
    images, scores = maximise(network, shape, units, key=key, tap=request.tap, ascent=ascent)
    said = "logit of the class" if request.tap is None else f"unit of {request.tap}"
    with style():
        figure = _drawn(stretched(images), names, scores[:, -1], said, ascent)
    table = pd.DataFrame({"unit": units, "name": names, "start": scores[:, 0], "end": scores[:, -1]})
    facts = {
        "tap": request.tap,
        "ascent": ascent._asdict(),
        "seed": request.config.seed,
        "units": [
            {"unit": int(u), "name": name, "start": float(s[0]), "end": float(s[-1])}
            for u, name, s in zip(units, names, scores, strict=True)
        ],
    }
    lines = [f"{name}: {said} from {s[0]:.2f} to {s[-1]:.2f}" for name, s in zip(names, scores, strict=True)]
    return Inspection({"maximise": figure}, facts, lines, {"images": images, "scores": scores, "units": table})


def _units(network: Network, shape: Sequence[int], request: Request) -> tuple[list[int], list[str]]:
    if request.tap is not None and request.class_name is not None:
        raise ConfigError(240, "maximise takes --tap or --class: an image is climbed for one or the other")
    if request.tap is None:
        label = find_class(network, request.class_name)
        units = list(range(min(UNITS, len(network.classes)))) if label is None else [label]
        return units, [network.class_name(unit) for unit in units]
    tap = find_tap(network, shape, request.tap)
    count = tap_shapes(network, shape)[tap][-1]
    units = np.sort(np.random.default_rng(request.config.seed).permutation(count)[:UNITS]).tolist()
    return units, [f"{tap}, {unit}" for unit in units]


def _drawn(images, names, ends, said, ascent):
    columns = min(5 if len(images) % 5 == 0 else 4, len(images))
    rows = -(-len(images) // columns)
    figure, axes = panels(rows, columns, 1.45, top=0.75)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, image, name, end in zip(axes.flat, images, names, ends, strict=False):
        axis.set_axis_on()
        show_image(axis, image, f"{name}\n{end:.1f}")
    how = f"{ascent.steps} steps, decay, blur; each from black to white"
    figure.suptitle(f"Images that maximise the {said};\n{how}", fontsize=9)
    return figure
