"""K: Keras 3 on the JAX backend, by the fastest way its guides show.

That is "Writing a training loop from scratch in JAX": `stateless_call`, `optimizer.stateless_apply` and a jitted step
whose state stays on the device between steps; on top of that the state is donated. `train_on_batch` and `fit` keep the
model's variables up to date around the same step, which can only cost them more.
"""

# pyright: reportMissingImports=false

import os
import time

os.environ["KERAS_BACKEND"] = "jax"

import functools

import jax
import keras
import networks
import numpy as np
import protocol
from keras import layers, ops


@keras.saving.register_keras_serializable("bench")
class ResponseNorm(layers.Layer):
    """Local response norm: Keras has none; shifted slices are the fastest plain form."""

    def __init__(self, size, alpha, beta, k, **options):
        super().__init__(**options)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def call(self, x):
        """[N, H, W, C]."""
        half, channels = self.size // 2, x.shape[-1]
        padded = ops.pad(x * x, [(0, 0), (0, 0), (0, 0), (half, half)])
        total = sum(padded[..., i : i + channels] for i in range(self.size))
        return x / (self.k + self.alpha * total) ** self.beta


class Layers:
    """What `networks.py` asks for, as Keras layers. Names have dots for slashes."""

    relu, tanh = staticmethod(layers.ReLU()), staticmethod(layers.Activation("tanh"))

    def conv(self, x, name, features, kernel, strides=1, padding=0, groups=1, bias=True):
        """A convolution; "same" would pad stride 2 on one side only, so that padding is a layer there."""
        same = strides == 1 and padding == kernel // 2
        x = x if same or not padding else layers.ZeroPadding2D(padding)(x)
        layer = layers.Conv2D(
            features,
            kernel,
            strides,
            padding="same" if same else "valid",
            groups=groups,
            use_bias=bias,
            name=name.replace("/", "."),
        )
        return layer(x)

    def separable(self, x, name, features, kernel):
        """Keras's own layer, as in its Xception."""
        return layers.SeparableConv2D(features, kernel, padding="same", use_bias=False, name=name)(x)

    def norm(self, x, name, epsilon):
        """Batch norm."""
        return layers.BatchNormalization(momentum=0.9, epsilon=epsilon, name=name.replace("/", "."))(x)

    def dense(self, x, name, features):
        """A fully connected layer."""
        return layers.Dense(features, name=name)(x)

    def response_norm(self, x, size, alpha, beta, k):
        """Local response norm."""
        return ResponseNorm(size, alpha, beta, k)(x)

    def max_pool(self, x, window, strides, padding):
        """Max pooling."""
        return layers.MaxPooling2D(window, strides, padding)(x)

    def avg_pool(self, x, window, strides):
        """Average pooling."""
        return layers.AveragePooling2D(window, strides)(x)

    def flatten(self, x):
        """[N, H, W, C] to [N, H W C]."""
        return layers.Flatten()(x)

    def mean(self, x):
        """Over all positions."""
        return layers.GlobalAveragePooling2D()(x)

    def concat(self, branches):
        """Over channels."""
        return layers.Concatenate()(branches)

    def subsample(self, x, features):
        """Every second pixel, and zeros for the channels that are missing."""
        return ops.pad(x[:, ::2, ::2], [(0, 0), (0, 0), (0, 0), (0, features - x.shape[-1])])


_LEAVES = {"kernel": "kernel", "bias": "bias", "scale": "gamma", "mean": "moving_mean", "var": "moving_variance"}


def build(kind, shape):
    """The network as a functional model."""
    inputs = keras.Input(shape)
    return keras.Model(inputs, networks.NETWORKS[kind](Layers(), inputs))


def named(work):
    """Keras's path of every array, and the array as Keras has it."""
    norms = {layer for _, layer, leaf, _ in work.layers() if leaf == "scale"}
    for _, layer, leaf, array in work.layers():
        place, variable = layer.replace("/", "."), _LEAVES[leaf]
        variable = "beta" if layer in norms and leaf == "bias" else variable
        for part in ("depthwise", "pointwise"):
            if layer.endswith(f"/{part}"):
                place, variable = layer.removesuffix(f"/{part}"), f"{part}_kernel"
                array = array.transpose(0, 1, 3, 2) if part == "depthwise" else array
        yield f"{place}/{variable}", array


class Peer:
    """The loop of Keras's guide."""

    def __init__(self, work):
        self.work, self.kind = work, work.request["network"]
        self._build()

    def _build(self):
        self.model = model = build(self.kind, self.work.image.shape[2:])
        rate, momentum = self.work.request["learning_rate"], self.work.request["momentum"]
        self.optimizer = optimizer = keras.optimizers.SGD(rate, momentum=momentum)
        optimizer.build(model.trainable_variables)
        loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

        def loss(trainable, frozen, image, label):
            logits, frozen = model.stateless_call(trainable, frozen, image, training=True)
            return loss_of(label, logits), frozen

        @functools.partial(jax.jit, donate_argnums=0)
        def step(state, image, label):
            trainable, frozen, slots = state
            (value, frozen), grads = jax.value_and_grad(loss, has_aux=True)(trainable, frozen, image, label)
            trainable, slots = optimizer.stateless_apply(slots, grads, trainable)
            return (trainable, frozen, slots), value

        self._step = step

    def load(self):
        """The initial weights."""
        variables = {variable.path: variable for variable in self.model.variables}
        for path, array in named(self.work):
            variables[path].assign(array)
        self._start()

    def _start(self):
        held = (self.model.trainable_variables, self.model.non_trainable_variables)
        # Copies: the state is donated, and the model's variables are wanted again. The optimiser starts from zero.
        trainable, frozen = ([jax.numpy.array(np.asarray(v.value)) for v in group] for group in held)
        slots = [jax.numpy.array(np.asarray(v.value)) for v in self.optimizer.variables]
        self.state = (trainable, frozen, slots)

    def step(self, k):
        """One update with batch k."""
        self.state, loss = self._step(self.state, self.work.image[k], self.work.label[k])
        return loss

    def number(self, loss):
        """Waits for the loss and for the update."""
        jax.block_until_ready(self.state)
        return float(np.asarray(loss))

    def runs(self, message):
        """Several runs one after another, as a loop over seeds makes them: each builds its model and compiles it."""
        started = time.perf_counter()
        losses = []
        for seed in message["seeds"]:
            keras.utils.set_random_seed(seed)
            self._build()
            self._start()
            loss = None
            for i in range(message["steps"]):
                loss = self.step(i % len(self.work.label))
            losses.append(self.number(loss))
        return {"seconds": time.perf_counter() - started, "losses": losses}


if __name__ == "__main__":
    protocol.serve(Peer, ("keras", "jax", "jaxlib"), {"runs": Peer.runs})
