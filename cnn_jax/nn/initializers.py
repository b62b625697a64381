"""Initialisers of the papers, found by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.errors import ConfigError

Initializer = Callable[..., jax.Array]
InitializerName = Literal[
    "gaussian",
    "gaussian_0.05",
    "gaussian_0.1",
    "glorot",
    "he",
    "lecun",
    "uniform",
    "zeros",
    "ones",
    "identity",
    "partial_identity",
    "bilinear",
]


def lecun_uniform(key: jax.Array, shape, dtype=jnp.float32) -> jax.Array:
    """Uniform in +-2.4 / fan_in, for tanh units (LeCun et al. 1998, appendix A)."""
    bound = 2.4 / math.prod(shape[:-1])
    return jax.random.uniform(key, shape, dtype, -bound, bound)


def fan_in_uniform(key: jax.Array, shape, dtype=jnp.float32) -> jax.Array:
    """Uniform in +-1 / sqrt(fan_in): what Torch gives convolutions and linear layers (variance a sixth of He's)."""
    bound = 1 / math.sqrt(math.prod(shape[:-1]))
    return jax.random.uniform(key, shape, dtype, -bound, bound)


def partial_identity_kernel(key: jax.Array, shape, dtype=jnp.float32) -> jax.Array:
    """The first features pass the input channels on, the others begin as Torch's (Jordan 2024, section 3.3)."""
    passing = jnp.arange(shape[-1]) < shape[-2]
    drawn = fan_in_uniform(key, shape, dtype)
    return jnp.where(passing.reshape((1,) * (len(shape) - 1) + (-1,)), identity_kernel(key, shape, dtype), drawn)


def identity_kernel(key: jax.Array, shape, dtype=jnp.float32) -> jax.Array:
    """A convolution that passes channel i on to feature i unchanged (Yu and Koltun 2016, section 3)."""
    del key
    kernel = np.zeros(shape, np.float32)
    centre = tuple((k - 1) // 2 for k in shape[:-2])
    for channel in range(min(shape[-2:])):
        kernel[(*centre, channel, channel)] = 1
    return jnp.asarray(kernel, dtype)


def bilinear_kernel(key: jax.Array, shape, dtype=jnp.float32) -> jax.Array:
    """Bilinear upsampling of each channel, for transposed convolutions (FCN `surgery.py`, `upsample_filt`)."""
    del key
    kernel = np.zeros(shape, np.float32)
    window = np.ones(())
    for size in shape[:-2]:
        factor = (size + 1) // 2
        centre = factor - 1 if size % 2 else factor - 0.5
        window = np.multiply.outer(window, 1 - np.abs(np.arange(size) - centre) / factor)
    for channel in range(min(shape[-2:])):
        kernel[..., channel, channel] = window
    return jnp.asarray(kernel, dtype)


INITIALIZERS: dict[str, Initializer] = {
    "gaussian": jax.nn.initializers.normal(0.01),  # AlexNet section 5
    "gaussian_0.05": jax.nn.initializers.normal(0.05),  # Network in Network: its authors' cuda-convnet files
    "gaussian_0.1": jax.nn.initializers.normal(0.1),  # VGG section 3.1: variance 10^-2, as printed
    "glorot": jax.nn.initializers.glorot_uniform(),  # Glorot and Bengio 2010, eq. 16
    "he": jax.nn.initializers.he_normal(),  # He et al. 2015, Delving Deep into Rectifiers, eq. 10
    "lecun": lecun_uniform,
    "uniform": fan_in_uniform,
    "zeros": jax.nn.initializers.zeros,
    "ones": jax.nn.initializers.ones,
    "identity": identity_kernel,
    "partial_identity": partial_identity_kernel,
    "bilinear": bilinear_kernel,
}


def initializer(name: str) -> Initializer:
    """The initialiser called `name`: a function of (key, shape, dtype).

    Raises:
        ConfigError: no such initialiser; the message lists the legal names.
    """
    if name not in INITIALIZERS:
        raise ConfigError(56, f"unknown initializer {name!r}; legal: {', '.join(get_args(InitializerName))}")
    return INITIALIZERS[name]


def classifier_name(name: str) -> str:
    """The name of the initialiser of a network's last layer, given that of the others.

    He's variance makes up for the half that a ReLU removes. No ReLU follows the classifier, so there the small
    Gaussian keeps the first logits near zero.
    """
    return "gaussian" if name == "he" else name


def classifier_initializer(name: str) -> Initializer:
    """The initialiser of a network's last layer, given that of the others; see `classifier_name`."""
    return initializer(classifier_name(name))
