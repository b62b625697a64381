"""F: the plain Flax loop, as flax's own `examples/imagenet/train.py` has it.

A Linen network of `nn.Conv`, `nn.BatchNorm`, `nn.max_pool`, `nn.avg_pool`; flax's `TrainState` with optax; one jitted
step a batch with the state donated, batches from the host.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import networks
import numpy as np
import optax
import protocol
from flax.training import train_state


class Layers:
    """What `networks.py` asks for, in Linen. Names of layers stand in one level: `conv2_1.conv1`."""

    relu, tanh = staticmethod(nn.relu), staticmethod(nn.tanh)

    def __init__(self, train):
        self.train = train

    def conv(self, x, name, features, kernel, strides=1, padding=0, groups=1, bias=True):
        """A convolution."""
        layer = nn.Conv(
            features,
            (kernel, kernel),
            strides,
            [(padding, padding)] * 2,
            feature_group_count=groups,
            use_bias=bias,
            name=name.replace("/", "."),
        )
        return layer(x)

    def separable(self, x, name, features, kernel):
        """A convolution by channel, then one over channels."""
        channels = x.shape[-1]
        x = self.conv(x, f"{name}/depthwise", channels, kernel, 1, kernel // 2, channels, bias=False)
        return self.conv(x, f"{name}/pointwise", features, 1, bias=False)

    def norm(self, x, name, epsilon):
        """Batch norm."""
        layer = nn.BatchNorm(not self.train, momentum=0.9, epsilon=epsilon, name=name.replace("/", "."))
        return layer(x)

    def dense(self, x, name, features):
        """A fully connected layer."""
        return nn.Dense(features, name=name)(x)

    def response_norm(self, x, size, alpha, beta, k):
        """Local response norm: Flax has none; shifted slices are the fastest plain form."""
        half, channels = size // 2, x.shape[-1]
        padded = jnp.pad(x * x, ((0, 0), (0, 0), (0, 0), (half, half)))
        total = sum(padded[..., i : i + channels] for i in range(size))
        return x / (k + alpha * total) ** beta

    def max_pool(self, x, window, strides, padding):
        """Max pooling."""
        return nn.max_pool(x, (window, window), (strides, strides), padding.upper())

    def avg_pool(self, x, window, strides):
        """Average pooling."""
        return nn.avg_pool(x, (window, window), (strides, strides))

    def flatten(self, x):
        """[N, H, W, C] to [N, H W C]."""
        return x.reshape(x.shape[0], -1)

    def mean(self, x):
        """Over all positions."""
        return x.mean((1, 2))

    def concat(self, branches):
        """Over channels."""
        return jnp.concatenate(branches, axis=-1)

    def subsample(self, x, features):
        """Every second pixel, and zeros for the channels that are missing."""
        return jnp.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (0, features - x.shape[-1])))


class Network(nn.Module):
    """One of the six."""

    kind: str

    @nn.compact
    def __call__(self, x, train=True):
        """Logits."""
        return networks.NETWORKS[self.kind](Layers(train), x)


class TrainState(train_state.TrainState):
    """As in flax's example."""

    batch_stats: Any


@functools.partial(jax.jit, donate_argnums=0)
def train_step(state, image, label):
    """One update; the state after it and the loss."""

    def loss_fn(params):
        variables = {"params": params, "batch_stats": state.batch_stats}
        logits, changed = state.apply_fn(variables, image, mutable=["batch_stats"])
        one_hot = jax.nn.one_hot(label, logits.shape[-1])
        return optax.softmax_cross_entropy(logits, one_hot).mean(), changed

    (loss, changed), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
    batch_stats = changed.get("batch_stats", state.batch_stats)
    return state.apply_gradients(grads=grads, batch_stats=batch_stats), loss


class Peer:
    """The loop around it."""

    def __init__(self, work):
        self.work, request = work, work.request
        self.network = Network(request["network"])
        self.tx = optax.sgd(request["learning_rate"], momentum=request["momentum"])

    def load(self):
        """The initial weights."""
        variables = {"params": {}, "batch_stats": {}}
        for collection, layer, leaf, array in self.work.layers():
            place = variables[collection].setdefault(layer.replace("/", "."), {})
            place[leaf] = jnp.array(array)
        self.state = TrainState.create(
            apply_fn=self.network.apply, params=variables["params"], tx=self.tx, batch_stats=variables["batch_stats"]
        )

    def step(self, k):
        """One update with batch k."""
        self.state, loss = train_step(self.state, self.work.image[k], self.work.label[k])
        return loss

    def number(self, loss):
        """Waits for the loss and for the update."""
        jax.block_until_ready(self.state.params)
        return float(np.asarray(loss))


if __name__ == "__main__":
    protocol.serve(Peer, ("flax", "jax", "jaxlib", "optax"))
