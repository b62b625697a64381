# %% [markdown]
# # 3. From MLP to LeNet: translation
#
# Move a digit two pixels to the right. To you it is the same digit. To a multi-layer perceptron every input has
# changed, and nothing in its weights says that the two pictures have anything to do with each other. How bad is that?
# What exactly does a convolution do about it? And what does it *not* do?

# %%
import tempfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np

import cnn_jax
from cnn_jax import ops, plotting
from cnn_jax.data.symbols import symbols, symbols_dataset
from cnn_jax.inspect.picture import label_row, mosaic, panels, show_image
from cnn_jax.plotting import MARKERS

plotting.notebook()

# %% [markdown]
# ## Ten symbols
#
# `cnn_jax.data.symbols` draws ten symbols of 3x3 squares under noise, at places of our choice: for training always at
# the left, give or take a pixel. The test pictures are the same three hundred again and again, with the symbol moved
# to the right by 0, 2, 4, ... pixels.

# %%
shifts = range(0, 13, 2)
training, validation = (
    symbols(count, seed=seed, rows=(10, 12), columns=(4, 6)) for seed, count in enumerate((2000, 300))
)
data = symbols_dataset(training, validation)
tests = {shift: symbols(300, seed=2, rows=(10, 12), columns=(4 + shift, 6 + shift)) for shift in shifts}

rows = {"training": training, "moved by 4": tests[4], "moved by 12": tests[12]}
figure = plotting.new_figure(6.4, 1.9)
for axis, (words, split) in zip(figure.subplots(3, 1), rows.items(), strict=True):
    show_image(axis, mosaic(split.image[:10], 10, gap=2))
    label_row(axis, words)
figure

# %% [markdown]
# ## Three networks
#
# - a perceptron with one hidden layer of 100 units,
# - LeNet: two convolutions with pooling, and then fully connected layers,
# - the same convolutions, but in place of the fully connected layers the **mean over all places** of each channel
#   (`head="gap"`), from which a linear layer decides.
#
# All three are trained on symbols at the left only. The last one has batch norm, which lets it take larger steps.

# %%
networks = {
    "MLP": {"name": "mlp:100", "activation": "relu", "initializer": "he"},
    "LeNet": {"name": "lenet", "activation": "relu", "initializer": "he", "pooling": "max"},
    "LeNet, mean over places": {
        "name": "lenet",
        "activation": "relu",
        "initializer": "he",
        "pooling": "max",
        "features": (16, 32),
        "head": "gap",
        "padding": 2,
        "norm": "batch",
    },
}
recipe = {
    "batch_size": 50,
    "total_steps": 200,
    "optimizer": {"name": "momentum", "learning_rate": 0.03},
    "schedule": {"name": "cosine"},
    "eval_every": 200,
    "checkpoint_every": 200,
}
folder = tempfile.TemporaryDirectory()
runs = {}
for name, model in networks.items():
    optimizer = {"name": "momentum", "learning_rate": 0.2 if "norm" in model else 0.03}
    config = {**recipe, "model": model, "optimizer": optimizer}
    cnn_jax.train(config, Path(folder.name) / name, dataset=data, progress=False)
    runs[name] = cnn_jax.load(Path(folder.name) / name)
    table = cnn_jax.show(runs[name].model, (32, 32, 1))
    print(f"{name}: {table.total.params:,} parameters")

# %% [markdown]
# The last one has the fewest parameters by far. One more: the perceptron again, but every training picture is moved
# at random, by up to 35% of its width, each time it is seen, and the training is four times as long.

# %%
cnn_jax.train(
    {**recipe, "model": networks["MLP"], "augment": ("translation:0.35,outside=edge",), "total_steps": 800},
    Path(folder.name) / "augmented",
    dataset=data,
    progress=False,
)
runs["MLP, trained on moved pictures"] = cnn_jax.load(Path(folder.name) / "augmented")

# %% [markdown]
# Now move the symbols of the test pictures away from where they were learnt:

# %% tags=["figure"]
errors = {}
for name, run in runs.items():
    wrong = [run.predict(test.image).argmax(axis=1) != test.label for test in tests.values()]
    errors[name] = [100 * float(part.mean()) for part in wrong]

figure = plotting.new_figure(7.2, 3.0)
axes = figure.subplots()
for (name, values), marker in zip(errors.items(), MARKERS, strict=False):
    axes.plot(shifts, values, marker=marker, label=name)
axes.axhline(90, color="0.6", linewidth=1, linestyle=":")
axes.annotate("guessing", (0, 90), (0, 3), textcoords="offset points", fontsize=8, color="0.4")
axes.set(xlabel="symbols moved to the right by (pixels)", ylabel="test error (%), n = 300 each", ylim=(-2, 100))
axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
figure

# %% [markdown]
# At the left all three networks are good. Away from it the perceptron falls apart within a few pixels. LeNet falls
# apart as well, only later: its convolutions respond to the moved symbol as before, but its fully connected layers
# find the response at places where they have never seen one. Only the network that *forgets the place* by taking the
# mean does not mind.
#
# The perceptron can be taught the same thing the hard way, by pictures of everything everywhere. It then needs to
# learn each symbol at each place.

# %%
gap = "LeNet, mean over places"
assert max(errors["MLP"][0], errors["LeNet"][0]) < 10
assert min(errors["MLP"][2], errors["LeNet"][-1]) > 40
assert errors[gap][-1] < errors["LeNet"][-1] - 20
assert errors["MLP, trained on moved pictures"][2] < errors["MLP"][2] - 20
for name, values in errors.items():
    print(f"{name}: {values[0]:.0f}% where it was learnt, {values[2]:.0f}% at 4 pixels, {values[-1]:.0f}% at 12")

# %% [markdown]
# ## Equivariance: what convolution does
#
# Two words that are easily confused. **Equivariant**: move the input, and the output moves along. **Invariant**: move
# the input, and the output stays. Convolution is equivariant. With wrapped borders that is exact, to the last bit for
# whole numbers:

# %%
rng = np.random.default_rng(0)
picture = training.image[:1].astype(np.float32)
kernel = rng.integers(-3, 4, (3, 3, 1, 4)).astype(np.float32)
move = 6

moved_before = ops.conv(np.roll(picture, move, axis=2), kernel, padding=1, padding_mode="wrap")
moved_after = jnp.roll(ops.conv(picture, kernel, padding=1, padding_mode="wrap"), move, axis=2)
assert (moved_before == moved_after).all()

figure, axes = panels(1, 4, 1.7)
maps = ops.conv(picture, kernel, padding=1, padding_mode="wrap")[0, :, :, 0]
for axis, values, title in zip(
    axes[0],
    (picture[0, :, :, 0], maps, np.roll(picture, move, axis=2)[0, :, :, 0], moved_before[0, :, :, 0]),
    ("image", "its feature map", "image, moved", "its feature map: moved"),
    strict=True,
):
    show_image(axis, values, title, cmap="gray")
figure

# %% [markdown]
# It holds inside with zeros outside, too, but not at the border. With a stride of 2 it holds for moves by two, and
# not by one: the kernel then meets other pixels. And it does not hold for a fully connected layer at all.

# %%
strided = ops.conv(picture, kernel, strides=2, padding=1, padding_mode="wrap")
by_two = ops.conv(np.roll(picture, 2, axis=2), kernel, strides=2, padding=1, padding_mode="wrap")
by_one = ops.conv(np.roll(picture, 1, axis=2), kernel, strides=2, padding=1, padding_mode="wrap")
assert (by_two == jnp.roll(strided, 1, axis=2)).all()
assert not any((by_one == jnp.roll(strided, step, axis=2)).all() for step in range(16))

matrix = rng.integers(-3, 4, (32 * 32, 32 * 32)).astype(np.float32)
connected = (picture.reshape(1, -1) @ matrix).reshape(1, 32, 32)
connected_moved = (np.roll(picture, move, axis=2).reshape(1, -1) @ matrix).reshape(1, 32, 32)
assert not (connected_moved == np.roll(connected, move, axis=2)).all()

# %% [markdown]
# ## Invariance: where it comes from
#
# Pooling gives a little of it. A maximum may wander inside its cell and the result is the same. Here one bright pixel
# goes to each of the 25 places of a 5x5 cell:

# %%
wandering = np.zeros((25, 5, 5, 1), np.float32)
wandering[np.arange(25), np.arange(25) // 5, np.arange(25) % 5] = 1
assert np.unique(ops.max_pool(wandering, 5)).tolist() == [1]

# %% [markdown]
# Past the border of the cell it jumps. Complete invariance comes from a mean (or maximum) over *all* places, and then
# the place is lost for good. For a classifier that is a gain. For a network that is to say *where* something is, it
# would be a disaster.
#
# How much do the answers of our trained networks change, right or wrong? Move the test pictures and add up the
# probability that goes from one class to others.

# %%
still = tests[0].image
figure = plotting.new_figure(7.2, 3.0)
axes = figure.subplots()
for (name, run), marker in zip(runs.items(), MARKERS, strict=False):
    changes = [
        np.abs(run.predict(np.roll(still, move, axis=2)) - run.predict(still)).sum(axis=1) / 2 for move in range(9)
    ]
    axes.plot(range(9), [100 * change.mean() for change in changes], marker=marker, markersize=4, label=name)
axes.set(
    xlabel="picture moved to the right by (pixels)",
    ylabel="probability that moves\nto other classes (%)",
    ylim=(-2, 100),
)
axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
figure

# %% [markdown]
# ## The other half: fewer weights
#
# Sharing a kernel among all places is also a great saving. A fully connected layer from 64x64 pixels to 128 units has
# 524,288 weights. The exercise of the lectures compares two networks on 64x64 pixels with 16 outputs:

# %%
assert 64 * 64 * 128 == 524_288
connected = cnn_jax.show(cnn_jax.create("mlp:256-128-64", num_classes=16), (64, 64, 1)).total
convolutional = cnn_jax.show(
    cnn_jax.create("lenet", features=(16, 16, 16), pool_window=1, pool_strides=1, head_features=(), num_classes=16),
    (64, 64, 1),
).total
print(f"fully connected: {connected.weights:,} weights; three convolutions: {convolutional.weights:,}")
assert connected.weights == 1_090_560
assert convolutional.weights == 705_424

# %% [markdown]
# The saving looks small, and a second look says why: of the 705,424 weights 692,224 are in the one fully connected
# layer at the end. The three convolutions have 13,200.

# %%
assert 52 * 52 * 16 * 16 == 692_224
assert convolutional.weights - 692_224 == 13_200

# %% [markdown]
# ## Exercises
#
# 1. Move the symbols *down* instead of to the right. Do you expect the same curves? Look.
# 2. Train LeNet on moved pictures (`augment`). At which of the shifts is it now better than the perceptron that was
#    trained so, and by how much more than the intervals of 300 test pictures allow?
# 3. Make the symbols larger, smaller, or turn them by 90 degrees. What is convolution equivariant to?
# 4. Replace maximum pooling by `pooling="avg"`, and by none (`pool_window=1`, `pool_strides=1`, with `strides=2`).
#    Which network is the least sensitive to a move by one pixel?
# 5. A mean over places does not care where things are. Shuffle the 8x8 blocks of the pictures. What happens to its
#    errors, and what does that say about what it has learnt?
