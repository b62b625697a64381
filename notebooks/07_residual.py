# %% [markdown]
# # 7. Residual learning, and the degradation that it cures
#
# Take a network that works and add layers. In the worst case the new layers could pass on what they get, and nothing
# would be lost. So a deeper network should never have a *larger training error*. But it does: of plain networks on
# ImageNet, 34 layers are worse than 18 (28.54 against 27.94% top-1 error), and on CIFAR-10 each deeper plain network
# has the larger error, on the training pictures, too (He et al. 2015, section 4, table 2 and figure 6). That is not
# overfitting. What is it?

# %%
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import cnn_jax
from cnn_jax import analysis, models, nn, plotting
from cnn_jax.data.symbols import symbols, symbols_dataset
from cnn_jax.inspect.responses import responses
from cnn_jax.plotting import MARKERS, PALETTE

plotting.notebook()

# %% [markdown]
# ## See it happen
#
# Three networks on 16x16 pictures of symbols (notebook 3): a plain one of 8 layers, a plain one of 26, and a residual
# one of 26. The last two have the same layers and the same number of parameters. Only the arrows differ.

# %%
data = symbols_dataset(symbols(2000, seed=0, size=16), symbols(300, seed=1, size=16))
recipe = {
    "batch_size": 50,
    "total_steps": 120,
    "optimizer": {"name": "momentum", "learning_rate": 0.05, "weight_decay": 1e-4},
    "schedule": {"name": "cosine", "warmup_steps": 20},
    "log_every": 10,
    "eval_every": 120,
    "checkpoint_every": 120,
}
networks = {
    "plain, 8 layers": "plain_cifar:8",
    "plain, 26 layers": "plain_cifar:26",
    "residual, 26 layers": "resnet_cifar:26",
}
folder = tempfile.TemporaryDirectory()
runs = {}
for name, model in networks.items():
    config = {**recipe, "model": {"name": model, "width": 0.5}}
    cnn_jax.train(config, Path(folder.name) / name, dataset=data, progress=False)
    runs[name] = cnn_jax.load(Path(folder.name) / name)
    print(f"{name}: {cnn_jax.show(runs[name].model, (16, 16, 1)).total.params:,} parameters")

# %% tags=["figure"]
figure = plotting.new_figure(6.4, 3.2)
axes = figure.subplots()
losses = {}
for (name, run), marker in zip(runs.items(), MARKERS, strict=False):
    history = run.history[run.history.split == "train"]
    losses[name] = float(history.loss.iloc[-3:].mean())
    axes.plot(history.step, history.loss, marker=marker, markersize=3, label=name)
axes.axhline(np.log(10), color="0.6", linewidth=1, linestyle=":")
axes.annotate("guessing", (120, np.log(10)), (-4, 3), textcoords="offset points", fontsize=8, color="0.4", ha="right")
axes.set(xlabel="steps of 50 pictures", ylabel="training loss (nats)")
axes.legend()
figure

# %%
for name, loss in losses.items():
    print(f"{name}: training loss {loss:.2f}")
assert losses["plain, 26 layers"] > losses["residual, 26 layers"]
assert losses["plain, 26 layers"] > losses["plain, 8 layers"]

# %% [markdown]
# The deep plain network has the larger loss *on the pictures it is trained on*, though it contains the shallow one:
# set the additional layers to pass on their input. It could represent what the other has found. Gradient descent does
# not find it.
#
# One seed and a few steps show a phenomenon and prove nothing. `experiments/degradation.py` and
# `experiments/residual_learning.py` ask with five seeds each, and a rule.

# %% [markdown]
# ## It is hard to do nothing
#
# How would a layer pass on its input? Its kernel must be 1 in the middle, for its own channel, and 0 elsewhere. From
# random weights that is far away. The remedy of the paper: let the layers compute what is to be *added*,
#
# $$y = \mathrm{ReLU}(F(x) + x),$$
#
# so that doing nothing means $F = 0$, and zero is near. Take a block with all weights zero, and pictures that a ReLU
# has passed already:

# %%
x = jnp.abs(jax.random.normal(jax.random.key(0), (2, 8, 8, 16)))
outputs = {}
for shortcut in ("A", "none"):
    block = nn.ResidualBlock(16, shortcut=shortcut, norm="none")
    zeros = jax.tree.map(jnp.zeros_like, block.init(jax.random.key(1), x, train=False))
    outputs[shortcut] = block.apply(zeros, x, train=False)
assert (outputs["A"] == x).all()
assert (outputs["none"] == 0).all()

# %% [markdown]
# With the shortcut the block is the identity, exactly. Without it the block destroys everything.
#
# ## What comes through
#
# At the start of the training, weights are random. How much of the input is still there after so many blocks? Stack
# blocks of random weights, with batch norm as in the paper, and correlate what comes out with what went in.

# %%
start = jnp.abs(jax.random.normal(jax.random.key(2), (8, 8, 8, 16)))
figure = plotting.new_figure(6.4, 3.0)
axes = figure.subplots()
kept = {}
for (shortcut, words), marker in zip((("none", "plain"), ("A", "residual")), MARKERS, strict=False):
    block = nn.ResidualBlock(16, shortcut=shortcut)
    forward = jax.jit(lambda key, y, block=block: block.init_with_output(key, y, train=True)[0])
    y, kept[words] = start, [1.0]
    for number in range(25):
        y = forward(jax.random.key(number), y)
        kept[words].append(float(np.corrcoef(start.ravel(), y.ravel())[0, 1]))
    axes.plot(kept[words], marker=marker, markersize=4, label=words)
axes.set(xlabel="blocks of two layers, random weights", ylabel="correlation of output and input")
axes.legend()
figure

# %% [markdown]
# A plain block forgets its input at once: what comes out is a random function of it. A residual block adds to it, and
# the input fades slowly. The layers of a deep residual network all begin with something that resembles the picture,
# and a label that depends on the picture is within reach of each of them.

# %%
assert abs(kept["plain"][1]) < 0.2
assert kept["residual"][1] > 0.3
assert kept["residual"][10] > 0.1 > abs(kept["plain"][10])

# %% [markdown]
# ## Are gradients vanishing?
#
# A natural guess, and the authors looked: with batch norm in every layer, neither the signals nor the gradients of
# the plain network vanish (section 4.1), and the difficulty stays. Of the networks of this notebook, the size of the
# gradient that they were trained with, and the strength of every layer's response behind its batch norm:

# %%
test = symbols(200, seed=2, size=16)
figure = plotting.new_figure(6.4, 3.0)
axes = figure.subplots()
strength = {}
for (name, run), marker, colour in list(zip(runs.items(), MARKERS, PALETTE, strict=False))[1:]:
    rows = responses(run, test.image)[:-1]
    strength[name] = np.array([row.std for row in rows])
    axes.plot(range(1, len(rows) + 1), strength[name], marker=marker, markersize=3, color=colour, label=name)
axes.set(xlabel="layer, from the first", ylabel="standard deviation of its response")
axes.set_ylim(0)
axes.legend()
figure

# %% [markdown]
# Signals are alive at every depth of both networks, and so are gradients. Batch norm sees to that: what it gives has
# a deviation of one, times a scale that is learnt. (The paper draws the same in its figure 7 for networks at the end
# of their training. There the responses of the residual ones are weaker than those of the plain ones, as if each
# layer had only a little to add.)

# %%
for name, values in strength.items():
    gradients = runs[name].history.grad_norm.dropna()
    print(f"{name}: responses {values.min():.2f} to {values.max():.2f}, mean gradient {gradients.mean():.2g}")
    assert values.min() > 0.05

# %% [markdown]
# ## When shapes change
#
# Where a block halves the map and doubles the channels, $x$ and $F(x)$ do not fit together. Three ways (section 4.1,
# table 3): **A** takes every other pixel and fills up with zero channels, free of charge; **B** uses a 1x1
# convolution there; **C** uses one everywhere.

# %%
counts = {
    name: analysis.show_named(name).total.params for name in ("plain:34", "resnet:34-A", "resnet:34", "resnet:34-C")
}
for name, count in counts.items():
    print(f"{name}: {count:,} parameters")
assert counts["plain:34"] == counts["resnet:34-A"] == 21_623_848
assert counts["resnet:34"] == 21_797_672
assert counts["resnet:34-C"] == 22_716_840

# %% [markdown]
# A residual network of option A has not one parameter more than the plain one. Whatever it gains, it does not gain by
# size.
#
# ## Deep and narrow
#
# From 50 layers on, ResNets use the trick of notebook 6: a 1x1 convolution to fewer channels, a 3x3 among them, and a
# 1x1 back, three layers for the price of two.

# %%
figure = plotting.new_figure(6.2, 3.0)
axes = figure.subplots()
for names, marker, words in (
    (("resnet:18", "resnet:34"), "o", "blocks of two 3x3"),
    (("resnet:50", "resnet:101", "resnet:152"), "s", "bottlenecks"),
    (("vgg:A", "vgg:D", "vgg:E"), "^", "VGG"),
):
    places = [(models.counts()[name]["macs"] / 1e9, models.counts()[name]["params"] / 1e6) for name in names]
    axes.plot(*zip(*places, strict=True), marker=marker, label=words)
    for name, place in zip(names, places, strict=True):
        axes.annotate(
            name.split(":")[1], place, (5, -11 if marker == "o" else 5), textcoords="offset points", fontsize=8
        )
axes.set(xlabel="billion multiply-accumulates for a picture", ylabel="million parameters")
axes.set_ylim(0)
axes.legend()
figure

# %% [markdown]
# 152 layers cost less arithmetic than VGG's sixteen, and less than half of the parameters.

# %%
deep, wide = (analysis.show_named(name).total for name in ("resnet:152", "vgg:D"))
assert deep.macs < wide.macs
assert deep.params < wide.params / 2
print(f"ResNet-152: {deep.macs / 1e9:.1f} G MACs, VGG-16: {wide.macs / 1e9:.1f} G")

# %% [markdown]
# ## Exercises
#
# 1. Unroll three blocks, $x_3 = x_2 + F_3(x_2)$ and so on, and count the paths from $x_0$ to $x_3$. How many layers
#    does the average path have? What does that say about the depth of a ResNet-110?
# 2. Remove a block from the trained residual network (set its last batch norm's scale and bias to zero in
#    `run.variables`) and measure the error. Do the same to the plain network.
# 3. Batch norm's scale of the second layer of each block can start at zero. What does the network compute then at its
#    first step? What becomes of the picture with the cosines?
# 4. Show with two lines of algebra that the gradient of a residual block has an additive 1, and say why that does not
#    contradict section 4.1 of the paper.
# 5. Train with `norm="none"` and initial weights `he`, plain and residual, 8 and 26 layers. Which of the four train?
#    Find the standard deviation of the features of the residual one as a function of depth.
