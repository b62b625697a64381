# %% [markdown]
# # 4. AlexNet and its tricks
#
# In 2012 an average of seven networks of one kind won the ImageNet competition with 15.3% top-5 error; the next best
# entry had 26.2%. Convolutions were over twenty years old by then. So what was new? The paper lists it, section by
# section: ReLU, two GPUs, response normalisation, overlapping pooling, augmentation, dropout (Krizhevsky et al. 2012,
# sections 3 and 4). We take each in turn, and ask what it does and what it costs.

# %%
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import cnn_jax
from cnn_jax import analysis, ops, plotting
from cnn_jax.data import shapes
from cnn_jax.data.symbols import symbols, symbols_dataset
from cnn_jax.inspect.picture import mosaic, panels, show_image
from cnn_jax.plotting import PALETTE
from cnn_jax.train.population import Member, train_population
from cnn_jax.train.progress import Silence

plotting.notebook()

# %% [markdown]
# The network as a picture: each box is a map, as high as it has pixels along a side, with its channels written under
# it.

# %% tags=["figure"]
table = analysis.show_named("alexnet:paper")
stages = [("image", table.input)]
stages += [(row.name, row.output) for row in table if row.type in ("conv", "max_pool") or row.params]
figure = plotting.new_figure(7.2, 2.9)
axes = figure.subplots()
for place, (name, shape) in enumerate(stages):
    height = shape[0] if len(shape) == 3 else 6
    kind = 2 if len(shape) == 1 else 5 if name.startswith("pool") else 1
    axes.bar(place, height, color=PALETTE[kind], bottom=-height / 2, width=0.75)
    axes.annotate(f"{shape[-1]:,}", (place, -height / 2), (0, -10), textcoords="offset points", ha="center", fontsize=7)
axes.set_xticks(range(len(stages)), [name for name, _ in stages], rotation=60, ha="right")
axes.set(ylabel="pixels from the centre", ylim=(-140, 120))
figure

# %%
table

# %% [markdown]
# Some numbers that are worth knowing by heart, from the table:

# %%
print(f"{table.total.params:,} parameters, {table.total.macs:,} MACs; conv1 has {table['conv1'].params:,} parameters")
assert table.total.params == 60_965_224
assert table.total.macs == 724_406_816
assert table["conv1"].params == 96 * (11 * 11 * 3 + 1) == 34_944
assert table["pool5"].output == (6, 6, 256)

# %% [markdown]
# And a riddle. The paper says 224x224 pixels, kernels of 11x11 and a stride of 4. That does not come out:

# %%
print((224 - 11) / 4 + 1, "or", (227 - 11) / 4 + 1)
assert ops.remainder(224, 11, 4) == 1
assert ops.output_size(227, 11, 4, strict=True) == 55

# %% [markdown]
# Everybody who rebuilt the network found 55x55 maps, and takes 227 pixels (as here) or pads (as PyTorch does).

# %% [markdown]
# ## Trick 1: ReLU
#
# Section 3.1 has the claim that became most famous: with $\max(0, x)$ a network of four layers comes to 25% training
# error on CIFAR-10 six times faster than with $\tanh$ (figure 1). The reason is in the derivative. Far from zero,
# that of tanh is nearly 0, and the gradient that has to pass many layers is multiplied by it again and again. That of
# ReLU is 1 wherever the unit is on.

# %%
at = np.linspace(-4, 4, 201, dtype=np.float32)
figure = plotting.new_figure(6.4, 2.4)
for axes, what in zip(figure.subplots(1, 2), ("value", "derivative"), strict=True):
    for name, line in (("tanh", "--"), ("relu", "-")):
        activation = ops.ACTIVATIONS[name]
        values = activation(at) if what == "value" else jax.vmap(jax.grad(activation))(at)
        axes.plot(at, values, line, label=name)
    axes.set(xlabel="x", ylabel=what, ylim=(-1.2, 2))
    axes.legend()
figure

# %% [markdown]
# A fair race lets each runner choose its shoes: both activations get three learning rates, and we look at the best of
# each. A small AlexNet, 2,000 pictures of ten symbols at any place (notebook 3), 120 steps. Runs that differ in
# numbers such as the rate share one compiled program and are trained side by side.

# %%
data = symbols_dataset(symbols(2000, seed=0), symbols(300, seed=1))
recipe = {
    "batch_size": 50,
    "total_steps": 120,
    "optimizer": {"name": "momentum"},
    "schedule": {"name": "constant", "warmup_steps": 10},
    "log_every": 10,
    "eval_every": 120,
    "checkpoint_every": 120,
}
folder = tempfile.TemporaryDirectory()
curves = {}
for activation, initializer in (("tanh", "glorot"), ("relu", "he")):
    model = {"name": "alexnet:small,width=0.5", "activation": activation, "initializer": initializer}
    members = [
        Member(
            {**recipe, "model": model, "optimizer": {"name": "momentum", "learning_rate": rate}},
            Path(folder.name) / f"{activation}-{rate}",
            Silence(),
        )
        for rate in (0.003, 0.01, 0.03)
    ]
    train_population(members, dataset=data)
    for member in members:
        history = cnn_jax.load(member.workdir).history
        curves[activation, member.config["optimizer"]["learning_rate"]] = history[history.split == "train"]

# %%
best = {
    kind: min(
        (rate for name, rate in curves if name == kind), key=lambda rate: curves[kind, rate].loss.iloc[-3:].mean()
    )
    for kind in ("tanh", "relu")
}
figure = plotting.new_figure(6.4, 3.2)
axes = figure.subplots()
for (kind, rate), history in curves.items():
    chosen = best[kind] == rate
    axes.plot(
        history.step,
        history.loss,
        color=PALETTE[1 if kind == "relu" else 2],
        linestyle="-" if kind == "relu" else "--",
        linewidth=2 if chosen else 0.6,
        label=f"{kind}, rate {rate}" if chosen else None,
    )
axes.set(xlabel="steps of 50 pictures", ylabel="training loss (nats)")
axes.legend(title="the best rate of each (thin: the others)")
figure

# %% [markdown]
# One seed, one small network, few steps: this picture shows how such a race is run and decides nothing. What decides
# is several seeds with an interval, and a rule that was written down before. That is notebook 9;
# `experiments/relu_speed.py` is the paper's race, and `cnn-jax claims` has its verdict.

# %%
for kind, rate in best.items():
    print(f"{kind}: best rate {rate}, loss at the end {curves[kind, rate].loss.iloc[-3:].mean():.3f}")

# %% [markdown]
# ## Trick 2: two GPUs
#
# A GPU of 2012 had 3 GB, and the network did not fit. So half of the channels lived on each of two, and in `conv2`,
# `conv4` and `conv5` a GPU looked at its own half only (section 3.2). Today that is called a **grouped convolution**:
# the channels are cut into groups, and each group is convolved by itself.

# %%
rng = np.random.default_rng(0)
maps = rng.normal(size=(1, 13, 13, 8)).astype(np.float32)
kernel = rng.normal(size=(3, 3, 4, 6)).astype(np.float32)

grouped = ops.conv(maps, kernel, padding=1, feature_group_count=2)
first = ops.conv(maps[..., :4], kernel[..., :3], padding=1)
second = ops.conv(maps[..., 4:], kernel[..., 3:], padding=1)
np.testing.assert_allclose(grouped, np.concatenate([first, second], axis=-1), rtol=1e-4, atol=1e-4)

# %% [markdown]
# Each kernel sees half of the channels, so a grouped layer has half of the weights and half of the work. Against the
# network of the slides, which has no groups:

# %%
ungrouped = analysis.show_named("alexnet:slides")
for name in ("conv2", "conv3", "conv4", "conv5"):
    print(f"{name}: {table[name].params:>9,} parameters with groups, {ungrouped[name].params:>9,} without")
assert ungrouped.total.params == 62_378_344
assert table["conv2"].weights * 2 == ungrouped["conv2"].weights
print(f"MACs: {table.total.macs:,} and {ungrouped.total.macs:,}")

# %% [markdown]
# What was a makeshift came back as an idea: with as many groups as channels it is the depthwise convolution of
# Xception.

# %% [markdown]
# ## Trick 3: local response normalisation
#
# A unit that shouts makes its neighbours whisper. Each value is divided by a term that grows with the squares of the
# five channels around it, at the same place (section 3.3):
#
# $$b_i = a_i \Big/ \Big(k + \alpha \sum_{j=i-2}^{i+2} a_j^2\Big)^{\beta}$$
#
# with $k = 2$, $\alpha = 10^{-4}$ and $\beta = 0.75$.

# %%
values = np.full(16, 20, np.float32)
values[8] = 200
normed = ops.local_response_norm(values)

loop = [
    a / (2 + 1e-4 * sum(values[j] ** 2 for j in range(max(0, i - 2), min(16, i + 3)))) ** 0.75
    for i, a in enumerate(values)
]
np.testing.assert_allclose(normed, loop, rtol=1e-5)

figure = plotting.new_figure(6.4, 2.4)
for axes, heights, what in zip(figure.subplots(1, 2), (values, normed), ("before", "after"), strict=True):
    axes.bar(range(16), heights, color=PALETTE[1])
    axes.set(xlabel="channel", ylabel=f"value {what}")
figure

# %% [markdown]
# The two channels on either side of the loud one are turned down, the others are not. The paper reports 1.4 points
# less top-1 error from it. Two years later VGG tried it and found nothing (its table 3, A against A-LRN), and it went
# out of use.

# %%
assert normed[7] < 0.6 * normed[0]
np.testing.assert_allclose(normed[3], normed[0], rtol=0.05)

# %% [markdown]
# ## Trick 4: overlapping pooling
#
# Windows of 3x3 that step by two, in place of 2x2 that step by two (section 3.4). The maps come out equally large, so
# it costs nothing but comparisons; the paper reports 0.4 points.

# %%
assert ops.output_size(55, 3, 2) == ops.output_size(55, 2, 2) == 27
print(ops.max_pool(np.array([1, 5, 2, 0, 3, 4, 1], np.float32)[None, :, None], 3, strides=2).ravel())

# %% [markdown]
# ## Trick 5: more pictures than there are
#
# Sixty million parameters learn 1.2 million pictures by heart. So no picture is ever shown twice alike: random crops,
# mirror images, and colours moved along the directions in which colours vary in the data (section 4.1).

# %%
examples = shapes.render(range(60), split="train", size=64)["image"]
colours = np.cov(examples.reshape(-1, 3).T / 255)
picture = jnp.asarray(examples[7])

changed = []
for number in range(7):
    cropping, flipping, colouring = jax.random.split(jax.random.key(number), 3)
    moved = ops.random_flip(flipping, ops.pad_crop(cropping, picture, pad=8))
    changed.append(np.asarray(ops.pca_colour(colouring, moved, covariance=colours, sigma=0.3)))
figure = plotting.new_figure(7, 1.3)
show_image(figure.subplots(), mosaic(np.stack([examples[7], *changed]), 8, gap=3), "the picture, and seven versions")
figure

# %% [markdown]
# How many crops of 224x224 are there in 256x256 pixels? The paper says that crops and mirrors make the set 2048 times
# larger, which is 32 x 32 x 2. Count the places:

# %%
places = ops.output_size(256, 224)
print(places**2 * 2)
assert places == 33
assert places**2 * 2 == 2178

# %% [markdown]
# At test time the network sees ten of them, the four corners and the middle, and their mirror images, and the ten
# answers are averaged. `cnn-jax eval --protocol=ten_crop` does that.

# %% [markdown]
# ## Trick 6: dropout
#
# In the two hidden layers every unit is silent with probability one half, anew for each picture (section 4.2). No
# unit can rely on a particular other one. Those that speak are doubled, so that the next layer hears as much as
# before on average:

# %%
units = np.ones((4, 4096), np.float32)
dropped = ops.dropout(jax.random.key(0), units, 0.5)
assert set(np.unique(dropped).tolist()) == {0.0, 2.0}
assert abs(float(dropped.mean()) - 1) < 0.05

figure, axes = panels(1, 2, 2.2)
for axis, layer, title in zip(axes[0], (units, dropped), ("64x64 hidden units", "with dropout"), strict=True):
    show_image(axis, layer[0].reshape(64, 64), title, vmin=0, vmax=2, cmap="gray")
figure

# %% [markdown]
# (The paper halves the outputs at test time instead. In the mean that is the same.)

# %% [markdown]
# ## What came next
#
# A year later Zeiler and Fergus looked inside and changed the first layers. What differs, layer by layer:

# %%
analysis.diff(ungrouped, analysis.show_named("zfnet:paper"))

# %% [markdown]
# Smaller kernels and a smaller step in the first layer, and little else. The next notebook takes that to its end.
#
# ## Exercises
#
# 1. AlexNet's `conv1` has 11x11 kernels at a stride of 4. How many multiplications would the layer take at stride 1?
#    How much would the *next* layers take then?
# 2. Add `sigmoid` to the race. Which rates does it need? Plot the share of units of each layer whose derivative is
#    below 0.01 (`cnn_jax.inspect.dead.firing` counts them).
# 3. Write ten-crop evaluation with `run.predict` and NumPy slices for a network trained on pictures of 28x28, cut
#    from 32x32. Compare with `run.evaluate(protocol="ten_crop", crop=28)`.
# 4. Dropout at rate $p$ multiplies what is left by $1 / (1 - p)$. What is the variance of a sum of $n$ dropped units?
#    What does that say about using it before a batch norm?
# 5. The 1.4 points of response normalisation and the 0.4 of pooling come without an interval. How many networks would
#    you have to train to be sure of 0.4 points, if runs differ by 0.2 points from seed to seed?
