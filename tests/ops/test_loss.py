from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from jax.test_util import check_grads

from cnn_jax import ops
from cnn_jax.errors import DataError

GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(0, 4, (7, 5)).astype(np.float32)
LABELS = GENERATOR.integers(0, 5, 7)
HOT = np.eye(5)[LABELS]


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_softmax_cross_entropy(smoothing):
    targets = (1 - smoothing) * HOT + smoothing / 5
    expected = -(targets * scipy.special.log_softmax(LOGITS.astype(np.float64), -1)).sum(-1)
    loss = jax.jit(lambda x: ops.softmax_cross_entropy(x, jnp.asarray(LABELS), label_smoothing=smoothing))
    np.testing.assert_allclose(loss(LOGITS), expected, rtol=2e-6, atol=1e-6)
    gradient = jax.grad(lambda x: loss(x).sum())(LOGITS)
    np.testing.assert_allclose(gradient, scipy.special.softmax(LOGITS.astype(np.float64), -1) - targets, atol=1e-6)


def test_softmax_cross_entropy_of_huge_and_half_precision_logits():
    logits = jnp.array([[1e4, -1e4], [3e38, 3e38]])
    np.testing.assert_allclose(ops.softmax_cross_entropy(logits, jnp.array([1, 0])), [2e4, np.log(2)], rtol=1e-6)
    half = ops.softmax_cross_entropy(jnp.zeros((1, 1000), jnp.bfloat16), jnp.array([3]))
    assert half.dtype == jnp.float32
    np.testing.assert_allclose(half, np.log(1000), rtol=1e-6)


def test_softmax_cross_entropy_of_any_leading_shape():
    grid = ops.softmax_cross_entropy(jnp.asarray(LOGITS[:6]).reshape(2, 3, 5), jnp.asarray(LABELS[:6].reshape(2, 3)))
    flat = ops.softmax_cross_entropy(jnp.asarray(LOGITS[:6]), jnp.asarray(LABELS[:6]))
    np.testing.assert_allclose(grid.reshape(-1), flat)
    assert ops.softmax_cross_entropy(jnp.asarray(LOGITS[0]), jnp.int32(2)).shape == ()


@pytest.mark.parametrize(
    "loss",
    [
        ops.softmax_cross_entropy,
        ops.multiclass_hinge,
        ops.rbf_likelihood,
        lambda x, y: ops.rbf_discriminative(x, y, rubbish=1.0),
    ],
)
def test_a_label_outside_is_nan_and_not_a_plausible_number(loss):
    losses = np.asarray(loss(LOGITS[:4], jnp.array([-1, 0, 4, 5])))
    np.testing.assert_array_equal(np.isnan(losses), [True, False, False, True])


def test_sigmoid_cross_entropy():
    x, t = GENERATOR.normal(0, 5, (4, 3)), GENERATOR.uniform(size=(4, 3))
    p = scipy.special.expit(x)
    expected = -t * np.log(p) - (1 - t) * np.log1p(-p)
    np.testing.assert_allclose(ops.sigmoid_cross_entropy(jnp.float32(x), jnp.float32(t)), expected, rtol=1e-5)
    gradient = jax.grad(lambda x: ops.sigmoid_cross_entropy(x, jnp.float32(t)).sum())(jnp.float32(x))
    np.testing.assert_allclose(gradient, p - t, atol=1e-6)


def test_sigmoid_cross_entropy_does_not_overflow():
    loss = ops.sigmoid_cross_entropy(jnp.array([200.0, -200.0, 200.0]), jnp.array([0.0, 1.0, 1.0]))
    np.testing.assert_allclose(loss, [200, 200, 0])


def test_l2():
    a, b = GENERATOR.normal(size=(2, 6, 4)).astype(np.float32)
    np.testing.assert_allclose(ops.l2(a, b), np.linalg.norm(a - b, axis=-1) ** 2, rtol=1e-5)
    np.testing.assert_allclose(jax.grad(lambda x: ops.l2(x, b).sum())(a), 2 * (a - b), rtol=1e-5)


def test_multiclass_hinge_of_the_lectures():
    # CS231n: cat 3.2, car 5.1, frog -1.7 with cat right gives 2.9; ten equal scores give 9.
    np.testing.assert_allclose(ops.multiclass_hinge(jnp.array([[3.2, 5.1, -1.7]]), jnp.array([0])), [2.9], rtol=1e-6)
    np.testing.assert_array_equal(ops.multiclass_hinge(jnp.zeros((2, 10)), jnp.array([0, 9])), [9, 9])


@pytest.mark.parametrize("margin", [1.0, 2.5])
def test_multiclass_hinge(margin):
    expected, gradient = np.zeros(7), np.zeros((7, 5))
    for n, label in enumerate(LABELS):
        for j in range(5):
            violation = LOGITS[n, j] - LOGITS[n, label] + margin
            if j != label and violation > 0:
                expected[n] += violation
                gradient[n, j] += 1
                gradient[n, label] -= 1
    loss = lambda x: ops.multiclass_hinge(x, jnp.asarray(LABELS), margin=margin)  # noqa: E731
    np.testing.assert_allclose(loss(LOGITS), expected, rtol=1e-5)
    np.testing.assert_allclose(jax.grad(lambda x: loss(x).sum())(LOGITS), gradient)


@pytest.mark.parametrize("normalize", [True, False])
def test_pixelwise_loss_leaves_ignored_pixels_out(normalize):
    logits = GENERATOR.normal(size=(3, 4, 6, 5)).astype(np.float32)
    labels = GENERATOR.integers(0, 5, (3, 4, 6))
    labels[0, 1:3, :2] = 255
    labels[2] = 255
    expected = []
    for image, mask in zip(logits, labels, strict=True):
        kept = mask != 255
        log_p = scipy.special.log_softmax(image[kept], -1)[np.arange(kept.sum()), mask[kept]]
        expected.append(-(log_p.mean() if normalize else log_p.sum()) if kept.any() else 0.0)
    loss = lambda x: ops.pixelwise_softmax_cross_entropy(x, jnp.asarray(labels), normalize=normalize)  # noqa: E731
    np.testing.assert_allclose(loss(logits), expected, rtol=1e-5)
    gradient = jax.grad(lambda x: loss(x).sum())(logits)
    np.testing.assert_array_equal(np.abs(gradient).sum(-1) > 0, labels != 255)


def test_pixelwise_loss_in_three_dimensions_and_with_another_ignored_label():
    logits = jnp.zeros((2, 2, 2, 2, 4))
    labels = jnp.zeros((2, 2, 2, 2), jnp.int32).at[0, 0].set(3)
    loss = ops.pixelwise_softmax_cross_entropy(logits, labels, ignore_label=3, normalize=False)
    np.testing.assert_allclose(loss, np.log(4) * np.array([4, 8]), rtol=1e-6)


def test_euclidean_rbf():
    x, prototypes = GENERATOR.normal(size=(3, 84)), GENERATOR.choice([-1.0, 1.0], (10, 84))
    expected = [[np.sum((a - w) ** 2) for w in prototypes] for a in x]
    np.testing.assert_allclose(ops.euclidean_rbf(jnp.float32(x), jnp.float32(prototypes)), expected, rtol=1e-5)
    assert (np.asarray(ops.euclidean_rbf(jnp.float32(prototypes), jnp.float32(prototypes))).diagonal() == 0).all()


def test_rbf_losses():
    penalties = GENERATOR.uniform(0, 30, (7, 5))
    right = penalties[np.arange(7), LABELS]
    labels = jnp.asarray(LABELS)
    np.testing.assert_allclose(ops.rbf_likelihood(jnp.float32(penalties), labels), right, rtol=1e-6)
    for rubbish in (0.1, 3.0):
        expected = right + np.log(np.exp(-rubbish) + np.exp(-penalties).sum(-1))
        loss = ops.rbf_discriminative(jnp.float32(penalties), labels, rubbish=rubbish)
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
    # Far penalties neither overflow nor are pushed further: the rubbish class has taken over.
    far = jnp.full((1, 5), 1e4)
    np.testing.assert_allclose(ops.rbf_discriminative(far, jnp.array([0]), rubbish=2.0), [1e4 - 2], rtol=1e-6)


@pytest.mark.parametrize("name", ["softmax_cross_entropy", "rbf_discriminative"])
def test_gradients_against_finite_differences(name):
    arguments = {"softmax_cross_entropy": {"label_smoothing": 0.1}, "rbf_discriminative": {"rubbish": 1.0}}[name]
    loss = lambda x: getattr(ops, name)(x, jnp.asarray(LABELS), **arguments).mean()  # noqa: E731
    check_grads(loss, (jnp.asarray(LOGITS / 4),), order=1, modes=("rev",), atol=1e-2, rtol=1e-2)


def test_check_labels():
    ops.check_labels(np.array([0, 4]), 5)
    ops.check_labels(np.zeros((0,), np.int32), 5)
    with pytest.raises(DataError, match=r"label -1 at \[1, 0\] is outside 0 to 4 \(2 of 4"):
        ops.check_labels(np.array([[0, 1], [-1, 5]]), 5)
    with pytest.raises(DataError, match=r"label 5 at \[0\]"):
        ops.check_labels(np.array([5]), 5)
    with pytest.raises(DataError, match="float"):
        ops.check_labels(np.array([0.5, np.nan]), 5)
