# %% [markdown]
# # 6. Inception and the 1x1 convolution
#
# A kernel of 1x1 pixels looks at no neighbour at all. What could a *convolution* be good for that sees a single
# pixel?
#
# In 2014 GoogLeNet was deeper than VGG and won against it, with almost nine times fewer parameters than AlexNet. The
# 1x1 convolution is how. This notebook takes one of its modules apart and counts.

# %%
import numpy as np

from cnn_jax import analysis, nn, ops, plotting
from cnn_jax.data import shapes
from cnn_jax.inspect.picture import panels, show_image
from cnn_jax.plotting import PALETTE

plotting.notebook()

# %% [markdown]
# ## A matrix at every pixel
#
# A 1x1 kernel has one weight for each pair of an input channel and an output channel. At every pixel it takes the
# vector of channels and multiplies it by a matrix, the same everywhere. You know an example: from colour to grey.

# %%
picture = shapes.render([3], split="test", size=64)["image"].astype(np.float32) / 255
to_grey = np.array([[0.299], [0.587], [0.114]], np.float32)
warmer = np.array([[1.0, 0.1, 0.0], [0.3, 0.8, 0.0], [0.0, 0.0, 0.5]], np.float32)
swapped = np.eye(3, dtype=np.float32)[[2, 0, 1]]

figure, axes = panels(1, 4, 1.7)
show_image(axes[0, 0], picture[0], "image")
for axis, matrix, title in zip(
    axes[0, 1:], (to_grey, warmer, swapped), ("1x1x3 -> 1: grey", "3 -> 3: warmer", "3 -> 3: swapped"), strict=True
):
    mixed = ops.conv(picture, matrix[None, None], padding="VALID")
    np.testing.assert_allclose(mixed, picture @ matrix, rtol=1e-5, atol=1e-5)
    values = np.clip(mixed[0], 0, 1)
    show_image(axis, values if values.shape[-1] == 3 else values[..., 0], title, cmap="gray")
figure

# %% [markdown]
# `ops.conv` and NumPy's `@` agree: a 1x1 convolution is a fully connected layer applied at each pixel by itself.
# Followed by a ReLU, it is a small network at each pixel, which the paper that introduced it called "network in
# network" (Lin et al. 2013).
#
# It sees no shapes. Shuffle the pixels of a picture, and its mean over all places does not change:

# %%
rng = np.random.default_rng(0)
weights = rng.normal(size=(1, 1, 3, 16)).astype(np.float32)
shuffled = rng.permutation(picture.reshape(-1, 3)).reshape(picture.shape)
features = {
    name: ops.global_avg_pool(ops.relu(ops.conv(x, weights, padding="VALID")))
    for name, x in (("picture", picture), ("shuffled", shuffled))
}
np.testing.assert_allclose(features["picture"], features["shuffled"], rtol=1e-4, atol=1e-5)

figure, axes = panels(1, 2, 1.8)
show_image(axes[0, 0], picture[0], "a picture")
show_image(axes[0, 1], shuffled[0], "its pixels, shuffled")
figure

# %% [markdown]
# So it does not replace the larger kernels. It stands between them and changes the number of channels.

# %% [markdown]
# ## Inception, naively
#
# Which kernel size is right, 1, 3 or 5? Take all of them side by side, and let the next layer choose. The module 3a
# of GoogLeNet does so on 28x28 maps with 192 channels (Szegedy et al. 2014, figure 2a). What does it cost?

# %%
widths = nn.Widths(one=64, reduce_3x3=96, three=128, reduce_5x5=16, five=32, pool_proj=32)
naive = analysis.show(nn.Inception(widths, "naive"), (28, 28, 192), name="inception 3a, naive")
naive

# %% [markdown]
# Count the 5x5 branch by hand: 32 kernels of 5x5x192 weights, at 28x28 places. And there is a second trouble: the
# pooled branch hands on all of its 192 channels, so the module gives more channels than it got, and the next one more
# again.

# %%
assert naive["5x5"].macs == 28 * 28 * 32 * 5 * 5 * 192 == 120_422_400
assert naive.layers[-1].output == (28, 28, 64 + 128 + 32 + 192) == (28, 28, 416)
print(f"{naive.total.macs / 1e6:.1f} M MACs, {naive.total.weights:,} weights")
assert round(naive.total.macs / 1e6, 1) == 303.5
assert naive.total.weights == 387_072

# %% [markdown]
# ## The bottleneck
#
# Now put a 1x1 convolution in front of each expensive kernel and let it bring 192 channels down to 96 and to 16, and
# one behind the pooling (figure 2b). Each is cheap, and what follows has fewer channels to look at.

# %% tags=["figure"]
reduced = analysis.show(nn.Inception(widths, "reduced"), (28, 28, 192), name="inception 3a, reduced")

branches = ["1x1", "3x3", "5x5", "pool"]
wide = np.array([naive[name].macs if name != "pool" else 0 for name in branches]) / 1e6
kernels = np.array([reduced[name].macs if name != "pool" else 0 for name in branches]) / 1e6
around = np.array([0, reduced["reduce_3x3"].macs, reduced["reduce_5x5"].macs, reduced["pool_proj"].macs]) / 1e6

figure = plotting.new_figure(6.4, 3.0)
axes = figure.subplots()
place = np.arange(len(branches))
axes.bar(place - 0.2, wide, width=0.36, color=PALETTE[2], label="naive")
axes.bar(place + 0.2, kernels, width=0.36, color=PALETTE[1], label="reduced: the kernels")
axes.bar(place + 0.2, around, width=0.36, bottom=kernels, color=PALETTE[5], hatch="//", label="reduced: the 1x1 added")
axes.set_xticks(place, [f"{name} branch" for name in branches])
axes.set_ylabel("million multiply-accumulates")
axes.legend()
figure

# %% [markdown]
# The 5x5 branch becomes almost ten times cheaper, and its reduction costs next to nothing. In all:

# %%
cheaper = naive["5x5"].macs / (reduced["reduce_5x5"].macs + reduced["5x5"].macs)
print(f"5x5 branch: {cheaper:.1f} times cheaper")
print(f"module: {reduced.total.macs / 1e6:.1f} M MACs, {naive.total.macs / reduced.total.macs:.2f} times cheaper")
print(f"{reduced.total.weights:,} weights, {reduced.layers[-1].output[-1]} channels")
assert round(cheaper) == 10
assert round(reduced.total.macs / 1e6, 1) == 128.0
assert round(naive.total.macs / reduced.total.macs, 2) == 2.37
assert reduced.total.weights == 163_328
assert reduced.layers[-1].output[-1] == 256

# %% [markdown]
# Is anything lost? The 5x5 kernels see 16 mixtures of channels in place of 192 channels. As a matrix, a reduction to
# 16 followed by a kernel has a rank of at most 16 at each tap. That is a bet: that 192 channels hold much less than
# 192 different things. Here is what the bet means for random weights and without the ReLU in between:

# %%
reduction = rng.normal(size=(192, 16)).astype(np.float32)
taps = rng.normal(size=(5, 5, 16, 32)).astype(np.float32)
combined = np.einsum("ir,hwro->hwio", reduction, taps)
maps = rng.normal(size=(1, 12, 12, 192)).astype(np.float32)
two_steps = ops.conv(ops.conv(maps, reduction[None, None], padding="VALID"), taps, padding=2)
np.testing.assert_allclose(two_steps, ops.conv(maps, combined, padding=2), rtol=1e-2, atol=0.5)

ranks = {int(np.linalg.matrix_rank(combined[row, column])) for row in range(5) for column in range(5)}
print(f"{combined.size:,} weights in one step, {reduction.size + taps.size:,} in two; rank of each tap: {ranks}")
assert ranks == {16}

# %% [markdown]
# ## The whole network

# %%
table = analysis.show_named("googlenet:paper")
alexnet = analysis.show_named("alexnet:paper")
print(f"GoogLeNet: {table.total.params:,} parameters, {table.total.macs / 1e9:.2f} G MACs")
print(f"AlexNet: {alexnet.total.params:,} parameters, {alexnet.total.macs / 1e9:.2f} G MACs")
ratio, cost = alexnet.total.params / table.total.params, table.total.macs / alexnet.total.macs
print(f"{ratio:.2f} times fewer parameters, {cost:.2f} times the arithmetic")
assert table.total.params == 6_998_552
assert round(ratio, 2) == 8.71
assert round(cost, 2) == 2.18

# %% [markdown]
# You will read "12 times fewer than AlexNet" and "5 million" in the paper and in many lectures. The layers of the
# paper's own table 1 add up to seven million, which is 8.7 times fewer. `cnn-jax errata` has a list of such numbers.
#
# Module by module, in million MACs:

# %%
modules = {}
for row in table:
    name = row.name.split("/")[0]
    if name.startswith("inception"):
        modules[name] = modules.get(name, 0) + row.macs / 1e6
figure = plotting.new_figure(6.4, 2.6)
axes = figure.subplots()
axes.bar(range(len(modules)), list(modules.values()), color=PALETTE[1])
axes.set_xticks(range(len(modules)), [name.removeprefix("inception_") for name in modules])
axes.set(xlabel="inception module", ylabel="million MACs")
print(f"3a: {modules['inception_3a']:.0f} M, 5b: {modules['inception_5b']:.0f} M")
assert round(modules["inception_3a"]) == 128
assert round(modules["inception_5b"]) == 71
figure

# %% [markdown]
# A saw: on maps of one size each module has more channels than the one before and costs more, and then pooling halves
# the maps, quarters the places, and the next one is cheap again. (The digit of the name changes where the maps do.)

# %%
costs = list(modules.values())
assert costs[0] < costs[1] > costs[2] < costs[3] < costs[4] < costs[5] < costs[6] > costs[7] < costs[8]

# %% [markdown]
# ## A mean in place of a layer
#
# The other saving is at the end. VGG flattens 7x7x512 numbers into a layer of 4096 units. GoogLeNet takes the mean
# over the 7x7 places of each of its 1024 channels and has a single linear layer behind it:

# %%
flattened, averaged = 7 * 7 * 1024 * 1000 + 1000, 1024 * 1000 + 1000
print(f"flattened: {flattened:,} parameters, averaged: {averaged:,}")
assert table["fc"].params == averaged == 1_025_000
assert flattened > 49 * averaged * 0.99

# %% [markdown]
# ## To its end: one channel at a time
#
# If 1x1 convolutions can mix channels, why should the large kernels mix them as well? A **depthwise separable**
# convolution does the one after the other: a 3x3 kernel for each channel by itself, then a 1x1. Xception is made of
# these (Chollet 2017).

# %%
channels = np.array([16, 32, 64, 128, 256, 512, 728])
full = 9 * channels**2
separable = 9 * channels + channels**2

figure = plotting.new_figure(5.6, 2.8)
axes = figure.subplots()
axes.plot(channels, full / separable, marker="o")
axes.axhline(9, color="0.6", linestyle=":")
axes.set(xlabel="channels in and out", ylabel="times cheaper than 3x3", ylim=(0, 10))
figure

# %% [markdown]
# With many channels the factor comes near nine, the number of taps: the cost of the depthwise part vanishes beside
# that of the 1x1. In the other direction, most of the arithmetic of such a network *is* 1x1 convolutions, matrix
# products.

# %%
xception = analysis.show_named("xception")
pointwise = sum(row.macs for row in xception if row.kernel == (1, 1))
print(f"Xception: {pointwise / xception.total.macs:.0%} of the MACs are 1x1 convolutions")
assert pointwise / xception.total.macs > 0.8
x = rng.normal(size=(1, 8, 8, 6)).astype(np.float32)
depthwise, point = rng.normal(size=(3, 3, 1, 6)).astype(np.float32), rng.normal(size=(1, 1, 6, 10)).astype(np.float32)
apart = ops.conv(ops.conv(x, depthwise, padding=1, feature_group_count=6), point, padding="VALID")
together = ops.conv(x, np.einsum("hwi,io->hwio", depthwise[:, :, 0], point[0, 0]), padding=1)
np.testing.assert_allclose(apart, together, rtol=1e-3, atol=1e-3)

# %% [markdown]
# ## Exercises
#
# 1. For which width of the reduction does the 5x5 branch cost as much as without one? Solve it on paper, then check
#    with `nn.Inception`.
# 2. Remove the reductions from the whole network (`googlenet:paper,inception=naive`). How many channels reach the
#    last module? How many parameters are there?
# 3. Cut a 5x5 convolution into two of 3x3 inside the module, as notebook 5 would. What does the module cost now?
# 4. The last cell says that a separable convolution is an ordinary one whose kernel has a special form. Given an
#    ordinary 3x3 kernel, find the nearest separable one by a singular value decomposition for each input channel.
#    What does a random kernel lose?
# 5. Write down a picture that a network of 1x1 convolutions and a final mean *can* tell from another, and two that it
#    cannot, although you can.
