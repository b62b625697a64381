"""mixup and cutmix: shares, areas, targets, and who is whose partner."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from cnn_jax import ops
from cnn_jax.errors import ConfigError

SIZE, CLASSES = 512, 7
GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.integers(0, CLASSES, SIZE)
TARGETS = np.eye(CLASSES, dtype=np.float32)[LABELS]
IMAGES = GENERATOR.random((SIZE, 9, 12, 2), np.float32)
KEYS = jax.random.split(jax.random.key(4), SIZE)
OTHER = np.arange(SIZE) ^ 1


def _targets_of(share):
    return share[:, None] * TARGETS + (1 - share[:, None]) * TARGETS[OTHER]


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_mixup_blends_partners_by_shares_from_the_beta_distribution(alpha):
    images, targets = map(np.asarray, jax.jit(lambda *a: ops.mixup(*a, alpha=alpha))(KEYS, IMAGES, TARGETS))
    difference = IMAGES - IMAGES[OTHER]
    share = ((images - IMAGES[OTHER]) * difference).sum((1, 2, 3)) / (difference**2).sum((1, 2, 3))
    blend = share[:, None, None, None]
    np.testing.assert_allclose(images, blend * IMAGES + (1 - blend) * IMAGES[OTHER], atol=1e-5)
    np.testing.assert_allclose(targets, _targets_of(share), atol=1e-5)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    assert scipy.stats.kstest(np.clip(share, 0, 1), scipy.stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_cutmix_pastes_a_rectangle_and_counts_its_pixels():
    images, targets = map(np.asarray, jax.jit(ops.cutmix)(KEYS, IMAGES, TARGETS))
    shares = []
    for i in range(SIZE):
        pasted = (images[i] == IMAGES[OTHER[i]]).all(-1)
        rows, columns = np.nonzero(pasted)
        reference = IMAGES[i].copy()
        if len(rows):
            cut = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            reference[cut] = IMAGES[OTHER[i]][cut]
        np.testing.assert_array_equal(images[i], reference)
        shares.append(1 - pasted.mean())
    np.testing.assert_allclose(targets, _targets_of(np.array(shares)), atol=1e-6)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    # Uniform areas, of which some are cut off by the border.
    assert min(shares) < 0.1
    assert max(shares) > 0.97
    assert 0.5 < np.mean(shares) < 0.75


def test_bytes_stay_bytes():
    images = GENERATOR.integers(0, 256, (SIZE, 3, 3, 1), np.uint8)
    images[:2] = 255
    for mix in (ops.mixup, ops.cutmix):
        mixed, _ = jax.jit(mix)(KEYS, images, TARGETS)
        assert mixed.dtype == jnp.uint8
        assert (mixed[:2] == 255).all()
        low, high = np.minimum(images, images[OTHER]), np.maximum(images, images[OTHER])
        assert (mixed >= low).all()
        assert (mixed <= high).all()


def test_probability_says_how_many_are_mixed():
    for mix in (ops.mixup, ops.cutmix):
        images, targets = jax.jit(lambda *a, mix=mix: mix(*a, probability=0.3))(KEYS, IMAGES, TARGETS)
        alone = (np.asarray(images) == IMAGES).all((1, 2, 3))
        assert 0.6 < alone.mean() < 0.8
        np.testing.assert_array_equal(np.asarray(targets)[alone], TARGETS[alone])


def test_a_batch_in_even_parts_is_the_whole_batch():
    for mix in (ops.mixup, ops.cutmix):
        mix = jax.jit(mix)
        whole = mix(KEYS[:24], IMAGES[:24], TARGETS[:24])
        parts = [mix(KEYS[i : i + 6], IMAGES[i : i + 6], TARGETS[i : i + 6]) for i in range(0, 24, 6)]
        for one, many in zip(whole, zip(*parts, strict=True), strict=True):
            np.testing.assert_array_equal(one, np.concatenate(many))


def test_an_odd_batch_is_refused():
    with pytest.raises(ConfigError, match=r"E-CONF-130.*even"):
        ops.mixup(KEYS[:3], jnp.asarray(IMAGES[:3]), jnp.asarray(TARGETS[:3]))


def test_the_loss_of_soft_targets():
    logits = GENERATOR.normal(size=(SIZE, CLASSES)).astype(np.float32) * 3
    share = GENERATOR.random(SIZE, np.float32)
    got = ops.soft_target_cross_entropy(jnp.asarray(logits), jnp.asarray(_targets_of(share)), label_smoothing=0.1)
    own, other = (
        ops.softmax_cross_entropy(jnp.asarray(logits), jnp.asarray(labels), label_smoothing=0.1)
        for labels in (LABELS, LABELS[OTHER])
    )
    np.testing.assert_allclose(got, share * own + (1 - share) * other, rtol=1e-5, atol=1e-5)
