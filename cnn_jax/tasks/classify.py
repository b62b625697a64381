"""Image classification: softmax cross-entropy, top-1 and top-5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.tasks.task import Batch, Metrics, Task, Variables


def classify(
    model: Any,
    image_shape: Sequence[int],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    label_smoothing: float = 0.0,
    aux_weight: float = 0.3,
    dtype: jnp.dtype | type = jnp.float32,
) -> Task:
    """The task of classifying images with `model`.

    Args:
        model: a Linen module whose `__call__(x, train=...)` returns `(logits, taps)`; a tap named `aux_*` holds the
            logits of an auxiliary classifier.
        image_shape: `(H, W, C)` of an image.
        mean: mean of each channel over the training images, in 0..1.
        std: standard deviation of each channel, in 0..1.
        label_smoothing: share of the target spread evenly over the classes (Szegedy et al. 2015, section 7).
        aux_weight: of the auxiliary classifiers' losses in the training loss (GoogLeNet, section 5).
        dtype: what the network computes in. Parameters, batch statistics, the parameters of norms and the loss are
            float32 whatever it is.

    Raises:
        GeometryError: from `init`, when the network cannot take an image of this size.
    """
    shift = jnp.asarray(mean, jnp.float32) * 255
    scale = 1 / (jnp.asarray(std, jnp.float32) * 255)

    def inputs(image: jax.Array) -> jax.Array:
        # Spelled out per rank: implicit promotion of the channel vector is refused in the tests.
        channels = (1, 1, 1, image.shape[-1])
        return ((image.astype(jnp.float32) - shift.reshape(channels)) * scale.reshape(channels)).astype(dtype)

    def in_compute_dtype(variables: Variables) -> Variables:
        return {**variables, "params": _cast(variables["params"], dtype)}

    def init(key: jax.Array) -> Variables:
        image = jnp.zeros((1, *image_shape), jnp.float32)
        return dict(model.init({"params": key, "dropout": key}, image, train=False))

    def logits_of(variables: Variables, image: jax.Array) -> jax.Array:
        logits, _ = model.apply(in_compute_dtype(variables), inputs(image), train=False)
        return logits.astype(jnp.float32)

    def loss(variables: Variables, batch: Batch, key: jax.Array) -> tuple[jax.Array, tuple[Variables, Metrics]]:
        (logits, taps), state = model.apply(
            in_compute_dtype(variables),
            inputs(batch["image"]),
            train=True,
            rngs={"dropout": key},
            mutable=[name for name in variables if name != "params"],
        )
        logits = logits.astype(jnp.float32)
        value = _mean_loss(logits, batch["label"], label_smoothing)
        for aux in _auxiliary_logits(taps):
            value += aux_weight * _mean_loss(aux.astype(jnp.float32), batch["label"], label_smoothing)
        accuracy = jnp.mean(_agreement(jnp.argmax(logits, axis=-1), batch["label"]))
        return value, (dict(state), {"loss": value, "accuracy": accuracy})

    def metrics(variables: Variables, batch: Batch) -> Metrics:
        logits, valid = logits_of(variables, batch["image"]), batch["valid"]
        # Rank of the true class: how many classes score at least as high, itself left out. A tie counts against the
        # network, so that equal or NaN logits cannot pass for a right answer.
        true = jnp.take_along_axis(logits, batch["label"][:, None], axis=-1)
        rank = jnp.sum(~(logits < true), axis=-1) - 1
        losses = ops.softmax_cross_entropy(logits, batch["label"])
        return {
            "loss": jnp.sum(jnp.where(valid, losses, 0)),
            "accuracy": jnp.sum(valid & (rank < 1)),
            "top5": jnp.sum(valid & (rank < 5)),
            "count": jnp.sum(valid),
        }

    def predict(variables: Variables, image: jax.Array) -> jax.Array:
        return jax.nn.softmax(logits_of(variables, image))

    return Task(init, loss, metrics, predict, logits_of)


def _mean_loss(logits: jax.Array, labels: jax.Array, label_smoothing: float) -> jax.Array:
    # Mixed examples come with probabilities of the classes in place of a class (`ops.mixup`).
    cross_entropy = ops.soft_target_cross_entropy if labels.ndim == 2 else ops.softmax_cross_entropy
    return jnp.mean(cross_entropy(logits, labels, label_smoothing=label_smoothing))


def _agreement(predictions: jax.Array, labels: jax.Array) -> jax.Array:
    """Whether each prediction is the label, as 0 or 1; of soft targets the probability of what was predicted."""
    if labels.ndim == 2:
        return jnp.take_along_axis(labels, predictions[:, None], axis=-1)[:, 0]
    return (predictions == labels).astype(jnp.float32)


def _auxiliary_logits(taps: Mapping[str, jax.Array]) -> list[jax.Array]:
    return [tap for name, tap in taps.items() if name.startswith("aux_")]


def _cast(params: Any, dtype: Any) -> Any:
    """Parameters in the dtype of the arithmetic, but for norms, which compute in float32: those that have a scale."""
    if not isinstance(params, Mapping):
        return params.astype(dtype)
    return {k: v if "scale" in params else _cast(v, dtype) for k, v in params.items()}
