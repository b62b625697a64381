# %% [markdown]
# # 2. Shapes, parameters, receptive fields
#
# VGG-16 has 138 million parameters and needs 15.5 billion multiplications for one picture of 224x224 pixels. Where
# are they? In the early layers, which see the large maps? Or in the late ones, which have many channels?
#
# All of it can be known before anything is computed. Sizes, parameters, cost, and how much of the picture a unit can
# see follow from the shapes alone, and this notebook works them out by hand and then lets `cnn_jax.show` do it.

# %%
import math

import jax
import numpy as np

import cnn_jax
from cnn_jax import analysis, ops, plotting
from cnn_jax.data import shapes
from cnn_jax.errors import GeometryError
from cnn_jax.inspect.effective_field import effective_field
from cnn_jax.inspect.picture import panels, show_image
from cnn_jax.plotting import MARKERS, PALETTE

plotting.notebook()

# %% [markdown]
# The answer for VGG-16 as a picture: for every layer its share of the parameters, of the multiplications, and of the
# numbers that have to be kept in memory.

# %% tags=["figure"]
vgg = analysis.show_named("vgg:D")
layers = [row for row in vgg if row.params]
totals = {"parameters": vgg.total.params, "multiplications": vgg.total.macs, "activations": vgg.total.activations}
shares = {
    "parameters": [row.params for row in layers],
    "multiplications": [row.macs for row in layers],
    "activations": [row.activations for row in layers],
}
figure = plotting.new_figure(7, 4.2)
for axes, (what, values), colour in zip(figure.subplots(3, 1, sharex=True), shares.items(), PALETTE[1:], strict=False):
    axes.bar(range(len(layers)), 100 * np.array(values) / totals[what], color=colour)
    axes.set_ylabel(f"{what},\n% of all")
axes.set_xticks(range(len(layers)), [row.name for row in layers], rotation=60, ha="right")
figure

# %% [markdown]
# Three pictures of the same network, and they have little in common. One fully connected layer, `fc6`, holds most of
# the parameters. The convolutions do nearly all of the arithmetic. And the memory goes to the first two layers, which
# have almost no parameters at all.

# %%
fc6_share = vgg["fc6"].weights / vgg.total.weights
floats = math.prod(vgg.input) + vgg.total.activations
early_share = (vgg["conv1_1"].activations + vgg["conv1_2"].activations) / floats

print(f"{vgg.total.params:,} parameters, {vgg.total.macs:,} multiplications")
print(f"fc6 has {fc6_share:.1%} of the weights; conv1_1 and conv1_2 hold {early_share:.1%} of {floats:,} numbers")
assert vgg.total.params == 138_357_544
assert vgg.total.macs == 15_470_264_320
assert vgg["fc6"].weights == 102_760_448
assert floats == 15_237_608
assert round(100 * fc6_share, 1) == 74.3
assert round(100 * early_share) == 42

# %% [markdown]
# (A slide that is often copied says 24 million numbers and 93 MB for one picture. Add the listed activations up, as
# the cell above does: 15.2 million, which is 61 MB.)

# %%
print(f"{4 * floats / 1e6:.1f} MB in float32")
assert round(4 * floats / 1e6) == 61

# %% [markdown]
# ## LeNet by hand
#
# A smaller network, so that every number fits on paper: LeNet-5 as it is drawn today.

# %%
lenet = cnn_jax.show(cnn_jax.create("lenet"), (32, 32, 1), name="lenet:modern")
lenet

# %% [markdown]
# **Sizes.** `conv1` has 5x5 kernels and no padding, so 32 becomes 28. Pooling halves: 14. `conv2`: 10. Pooling: 5.
#
# **Parameters of a convolution.** Each of the 6 kernels of `conv1` has 5x5 weights for the one input channel, and a
# bias. Each of the 16 kernels of `conv2` has 5x5 weights for *every* one of 6 channels, and a bias. The size of the
# map does not matter.
#
# **Parameters of a fully connected layer.** One weight for each pair of input and output. `fc1` sees 5x5x16 = 400
# numbers.

# %%
conv1, conv2 = 6 * (5 * 5 * 1 + 1), 16 * (5 * 5 * 6 + 1)
fc1, fc2, fc3 = 120 * (400 + 1), 84 * (120 + 1), 10 * (84 + 1)
by_hand = {"conv1": conv1, "conv2": conv2, "fc1": fc1, "fc2": fc2, "fc3": fc3}
for name, count in by_hand.items():
    assert lenet[name].params == count
print(by_hand)
assert sum(by_hand.values()) == lenet.total.params == 61_706

# %% [markdown]
# **Cost.** A kernel is applied at every place, so here the size of the map does matter: `conv1` multiplies 25 weights
# at 28x28 places for 6 kernels. A product with its addition counts as one multiply-accumulate, a MAC.

# %%
assert lenet["conv1"].macs == 28 * 28 * 6 * 25 == 117_600
assert lenet["conv2"].macs == 10 * 10 * 16 * (25 * 6) == 240_000
assert lenet["fc1"].macs == 120 * 400
print(f"{lenet.total.macs:,} MACs in all")
assert lenet.total.macs == 416_520

# %% [markdown]
# Shares of both:

# %%
for row in lenet:
    if row.params:
        parameters, macs = row.params / lenet.total.params, row.macs / lenet.total.macs
        print(f"{row.name}: {parameters:6.1%} of the parameters, {macs:6.1%} of the MACs")

# %% [markdown]
# A convolution is poor in parameters and rich in arithmetic; a fully connected layer is the opposite, one
# multiplication for each weight. That is the first picture again.

# %% [markdown]
# ## How much does a unit see?
#
# A unit of `conv1` sees 5x5 pixels. A unit of `pool1` looks at 2x2 of those and sees 6x6. How far does it go on? Keep
# two numbers while walking through the layers: the **field**, the pixels that a unit sees along one side, and the
# **jump**, the pixels between two neighbouring units.
#
# $$\text{field} \leftarrow \text{field} + (K - 1) \cdot \text{jump} \qquad \text{jump} \leftarrow \text{jump} \cdot S$$

# %%
field, jump = 1, 1
for row in lenet:
    if row.kernel:
        field, jump = field + (row.kernel[0] - 1) * jump, jump * row.strides[0]
        print(f"{row.name:6} sees {field:2} pixels, neighbours are {jump} apart")
        assert row.receptive_field == (field, field)
        assert row.jump == (jump, jump)
assert field == 16

# %% [markdown]
# The same two lines for networks that are as long as they are famous. Only layers with a window are drawn:

# %%
figure = plotting.new_figure(6.4, 3.4)
axes = figure.subplots()
last = {}
for name, marker in zip(("lenet", "alexnet", "zfnet", "vgg:A", "vgg:D"), MARKERS, strict=False):
    fields = [row.receptive_field[0] for row in analysis.show_named(name) if row.kernel]
    axes.plot(range(1, len(fields) + 1), fields, marker=marker, markersize=4, label=name)
    last[name] = fields[-1]
axes.set(xlabel="layers with a window", ylabel="receptive field (pixels)", xticks=range(2, 19, 2))
axes.set_ylim(0)
axes.legend()
print(last)
assert last == {"lenet": 16, "alexnet": 195, "zfnet": 171, "vgg:A": 150, "vgg:D": 212}
figure

# %% [markdown]
# Curves get steeper: every pooling doubles the jump, and each layer after it adds twice as much. AlexNet is there in
# few layers, by large kernels and an early stride of 4. VGG takes small steps, and many of them.
#
# A field can also grow without any stride. **Dilation** spreads the taps of a kernel apart. With dilations 1, 2, 4, 8
# the field doubles at every layer, while each layer still has nine weights (Yu and Koltun 2016). Send one bright
# pixel through the layers and count how far it gets:

# %%
impulse = np.zeros((1, 65, 1), np.float32)
impulse[0, 32] = 1
for dilations, expected in (((1, 2, 4, 8), [3, 7, 15, 31]), ((1, 1, 1, 1), [3, 5, 7, 9])):
    spread, reached = impulse, []
    for dilation in dilations:
        spread = ops.conv(spread, np.ones((3, 1, 1), np.float32), padding=dilation, kernel_dilation=dilation)
        reached.append(int((np.asarray(spread) != 0).sum()))
    print(f"dilations {dilations}: fields {reached}")
    assert reached == expected

# %% [markdown]
# ## What it could see, and what it does see
#
# The receptive field says which pixels *can* matter. The derivative of a unit with respect to the pixels says how
# much they *do*. Take networks with random weights, pictures of 64x64 pixels, and the mean size of that derivative.

# %%
images = shapes.render(range(16), split="train", size=64)["image"].astype(np.float32) / 255
figure, axes = panels(1, 3, 2.3, top=0.75)
stages = (("lenet:small", "pool2"), ("vgg:small", "conv3_2"), ("vgg:small", "conv4_2"))
for axis, (name, layer) in zip(axes[0], stages, strict=True):
    model = cnn_jax.create(name)
    variables = model.init(jax.random.key(0), images[:1])
    effect = effective_field((model, variables), images, layer)
    table = cnn_jax.show(model, images.shape[1:])
    middle = [size // 2 for size in table[layer].output[:2]]
    (top, bottom), (left, right) = table.box(layer, *middle)
    outside = effect.copy()
    outside[top : bottom + 1, left : right + 1] = 0
    assert outside.max() == 0
    show_image(axis, effect / effect.max(), f"{name} {layer}\nfield {table[layer].receptive_field[0]}", cmap="gray")
    axis.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color=PALETTE[6])
figure.suptitle("how much a pixel matters to the middle unit; frame: the receptive field", fontsize=9)
figure

# %% [markdown]
# Nothing lies outside the frame: the arithmetic was right, to the pixel. Inside it the middle matters most and the
# rim hardly at all, because there are many paths from the middle to the unit and few from the rim. The deeper the
# network, the more it looks like a Gaussian hill in a frame that is far too large (Luo et al. 2016). A large field is
# a promise and not a fact.

# %% [markdown]
# ## When it does not fit
#
# Kernels of 15x15 leave 18 of 32 pixels, pooling 9, and then no kernel fits. Such a network is refused before it
# runs, with the layer and what would do:

# %%
try:
    cnn_jax.show(cnn_jax.create("lenet,kernel_size=15"), (32, 32, 1))
except GeometryError as error:
    print(error)

# %% [markdown]
# And where a stride does not divide, the rows that no window reaches are counted. Of PyTorch's AlexNet:

# %%
for row in analysis.show_named("alexnet:torchvision"):
    if row.remainder and any(row.remainder):
        print(f"{row.name}: {row.remainder[0]} of the rows are never looked at")

# %% [markdown]
# ## Exercises
#
# 1. Without running anything: how many parameters has `lenet` on colour pictures (three channels)? Then check with
#    `cnn_jax.show`.
# 2. You double the number of channels of every convolution (`width=2`). By which factors do parameters and MACs of a
#    layer in the middle grow? Of the first layer? Check with `vgg:D`.
# 3. Which change makes VGG-16 four times cheaper in MACs and changes the parameters of its convolutions not at all?
# 4. Find the smallest input for which `vgg:D` is legal, and the smallest at which no layer leaves a remainder.
# 5. Walk through `resnet:18` with the two lines of the field. Which of two paths through a residual block decides,
#    and why is the table right about the other one, too?
