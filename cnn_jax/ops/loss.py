"""Losses of the lectures and papers: one value an example, computed in float32.

A label outside the classes gives NaN, never a plausible number, so that a run stops at its next check; `check_labels`
refuses such labels on the host before anything is compiled.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from cnn_jax.errors import DataError


def softmax_cross_entropy(
    logits: Float[Array, "*batch classes"],
    labels: Int[Array, "*batch"],
    *,
    label_smoothing: float | Float[Array, ""] = 0.0,
) -> Float[Array, "*batch"]:
    """Negative log-likelihood of the softmax, natural logarithm: log(num_classes) for equal logits (Bridle 1990).

    Args:
        logits: unnormalised log-probabilities.
        labels: class of each example, in 0 .. classes-1.
        label_smoothing: share of the target spread evenly over all classes (Szegedy et al. 2016, section 7).
    """
    # log_softmax takes the largest logit off first; logsumexp(z) - z_label would cancel for large logits.
    log_probabilities = jax.nn.log_softmax(logits.astype(jnp.float32))
    loss = -(1 - label_smoothing) * _of_label(log_probabilities, labels)
    if isinstance(label_smoothing, Array) or label_smoothing:
        loss -= label_smoothing * jnp.mean(log_probabilities, axis=-1)
    return _nan_outside(loss, labels, logits.shape[-1])


def soft_target_cross_entropy(
    logits: Float[Array, "*batch classes"],
    targets: Float[Array, "*batch classes"],
    *,
    label_smoothing: float | Float[Array, ""] = 0.0,
) -> Float[Array, "*batch"]:
    """Cross-entropy of the softmax and a distribution over the classes: `-sum_k t_k log p_k`.

    Args:
        logits: unnormalised log-probabilities.
        targets: probabilities that sum to one; a label is the distribution with one 1.
        label_smoothing: share of the target spread evenly over all classes.
    """
    log_probabilities = jax.nn.log_softmax(logits.astype(jnp.float32))
    targets = (1 - label_smoothing) * targets.astype(jnp.float32) + label_smoothing / logits.shape[-1]
    return -jnp.sum(targets * log_probabilities, axis=-1)


def sigmoid_cross_entropy(logits: Float[Array, "*shape"], targets: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Negative log-likelihood of independent yes/no answers, the logistic loss: -t log p - (1-t) log(1-p) (Cox 1958).

    Args:
        logits: log-odds; p is their sigmoid.
        targets: probabilities, usually 0 or 1.
    """
    logits, targets = logits.astype(jnp.float32), targets.astype(jnp.float32)
    # max(x, 0) - x t + log(1 + e^-|x|) is the same and neither overflows nor cancels.
    return jax.nn.relu(logits) - logits * targets + jnp.log1p(jnp.exp(-jnp.abs(logits)))


def l2(
    predictions: Float[Array, "*batch features"], targets: Float[Array, "*batch features"]
) -> Float[Array, "*batch"]:
    """Squared Euclidean distance, summed over the last axis, without a factor 1/2 (the lectures' L2 loss)."""
    return jnp.sum(jnp.square(predictions.astype(jnp.float32) - targets.astype(jnp.float32)), axis=-1)


def multiclass_hinge(
    scores: Float[Array, "*batch classes"], labels: Int[Array, "*batch"], *, margin: float = 1.0
) -> Float[Array, "*batch"]:
    """Sum over the wrong classes j of max(0, s_j - s_label + margin) (Weston and Watkins 1999): classes-1 at zero."""
    scores = scores.astype(jnp.float32)
    violations = jax.nn.relu(scores - _of_label(scores, labels)[..., None] + margin)
    # The right class always contributes exactly `margin`; leaving it out by mask keeps its gradient out as well.
    loss = jnp.sum(jnp.where(_one_hot(labels, scores.shape[-1]), 0.0, violations), axis=-1)
    return _nan_outside(loss, labels, scores.shape[-1])


def pixelwise_softmax_cross_entropy(
    logits: Float[Array, "batch ... classes"],
    labels: Int[Array, "batch ..."],
    *,
    ignore_label: int = 255,
    normalize: bool = True,
) -> Float[Array, " batch"]:
    """Softmax cross-entropy over the pixels of an image (Long et al. 2015, section 4).

    Args:
        logits: one score a class and pixel.
        labels: class of each pixel; pixels of `ignore_label` (PASCAL VOC's border, 255) count nothing.
        ignore_label: the label that is left out.
        normalize: the mean over the pixels that count; False sums them, as the FCN authors trained.

    Returns:
        One value an image; 0 for an image whose pixels are all ignored.
    """
    counts = labels != ignore_label
    losses = softmax_cross_entropy(logits, jnp.where(counts, labels, 0))
    axes = tuple(range(1, labels.ndim))
    total = jnp.sum(jnp.where(counts, losses, 0.0), axis=axes)
    return total / jnp.maximum(jnp.sum(counts, axis=axes), 1) if normalize else total


def euclidean_rbf(
    x: Float[Array, "*batch features"], prototypes: Float[Array, "classes features"]
) -> Float[Array, "*batch classes"]:
    """LeNet-5's output units (LeCun et al. 1998, eq. 7): y_i = sum_j (x_j - w_ij)^2, a penalty, smallest for the best.

    Args:
        x: output of F6.
        prototypes: one target vector a class, in the paper 84 pixels of -1 or +1, a 7x12 bitmap.
    """
    # The differences are small against the norms near a prototype: x^2 - 2xw + w^2 would cancel.
    difference = x[..., None, :].astype(jnp.float32) - prototypes.astype(jnp.float32).reshape(
        (1,) * (x.ndim - 1) + prototypes.shape
    )
    return jnp.sum(jnp.square(difference), axis=-1)


def rbf_likelihood(penalties: Float[Array, "*batch classes"], labels: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
    """The right class's penalty alone (LeCun et al. 1998, eq. 8): collapses if the prototypes may adapt."""
    return _nan_outside(_of_label(penalties.astype(jnp.float32), labels), labels, penalties.shape[-1])


def rbf_discriminative(
    penalties: Float[Array, "*batch classes"], labels: Int[Array, "*batch"], *, rubbish: float
) -> Float[Array, "*batch"]:
    """The right penalty pulled down, the others pushed up (LeCun et al. 1998, eq. 9): y_label + log(e^-j + sum e^-y_i).

    Args:
        penalties: outputs of `euclidean_rbf`.
        labels: the right classes.
        rubbish: j, a positive constant (the paper gives no value): the penalty of an image that is no character; what
            is already penalised far beyond it is not pushed further.
    """
    penalties = penalties.astype(jnp.float32)
    competition = jnp.logaddexp(-jnp.float32(rubbish), jax.nn.logsumexp(-penalties, axis=-1))
    return _nan_outside(_of_label(penalties, labels) + competition, labels, penalties.shape[-1])


def check_labels(labels: np.ndarray, num_classes: int) -> None:
    """Refuses labels outside `0 <= label < num_classes`, on the host.

    Raises:
        DataError: naming the first such label and how many there are.
    """
    labels = np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(20, f"labels are {labels.dtype}: whole numbers from 0 to {num_classes - 1} are legal")
    outside = (labels < 0) | (labels >= num_classes)
    if outside.any():
        place = tuple(int(i) for i in np.argwhere(outside)[0])
        found = f"label {labels[place]} at {list(place)} is outside 0 to {num_classes - 1}"
        raise DataError(20, f"{found} ({int(outside.sum())} of {labels.size} are): correct them, or set num_classes")


def _one_hot(labels: Int[Array, "*batch"], num_classes: int) -> Array:
    # A mask rather than a gather: its gradient is no scatter, and everything fuses.
    classes = jnp.arange(num_classes).reshape((1,) * labels.ndim + (num_classes,))
    return labels[..., None] == classes


def _of_label(values: Float[Array, "*batch classes"], labels: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
    return jnp.sum(jnp.where(_one_hot(labels, values.shape[-1]), values, 0.0), axis=-1)


def _nan_outside(
    loss: Float[Array, "*batch"], labels: Int[Array, "*batch"], num_classes: int
) -> Float[Array, "*batch"]:
    return jnp.where((labels >= 0) & (labels < num_classes), loss, jnp.nan)
