"""What every network repeats: convolution, norm, activation; and the fully connected head.

These are functions that open their layers in the module being traced, so that parameter paths stay flat: `conv3_1`,
`conv3_1_bn`, `conv3_1_relu`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from cnn_jax.nn.activation import Activation, Dropout
from cnn_jax.nn.conv import Conv, Dense
from cnn_jax.nn.initializers import classifier_initializer, initializer
from cnn_jax.nn.norm import LOCAL_NORMS
from cnn_jax.nn.norm import norm as apply_norm


def conv_norm_act(
    x: jax.Array,
    features: int,
    kernel_size: int,
    *,
    name: str,
    padding: Any,
    strides: int = 1,
    feature_group_count: int = 1,
    use_bias: bool = True,
    padding_mode: str = "zeros",
    norm: str = "none",
    activation: str = "relu",
    initializer_name: str = "he",
    bias: str = "zeros",
    epsilon: float = 1e-5,
    train: bool,
) -> jax.Array:
    """Convolution `name`, norm `name_bn`, activation `name_<activation>`.

    Local norms are not applied here: they follow the activation, at places each paper names (`local_norm`).

    Args:
        x: [N, H, W, C].
        features: output channels.
        kernel_size: side of the square kernel.
        name: of the convolution.
        padding: as in `nn.Conv`.
        strides: as in `nn.Conv`.
        feature_group_count: as in `nn.Conv`.
        use_bias: as in `nn.Conv`.
        padding_mode: as in `nn.Conv`.
        norm: a norm's name; "none" and the local norms add nothing.
        activation: an activation's name; "identity" adds nothing.
        initializer_name: of the kernel.
        bias: initialiser of the bias.
        epsilon: of the norm.
        train: whether batch statistics are the batch's.
    """
    x = Conv(
        features,
        kernel_size,
        strides,
        padding=padding,
        feature_group_count=feature_group_count,
        use_bias=use_bias,
        padding_mode=padding_mode,
        kernel_init=initializer(initializer_name),
        bias_init=initializer(bias),
        name=name,
    )(x)
    if norm not in LOCAL_NORMS:
        suffix = "bn" if norm == "batch" else norm
        x = apply_norm(x, norm, name=f"{name}_{suffix}", train=train, epsilon=epsilon)
    return x if activation == "identity" else Activation(activation, name=f"{name}_{activation}")(x)


def fc_head(
    x: jax.Array,
    features: Sequence[int],
    num_classes: int,
    *,
    first: int = 6,
    activation: str = "relu",
    dropout: float = 0.0,
    dropout_first: bool = False,
    initializer_name: str = "he",
    bias: str = "zeros",
    train: bool,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The head of AlexNet and its heirs: flatten, hidden layers `fc6`, `fc7`, ..., then the classifier.

    Args:
        x: [N, H, W, C] or [N, C].
        features: units of the hidden layers; () for none.
        num_classes: units of the classifier.
        first: number of the first layer.
        activation: of the hidden layers.
        dropout: rate, at each hidden layer.
        dropout_first: drop the inputs of the hidden layers (torchvision's AlexNet), not their outputs (the paper).
        initializer_name: of the kernels.
        bias: initialiser of the hidden layers' biases.
        train: whether to drop.

    Returns:
        logits [N, num_classes] and the taps, one per hidden layer.
    """
    taps = {}
    x = x.reshape(x.shape[0], -1)
    kernel_init = initializer(initializer_name)
    for number, units in enumerate(features, first):
        drop = Dropout(dropout, name=f"drop{number}")
        x = drop(x, train=train) if dropout_first else x
        x = Dense(units, kernel_init=kernel_init, bias_init=initializer(bias), name=f"fc{number}")(x)
        x = Activation(activation, name=f"fc{number}_{activation}")(x)
        x = x if dropout_first else drop(x, train=train)
        taps[f"fc{number}"] = x
    return Dense(num_classes, kernel_init=classifier_initializer(initializer_name), name=f"fc{first + len(features)}")(
        x
    ), taps
