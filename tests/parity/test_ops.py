"""Operations against PyTorch, forward and gradient, to 1e-5: ours in float32, PyTorch's in float64.

Every case is two functions of the same arrays in the layouts of this package; the reference moves channels itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[parity]'")
F = torch.nn.functional

pytestmark = pytest.mark.parity
TOLERANCE = 1e-5


class Case(NamedTuple):
    """Both functions take the arrays; all of them are differentiated."""

    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def ties(seed: int, *shape: int) -> np.ndarray:
    """Few different values, so that most windows hold their maximum more than once."""
    return np.random.default_rng(seed).integers(0, 3, size=shape).astype(np.float32)


def first(x):
    """[N, spatial..., C] to [N, C, spatial...]."""
    return x.movedim(-1, 1)


def last(x):
    """[N, C, spatial...] to [N, spatial..., C]."""
    return x.movedim(1, -1)


def weights(kernel):
    """[spatial..., in, out] to [out, in, spatial...]."""
    return kernel.movedim((-1, -2), (0, 1))


def assert_close(actual, expected):
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    scale = max(1.0, np.abs(expected).max(initial=0.0))
    assert np.abs(actual - expected).max(initial=0.0) <= TOLERANCE * scale


def check(case: Case) -> None:
    """Values, and gradients of a fixed random projection of them, in all arrays."""

    @jax.jit
    def run(*arrays):
        y, pull = jax.vjp(case.ours, *arrays)
        return y, pull(jnp.asarray(normal(99, *y.shape)))

    y, gradients = run(*map(jnp.asarray, case.arrays))
    tensors = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in case.arrays]
    reference = case.theirs(*tensors)
    (reference * torch.tensor(normal(99, *reference.shape), dtype=torch.float64)).sum().backward()
    assert_close(y, reference.detach())
    for gradient, tensor in zip(gradients, tensors, strict=True):
        assert_close(gradient, tensor.grad)


X = normal(0, 2, 7, 9, 6)
IMAGES = {1: normal(0, 2, 11, 6), 2: X, 3: normal(0, 2, 5, 6, 7, 6)}
TORCH_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TORCH_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


Sizes = int | tuple[int, ...]


def convolution(
    kernel_size: tuple[int, ...], strides: Sizes = 1, padding: Sizes = 0, dilation: Sizes = 1, groups: int = 1
) -> Case:
    rank = len(kernel_size)
    options = {"strides": strides, "padding": padding, "kernel_dilation": dilation, "feature_group_count": groups}
    return Case(
        lambda x, k: ops.conv(x, k, **options),
        lambda x, k: last(TORCH_CONV[rank](first(x), weights(k), None, strides, padding, dilation, groups)),
        (IMAGES[rank], normal(1, *kernel_size, 6 // groups, 4 if 4 % groups == 0 else 2 * groups)),
    )


def transposed(
    kernel_size: tuple[int, ...], strides: Sizes = 1, padding: Sizes = 0, output_padding: Sizes = 0,
    dilation: Sizes = 1, groups: int = 1,
) -> Case:  # fmt: skip
    rank = len(kernel_size)
    return Case(
        lambda x, k: ops.conv_transpose(
            x, k, strides=strides, padding=padding, kernel_dilation=dilation, feature_group_count=groups,
            output_padding=output_padding,
        ),
        lambda x, k: last(
            TORCH_TRANSPOSED[rank](first(x), weights(k), None, strides, padding, output_padding, groups, dilation)
        ),
        (IMAGES[rank], normal(1, *kernel_size, 2, 6)),
    )  # fmt: skip


def bordered(mode: str) -> Case:
    """Every mode is a choice of pixels, which PyTorch gathers."""
    rows, columns = np.arange(7), np.arange(9)
    picked = [np.pad(line, width, mode=mode) for line, width in ((rows, (2, 1)), (columns, (0, 3)))]  # pyright: ignore
    return Case(
        lambda x, k: ops.conv(x, k, padding=((2, 1), (0, 3)), padding_mode=mode),
        lambda x, k: last(F.conv2d(first(x)[:, :, picked[0]][:, :, :, picked[1]], weights(k))),
        (X, normal(1, 3, 3, 6, 4)),
    )


CONVOLUTIONS = {
    "conv 3x3": convolution((3, 3)),
    "conv 5x3/2x3 padded": convolution((5, 3), strides=(2, 3), padding=(2, 1)),
    "conv dilated": convolution((3, 2), padding=2, dilation=(2, 3)),
    "conv dilated, strided": convolution((3, 3), strides=2, padding=(2, 1), dilation=2),
    "conv 2 groups": convolution((3, 3), padding=1, groups=2),
    "conv depthwise": convolution((3, 3), padding=1, groups=6),
    "conv 1-D": convolution((3,), strides=2, padding=1, dilation=2),
    "conv 3-D": convolution((2, 3, 3), strides=(1, 2, 1), padding=1),
    "true convolution": Case(
        lambda x, k: ops.convolve(x, k, padding=1),
        lambda x, k: last(F.conv2d(first(x), weights(k.flip(0, 1)), padding=1)),
        (X, normal(1, 3, 3, 6, 4)),
    ),
    "transposed 3x3": transposed((3, 3)),
    "transposed 4x4/2 pad 1": transposed((4, 4), strides=2, padding=1),
    "transposed output padding": transposed((3, 2), strides=(2, 3), padding=(1, 0), output_padding=(1, 2)),
    "transposed dilated": transposed((3, 3), strides=2, padding=2, output_padding=1, dilation=2),
    "transposed 3 groups": transposed((3, 3), strides=2, padding=1, output_padding=1, groups=3),
    "transposed dilated, 2 groups": transposed((2, 3), strides=(1, 2), dilation=(3, 2), groups=2),
    "transposed 1-D": transposed((4,), strides=3, padding=1, output_padding=2),
    "transposed 3-D": transposed((2, 3, 3), strides=(1, 2, 2), padding=(0, 1, 1), output_padding=(0, 1, 0)),
} | {f"padded by {mode}": bordered(mode) for mode in ("wrap", "edge", "reflect", "symmetric")}


def pooled(name: str, x: np.ndarray, window, strides, padding=0, *, ceil=False, **options) -> Case:
    rank = x.ndim - 2

    def ours(x):
        pads = ops.ceil_padding(x.shape[1:-1], (window,) * rank, (strides,) * rank, padding) if ceil else padding
        return getattr(ops, f"{name}_pool")(x, window, strides=strides, padding=pads, **options)

    def theirs(x):
        if name == "avg":
            pool = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[rank]
            include = options.get("count_include_pad", False)
            return last(pool(first(x), window, strides, padding, ceil_mode=ceil, count_include_pad=include))
        pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[rank]
        sign = -1 if name == "min" else 1
        return sign * last(pool(sign * first(x), window, strides, padding, ceil_mode=ceil))

    return Case(ours, theirs, (x,))


TIED = ties(0, 2, 8, 9, 3)
POOLS = {
    "max 2x2": pooled("max", X, 2, 2),
    "max 3x3/2 overlapping": pooled("max", X, 3, 2),
    "max with ties, 2x2": pooled("max", TIED, 2, 2),
    "max with ties, 3x3/2": pooled("max", TIED, 3, 2),
    "max with ties, 3x3/1 padded": pooled("max", TIED, 3, 1, 1),
    "max with ties, ceil": pooled("max", TIED, 3, 2, ceil=True),
    "max with ties, ceil, padded": pooled("max", TIED, 3, 2, 1, ceil=True),
    "max with ties, 1-D": pooled("max", ties(0, 2, 11, 3), 3, 2, 1),
    "max with ties, 3-D": pooled("max", ties(0, 2, 5, 6, 5, 3), 2, 2),
    "min with ties": pooled("min", TIED, 3, 2),
    "avg 2x2": pooled("avg", X, 2, 2),
    "avg padded, padding counted": pooled("avg", X, 3, 2, 1, count_include_pad=True),
    "avg padded, pixels counted": pooled("avg", X, 3, 2, 1, count_include_pad=False),
    "avg ceil": pooled("avg", TIED, 3, 2, ceil=True),
    "avg ceil, padded": pooled("avg", X, 3, 2, 1, ceil=True),
    "avg 1-D": pooled("avg", IMAGES[1], 3, 2, 1, count_include_pad=True),
    "avg 3-D": pooled("avg", IMAGES[3], 2, 2),
    "global avg": Case(ops.global_avg_pool, lambda x: F.adaptive_avg_pool2d(first(x), 1).flatten(1), (X,)),
    "global max with ties": Case(
        ops.global_max_pool, lambda x: F.max_pool2d(first(x), (8, 9)).flatten(1), (TIED,)
    ),
    "unpooling": Case(
        lambda y: ops.unpool(y, ops.max_pool_switches(jnp.asarray(TIED), 2)[1], (8, 9), 2),
        lambda y: last(
            F.max_unpool2d(
                first(y), F.max_pool2d(first(torch.tensor(TIED)), 2, return_indices=True)[1], 2, output_size=(8, 9)
            )
        ),
        (normal(2, 2, 4, 4, 3),),
    ),
}  # fmt: skip

SCALE, BIAS = normal(3, 6) + 1, normal(4, 6)
SHIFTED = 2 * X + 1


def contrast(x, size: int):
    """Jarrett et al. 2009, section 2, by PyTorch's convolution."""
    position = torch.arange(size, dtype=x.dtype) - size // 2
    line = torch.exp(-((position / (size / 4)) ** 2) / 2)
    window = torch.outer(line, line)[None, None]
    x = first(x)
    mass = F.conv2d(torch.ones_like(x[:1, :1]), window, padding=size // 2)
    x = x - F.conv2d(x.mean(1, keepdim=True), window, padding=size // 2) / mass
    deviation = (F.conv2d((x**2).mean(1, keepdim=True), window, padding=size // 2) / mass).sqrt()
    return last(x / torch.maximum(deviation, deviation.mean((2, 3), keepdim=True)))


def batch_normed(x, scale, bias):
    mean, variance = (m.reshape(-1) for m in ops.moments(x, (0, 1, 2)))
    return ops.batch_norm(x, mean, variance, scale, bias)


NORMS = {
    "batch, training": Case(
        batch_normed, lambda x, s, b: last(F.batch_norm(first(x), None, None, s, b, training=True)),
        (SHIFTED, SCALE, BIAS),
    ),
    "batch, running statistics": Case(
        ops.batch_norm,
        lambda x, m, v, s, b: (x - m) / torch.sqrt(v + 1e-5) * s + b,
        (SHIFTED, normal(5, 6), normal(6, 6) ** 2 + 1, SCALE, BIAS),
    ),
    "layer": Case(
        ops.layer_norm, lambda x, s, b: F.layer_norm(x, x.shape[1:]) * s + b, (SHIFTED, SCALE, BIAS)
    ),
    "instance": Case(
        ops.instance_norm, lambda x, s, b: last(F.instance_norm(first(x), None, None, s, b)), (SHIFTED, SCALE, BIAS)
    ),
    "group": Case(
        lambda x, s, b: ops.group_norm(x, 3, s, b), lambda x, s, b: last(F.group_norm(first(x), 3, s, b)),
        (SHIFTED, SCALE, BIAS),
    ),
    "local response, Caffe's alpha": Case(
        lambda x: ops.local_response_norm(x, size=5, alpha=0.5, beta=0.75, k=1.0, divide_by_n=True),
        lambda x: last(F.local_response_norm(first(x), 5, alpha=0.5, beta=0.75, k=1.0)), (SHIFTED,),
    ),
    "local response, the paper's alpha": Case(
        lambda x: ops.local_response_norm(x, size=3, alpha=0.5, beta=0.5, k=2.0),
        lambda x: last(F.local_response_norm(first(x), 3, alpha=3 * 0.5, beta=0.5, k=2.0)), (SHIFTED,),
    ),
    "local contrast": Case(lambda x: ops.contrast_norm(x, size=5), lambda x: contrast(x, 5), (SHIFTED,)),
}  # fmt: skip

ACTIVATIONS = {
    "identity": (ops.identity, lambda x: x),
    "relu": (ops.relu, F.relu),
    "sigmoid": (ops.sigmoid, torch.sigmoid),
    "tanh": (ops.tanh, torch.tanh),
    "scaled tanh": (ops.scaled_tanh, lambda x: 1.7159 * torch.tanh(2 * x / 3)),
    "leaky relu": (ops.leaky_relu, lambda x: F.leaky_relu(x, 0.01)),
    "leaky relu 0.2": (lambda x: ops.leaky_relu(x, 0.2), lambda x: F.leaky_relu(x, 0.2)),
    "elu": (ops.elu, F.elu),
    "elu 0.5": (lambda x: ops.elu(x, 0.5), lambda x: F.elu(x, 0.5)),
    "maxout": (ops.maxout, lambda x: x.unflatten(-1, (3, 2)).max(-1).values),
    "maxout of 3": (lambda x: ops.maxout(x, 3), lambda x: x.unflatten(-1, (2, 3)).max(-1).values),
}
POINTWISE = {name: Case(ours, theirs, (X,)) for name, (ours, theirs) in ACTIVATIONS.items()} | {
    "prelu": Case(ops.prelu, lambda x, a: last(F.prelu(first(x), a)), (X, normal(1, 6))),
    "prelu, one slope": Case(
        lambda x, a: ops.prelu(x, a.reshape(())), lambda x, a: F.prelu(x, a), (X, normal(1, 1))
    ),
}  # fmt: skip


def resized(size, **options) -> Case:
    return Case(
        lambda x: ops.resize(x, size, **options),
        lambda x: last(
            F.interpolate(first(x), size, mode="nearest-exact")
            if options.get("method") == "nearest"
            else F.interpolate(first(x), size, mode="bilinear", align_corners=False, **options)
        ),
        (X,),
    )


def bed_of_nails(x):
    """A transposed convolution by one tap of 1 in the corner of a 3x3 block."""
    tap = torch.zeros(6, 1, 3, 3, dtype=x.dtype)
    tap[:, :, 0, 0] = 1
    return last(F.conv_transpose2d(first(x), tap, stride=3, groups=6))


RESIZES = {
    "bilinear larger": resized((14, 20)),
    "bilinear smaller": resized((4, 5)),
    "bilinear smaller, antialiased": resized((4, 5), antialias=True),
    "nearest larger": resized((12, 10), method="nearest"),
    "nearest smaller": resized((4, 5), method="nearest"),
    "upsample nearest": Case(
        lambda x: ops.upsample(x, 3), lambda x: last(F.interpolate(first(x), scale_factor=3)), (X,)
    ),
    "upsample bilinear": Case(
        lambda x: ops.upsample(x, 2, method="bilinear"),
        lambda x: last(F.interpolate(first(x), scale_factor=2, mode="bilinear", align_corners=False)), (X,),
    ),
    "upsample bed of nails": Case(lambda x: ops.upsample(x, 3, method="bed_of_nails"), bed_of_nails, (X,)),
}  # fmt: skip

LOGITS, LABELS = 3 * normal(0, 8, 5), np.array([0, 4, 1, 1, 3, 2, 0, 4])
MAPS = normal(1, 2, 4, 5, 3)
MAP_LABELS = np.where(normal(2, 2, 4, 5) > 0.8, 255, np.random.default_rng(3).integers(0, 3, (2, 4, 5)))
TARGETS = np.random.default_rng(4).uniform(size=(8, 5)).astype(np.float32)


def torch_rbf(x, prototypes, *, rubbish: float):
    penalties = torch.cdist(x, prototypes) ** 2
    right = penalties[torch.arange(8), torch.tensor(LABELS)]
    with_rubbish = torch.cat([-penalties, torch.full((8, 1), -rubbish, dtype=x.dtype)], 1)
    return right + torch.logsumexp(with_rubbish, 1)


LOSSES = {
    "softmax": Case(
        lambda z: ops.softmax_cross_entropy(z, jnp.asarray(LABELS)),
        lambda z: F.cross_entropy(z, torch.tensor(LABELS), reduction="none"), (LOGITS,),
    ),
    "softmax, smoothed": Case(
        lambda z: ops.softmax_cross_entropy(z, jnp.asarray(LABELS), label_smoothing=0.1),
        lambda z: F.cross_entropy(z, torch.tensor(LABELS), reduction="none", label_smoothing=0.1), (LOGITS,),
    ),
    "pixel-wise, mean of what counts": Case(
        lambda z: ops.pixelwise_softmax_cross_entropy(z, jnp.asarray(MAP_LABELS)),
        lambda z: torch.stack([
            F.cross_entropy(first(z)[i : i + 1], torch.tensor(MAP_LABELS[i : i + 1]), ignore_index=255)
            for i in range(2)
        ]), (MAPS,),
    ),
    "pixel-wise, sum": Case(
        lambda z: ops.pixelwise_softmax_cross_entropy(z, jnp.asarray(MAP_LABELS), normalize=False),
        lambda z: F.cross_entropy(
            first(z), torch.tensor(MAP_LABELS), ignore_index=255, reduction="none"
        ).sum((1, 2)), (MAPS,),
    ),
    "logistic": Case(
        lambda z: ops.sigmoid_cross_entropy(z, jnp.asarray(TARGETS)),
        lambda z: F.binary_cross_entropy_with_logits(z, torch.tensor(TARGETS).double(), reduction="none"), (LOGITS,),
    ),
    "L2": Case(
        lambda x, t: ops.l2(x, t), lambda x, t: F.mse_loss(x, t, reduction="none").sum(-1), (LOGITS, TARGETS)
    ),
    "hinge": Case(
        lambda z: ops.multiclass_hinge(z, jnp.asarray(LABELS)),
        # PyTorch divides by the number of classes.
        lambda z: 5 * F.multi_margin_loss(z, torch.tensor(LABELS), reduction="none"), (LOGITS,),
    ),
    "Euclidean RBF": Case(ops.euclidean_rbf, lambda x, w: torch.cdist(x, w) ** 2, (LOGITS, normal(7, 3, 5))),
    "Euclidean RBF, likelihood": Case(
        lambda x, w: ops.rbf_likelihood(ops.euclidean_rbf(x, w), jnp.asarray(LABELS)),
        lambda x, w: F.mse_loss(x, w[torch.tensor(LABELS)], reduction="none").sum(-1), (LOGITS, normal(7, 5, 5)),
    ),
    "Euclidean RBF, discriminative": Case(
        lambda x, w: ops.rbf_discriminative(ops.euclidean_rbf(x, w), jnp.asarray(LABELS), rubbish=4.0),
        lambda x, w: torch_rbf(x, w, rubbish=4.0), (LOGITS, normal(7, 5, 5)),
    ),
}  # fmt: skip

EVERY = {
    f"{group}: {name}": case
    for group, cases in {
        "convolution": CONVOLUTIONS, "pooling": POOLS, "norm": NORMS, "activation": POINTWISE, "resize": RESIZES,
        "loss": LOSSES,
    }.items()
    for name, case in cases.items()
}  # fmt: skip


@pytest.mark.parametrize("case", EVERY.values(), ids=EVERY.keys())
def test_value_and_gradients_are_those_of_torch(case):
    check(case)


def test_the_first_maximum_of_a_window_gets_the_gradient():
    """PyTorch's rule and lax's: first in row-major order. A framework that splits it would give a quarter to each."""
    x = np.ones((1, 2, 2, 1), np.float32)
    ours = jax.grad(lambda x: ops.max_pool(x, 2).sum())(jnp.asarray(x))
    tensor = torch.ones(1, 1, 2, 2, requires_grad=True)
    F.max_pool2d(tensor, 2).sum().backward()
    assert tensor.grad is not None
    assert ours[0, :, :, 0].tolist() == tensor.grad[0, 0].tolist() == [[1, 0], [0, 0]]
