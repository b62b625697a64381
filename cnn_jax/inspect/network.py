"""A network as the methods see it: a pure function of variables and images, with its taps."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.errors import ConfigError
from cnn_jax.evaluate import Run
from cnn_jax.train.cache import runs_once

BATCH = 128
"""Images that go through a network at once where there are many."""


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A model, its variables, and how pixels come to it.

    Attributes:
        model: a Linen module that returns `(logits, taps)`.
        variables: `{"params", "batch_stats"}`, float32.
        mean: of each channel of the training images, in 0..1; one number for all will do.
        std: standard deviation of each channel, in 0..1.
        classes: their names; () where nobody named them.
    """

    model: Any
    variables: Any
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    classes: tuple[str, ...] = ()

    def inputs(self, images: Any) -> jax.Array:
        """Images as the network takes them: uint8 [N, H, W, C] standardised to float32, floats as they are."""
        images = jnp.asarray(images)
        if jnp.issubdtype(images.dtype, jnp.floating):
            return images.astype(jnp.float32)
        mean, std = (jnp.broadcast_to(jnp.asarray(v, jnp.float32), (images.shape[-1],)) for v in (self.mean, self.std))
        shape = (1,) * (images.ndim - 1) + (-1,)
        return (images.astype(jnp.float32) / 255 - mean.reshape(shape)) / std.reshape(shape)

    def pixels(self, x: Any) -> np.ndarray:
        """The inverse of `inputs`: [..., C] as the network takes it to uint8, rounded and clipped."""
        level = np.asarray(x, np.float32) * np.asarray(self.std, np.float32) + np.asarray(self.mean, np.float32)
        return np.clip(np.round(level * 255), 0, 255).astype(np.uint8)

    def apply(self, variables: Any, x: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Float images [N, H, W, C] to (logits [N, num_classes], taps), in evaluation mode and float32."""
        return self.model.apply(variables, x, train=False)

    def class_name(self, label: int) -> str:
        """The name of a class, or its number."""
        return self.classes[label] if label < len(self.classes) else str(label)


Subject: TypeAlias = "Run | Network | tuple[Any, Any]"
"""What can be looked into: a run from `cnn_jax.load`, or `(model, variables)`."""


def as_network(subject: Subject) -> Network:
    """The network of a run; of `(model, variables)`, whose uint8 images are scaled to 0..1 and floats left alone."""
    if isinstance(subject, Network):
        return subject
    if isinstance(subject, Run):
        return Network(subject.model, subject.variables, subject.spec.mean, subject.spec.std, subject.spec.classes)
    model, variables = subject
    return Network(model, variables)


def tap_shapes(network: Network, image_shape: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """The taps in the model's order, each with its shape without the batch; auxiliary classifiers are left out."""
    shapes: dict[str, tuple[int, ...]] = {}

    def forward(variables, x):
        # A dict that comes out of a trace is sorted; the model's order is seen inside only.
        _, taps = network.apply(variables, x)
        shapes.update((name, value.shape[1:]) for name, value in taps.items() if not name.startswith("aux_"))

    jax.eval_shape(forward, network.variables, jax.ShapeDtypeStruct((1, *image_shape), jnp.float32))
    return shapes


def find_tap(network: Network, image_shape: Sequence[int], tap: str | None, *, maps: bool = False) -> str:
    """The tap to look at.

    Args:
        network: whose taps they are.
        image_shape: (H, W, C).
        tap: its name; None for the last, or with `maps` the last of feature maps wide enough to say where: 4x4, or
            2x2 where there are none.
        maps: whether feature maps are needed.

    Raises:
        ConfigError: no such tap, or one of the wrong kind; the legal ones are listed.
    """
    shapes = tap_shapes(network, image_shape)
    legal = [name for name, shape in shapes.items() if len(shape) == 3 or not maps]
    if not legal:
        kind = "tap of feature maps: this method needs convolutions" if shapes else "tap"
        raise ConfigError(233, f"{type(network.model).__name__} has no {kind}")
    if tap is None:
        wide = [[name for name in legal if maps and min(shapes[name][:2]) >= side] for side in (4, 2)]
        return (wide[0] or wide[1] or legal)[-1]
    if tap not in legal:
        wrong = "has no feature maps" if tap in shapes else "is no tap of this network"
        raise ConfigError(232, f"--tap={tap} {wrong}: use one of {', '.join(legal)}")
    return tap


def last_hidden(network: Network, image_shape: Sequence[int]) -> str:
    """The tap nearest to the classifier.

    Raises:
        ConfigError: a network without taps.
    """
    return find_tap(network, image_shape, None)


def find_class(network: Network, name: str | None) -> int | None:
    """The label of a class; None stays None.

    Raises:
        ConfigError: no such class.
    """
    if name is None:
        return None
    if name not in network.classes:
        shown = ", ".join(network.classes[:20]) + (", ..." if len(network.classes) > 20 else "")
        raise ConfigError(234, f"--class={name} is no class of this network: use one of {shown}")
    return network.classes.index(name)


def batches(images: Any, size: int = BATCH) -> Iterator[np.ndarray]:
    """Images in order, `size` at a time; those of a large data set are read from their files."""
    for start in range(0, len(images), size):
        yield np.asarray(images[start : start + size])


def features(subject: Subject, images: Any, tap: str) -> np.ndarray:
    """A tap of many images, batch by batch.

    Args:
        subject: a run, or (model, variables).
        images: [N, H, W, C], uint8 or as the network takes them.
        tap: its name.

    Returns:
        float32 [N, ...], the tap's shape.
    """
    network = as_network(subject)
    forward = _tap(network, tap)
    return np.concatenate([np.asarray(forward(network.variables, network.inputs(b))) for b in batches(images)])


def probabilities(subject: Subject, images: Any) -> np.ndarray:
    """Softmax of the logits, float32 [N, num_classes]; arguments as in `features`."""
    network = as_network(subject)
    return np.concatenate([_softmax(network)(network.variables, network.inputs(b)) for b in batches(images)])


def compiled_once(function: Any) -> Any:
    """`jax.jit` for gradients of a few images: compiling them well would take longer than computing them."""
    return jax.jit(function, compiler_options=runs_once())


@functools.lru_cache(maxsize=4)
def _softmax(network: Network):
    return jax.jit(lambda variables, x: jax.nn.softmax(network.apply(variables, x)[0]))


@functools.lru_cache(maxsize=4)
def _tap(network: Network, tap: str):
    return jax.jit(lambda variables, x: network.apply(variables, x)[1][tap])
