"""`saliency`: which pixels decide a class, by the gradient of its score in them, after four papers.

`gradient`: Simonyan et al. 2013, "Deep Inside Convolutional Networks", section 3. `smooth`: SmoothGrad, Smilkov et al.
2017. `guided`: guided backpropagation, Springenberg et al. 2014, section 3.4. `integrated`: integrated gradients,
Sundararajan et al. 2017, equation 1. The score is the class's logit, before the softmax (Simonyan et al., section 2).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import ops
from cnn_jax.inspect import Inspection, Request
from cnn_jax.inspect.examples import choose, described, targets
from cnn_jax.inspect.network import Network, Subject, as_network, batches, compiled_once
from cnn_jax.inspect.picture import label_row, panels, positive, show_image, signed
from cnn_jax.plotting import style

EXAMPLES = 6
STEPS = 64
NOISE, SAMPLES = 0.15, 32


def gradient(subject: Subject, images: Any, labels: Any) -> np.ndarray:
    """The gradient of each image's class score in its pixels (Simonyan et al. 2013, section 3).

    Args:
        subject: a run, or (model, variables).
        images: [N, H, W, C], uint8 or as the network takes them.
        labels: int [N], the class of each.

    Returns:
        float32 [N, H, W, C], in the units of the network's input.
    """
    return _mapped(as_network(subject), images, labels, _class_gradient)


def guided(subject: Subject, images: Any, labels: Any) -> np.ndarray:
    """Guided backpropagation (Springenberg et al. 2014, section 3.4); arguments and result as in `gradient`."""

    def ruled(network, variables, x, label):
        with ops.relu_rule("guided"):
            return _class_gradient(network, variables, x, label)

    return _mapped(as_network(subject), images, labels, ruled)


def smooth(
    subject: Subject, images: Any, labels: Any, *, key: jax.Array, noise: float = NOISE, samples: int = SAMPLES
) -> np.ndarray:
    """SmoothGrad: the mean of the gradients of noisy copies (Smilkov et al. 2017, equation 2).

    Args:
        subject: as in `gradient`.
        images: as in `gradient`.
        labels: as in `gradient`.
        key: of the noise.
        noise: standard deviation, as a share of each image's range from smallest to largest value.
        samples: copies of each image.

    Returns:
        As `gradient`.
    """

    def averaged(network, variables, x, label):
        size = noise * (x.max(axis=(1, 2, 3), keepdims=True) - x.min(axis=(1, 2, 3), keepdims=True))

        def add(total, draw):
            noisy = x + size * jax.random.normal(jax.random.fold_in(key, draw), x.shape)
            return total + _class_gradient(network, variables, noisy, label), None

        return jax.lax.scan(add, jnp.zeros_like(x), jnp.arange(samples))[0] / samples

    return _mapped(as_network(subject), images, labels, averaged)


def integrated(
    subject: Subject, images: Any, labels: Any, *, baseline: Any = None, steps: int = STEPS
) -> tuple[np.ndarray, np.ndarray]:
    """Integrated gradients along the straight line from a baseline (Sundararajan et al. 2017, equation 1).

    Args:
        subject: as in `gradient`.
        images: as in `gradient`.
        labels: as in `gradient`.
        baseline: [H, W, C], uint8 or as the network takes it; by default black (section 3).
        steps: gradients along the line, at the middles of equal parts.

    Returns:
        Attributions, float32 [N, H, W, C]; and what they miss of completeness (proposition 1), float32 [N]: the
        sum of the attributions minus the score at the image minus that at the baseline, which tends to 0 with `steps`.
    """
    network = as_network(subject)
    start = np.zeros(np.shape(images)[1:], np.uint8) if baseline is None else baseline
    zero = network.inputs(np.asarray(start)[None])

    def along(network, variables, x, label):
        def add(total, step):
            at = zero + (step + 0.5) / steps * (x - zero)
            return total + _class_gradient(network, variables, at, label), None

        total = jax.lax.scan(add, jnp.zeros_like(x), jnp.arange(steps, dtype=jnp.float32))[0]
        return (x - zero) * total / steps

    made = _mapped(network, images, labels, along)
    scores = _mapped(network, images, labels, _score)
    base = _mapped(network, np.repeat(np.asarray(start)[None], len(made), 0), labels, _score)
    return made, made.sum(axis=(1, 2, 3)) - (scores - base)


def _score(network: Network, variables: Any, x: jax.Array, label: jax.Array) -> jax.Array:
    logits, _ = network.apply(variables, x)
    return jnp.take_along_axis(logits, label[:, None], axis=-1)[:, 0]


def _class_gradient(network: Network, variables: Any, x: jax.Array, label: jax.Array) -> jax.Array:
    return jax.grad(lambda x: _score(network, variables, x, label).sum())(x)


def _mapped(network: Network, images: Any, labels: Any, function) -> np.ndarray:
    compiled = compiled_once(lambda variables, x, label: function(network, variables, x, label))
    parts = zip(batches(images), batches(np.asarray(labels, np.int32)), strict=True)
    return np.concatenate([np.asarray(compiled(network.variables, network.inputs(x), y)) for x, y in parts])


def inspect(request: Request) -> Inspection:
    """Images with what each of the four says of a class.

    Raises:
        ConfigError: no such class.
        DataError: data or a file that is missing or broken.
    """
    network = as_network(request.run)
    examples = choose(request, EXAMPLES)
    target = targets(network, examples, request.class_name)
    images = examples.image
    made, missing = integrated(network, images, target)
    maps = {
        "gradient": gradient(network, images, target),
        "smooth": smooth(network, images, target, key=jax.random.key(request.config.seed)),
        "guided": guided(network, images, target),
        "integrated": made,
    }
    rows = described(network, examples, target)
    for row, gap in zip(rows, missing, strict=True):
        row["completeness_gap"] = float(gap)
    with style():
        figure = _drawn(images, rows, maps, examples.source)
    facts = {
        "source": examples.source,
        "examples": rows,
        "smooth": {"noise": NOISE, "samples": SAMPLES, "seed": request.config.seed},
        "integrated": {"baseline": "black", "steps": STEPS},
    }
    lines = [
        f"{row['image']}: {row['target']}, p = {row['probability']:.3f}; integrated gradients miss completeness by "
        f"{row['completeness_gap']:+.4f}"
        for row in rows
    ]
    return Inspection({"saliency": figure}, facts, lines, maps)


def _drawn(images, rows, maps, source):
    columns = {
        "gradient\n(Simonyan 2013)": positive(np.abs(maps["gradient"]).max(-1)),
        "SmoothGrad\n(Smilkov 2017)": positive(np.abs(maps["smooth"]).max(-1)),
        "guided backprop\n(Springenberg 2014)": signed(maps["guided"]),
        "integrated gradients\n(Sundararajan 2017)": positive(np.abs(maps["integrated"]).sum(-1)),
    }
    figure, axes = panels(len(images), 1 + len(columns), 1.25, top=0.7, left=0.9)
    for i, image in enumerate(images):
        show_image(axes[i, 0], image, "image" if i == 0 else "")
        label_row(axes[i, 0], f"{rows[i]['target']}\np = {rows[i]['probability']:.2f}")
        for j, (title, values) in enumerate(columns.items(), 1):
            show_image(axes[i, j], values[i], title if i == 0 else "", cmap="gray", vmin=0, vmax=255)
    figure.suptitle(f"Sensitivity of a class's score to pixels; {source}", fontsize=9)
    return figure
