# %% [markdown]
# # 5. VGG: small filters and depth
#
# AlexNet's first kernels are 11x11, and its authors chose sizes layer by layer. VGG asks: what if *every* kernel is
# 3x3, and the only question left is how many layers there are? To see as far as one 7x7 kernel takes three such
# layers. Is that a good trade?

# %%
import math
import tempfile
from pathlib import Path

import jax
import numpy as np

import cnn_jax
from cnn_jax import analysis, ops, plotting
from cnn_jax.data import shapes
from cnn_jax.data.symbols import symbols, symbols_dataset
from cnn_jax.inspect.picture import panels, show_numbers
from cnn_jax.inspect.responses import responses
from cnn_jax.plotting import MARKERS, PALETTE
from cnn_jax.sweep.statistics import mean_interval, paired_difference
from cnn_jax.train.population import Member, train_population
from cnn_jax.train.progress import Silence

plotting.notebook()

# %% [markdown]
# ## What two small filters see
#
# Take one unit. By how many paths does each pixel reach it? Through one layer of 3x3, nine pixels do, each by one
# path. Each further layer of 3x3 hands every count on to nine neighbours, which is a convolution with ones.

# %% tags=["figure"]
paths = np.zeros((1, 7, 7, 1), np.float32)
paths[0, 3, 3] = 1
figure, axes = panels(1, 3, 2.0)
for layers, axis in enumerate(axes[0], 1):
    paths = ops.conv(paths, np.ones((3, 3, 1, 1), np.float32), padding=1)
    side = int((np.asarray(paths).sum(axis=(0, 1, 3)) > 0).sum())
    assert side == 2 * layers + 1
    show_numbers(axis, paths[0, :, :, 0], f"{layers} of 3x3: a unit sees {side}x{side}")
figure

# %% [markdown]
# Two layers see 5x5 pixels and three see 7x7, as far as one kernel of that size (Simonyan and Zisserman 2014, section
# 2.3). The middle reaches the unit by many paths and a corner by one.
#
# The price: with $C$ channels in and out, a layer of $K \times K$ kernels has $K^2 C^2$ weights.

# %%
for stack, single in ((2, 5), (3, 7)):
    small, large = stack * 3**2, single**2
    print(f"{stack} layers of 3x3: {small} C^2; one of {single}x{single}: {large} C^2, {large / small - 1:.0%} more")
assert (2 * 9, 5**2) == (18, 25)
assert (3 * 9, 7**2) == (27, 49)
assert round(100 * (49 / 27 - 1)) == 81

# %% [markdown]
# ## What they can compute
#
# Cheaper and with the same view: there must be a catch. If nothing stands between the layers, they *are* one 7x7
# layer, and a poor one. Send a single bright pixel through three layers and read off the kernel:

# %%
rng = np.random.default_rng(0)
three = [rng.integers(-2, 3, (3, 3, 1, 1)).astype(np.float32) for _ in range(3)]
point = np.zeros((1, 7, 7, 1), np.float32)
point[0, 3, 3] = 1

seven = point
for kernel in three:
    seven = ops.convolve(seven, kernel, padding=1)
seven = seven[0, :, :, :, None]
assert seven.shape == (7, 7, 1, 1)

picture = rng.integers(-5, 6, (1, 20, 20, 1)).astype(np.float32)
step_by_step = picture
for kernel in three:
    step_by_step = ops.convolve(step_by_step, kernel, padding="VALID")
at_once = ops.convolve(picture, seven, padding="VALID")
assert (step_by_step == at_once).all()

# %% [markdown]
# Equal in every bit. 27 numbers make a kernel of 49, so most 7x7 kernels cannot be made this way. What the stack
# gains, it gains from the ReLU between its layers, which breaks this up: three decisions in place of one.

# %%
decided = picture
for kernel in three[:-1]:
    decided = ops.relu(ops.convolve(decided, kernel, padding="VALID"))
decided = ops.convolve(decided, three[-1], padding="VALID")
print(f"with ReLU in between, {float((decided != at_once).mean()):.0%} of the results differ")
assert (decided != at_once).mean() > 0.5

# %% [markdown]
# ## Five networks that differ in one thing
#
# That is the method of the paper. Its table 1 has five columns, A to E, which differ in the number of layers:

# %%
networks = {letter: analysis.show_named(f"vgg:{letter}") for letter in "ABCDE"}
millions = {}
for letter, table in networks.items():
    weight_layers = sum(bool(row.params) for row in table)
    millions[letter] = round(table.total.params / 1e6, 2)
    field = table["pool5"].receptive_field[0]
    print(
        f"{letter}: {weight_layers} layers, {millions[letter]} M parameters, "
        f"{table.total.macs / 1e9:.2f} G MACs, field {field}"
    )
assert millions == {"A": 132.86, "B": 133.05, "C": 133.64, "D": 138.36, "E": 143.67}
assert networks["B"]["pool5"].receptive_field == networks["C"]["pool5"].receptive_field

# %% [markdown]
# Depth costs few parameters (nearly all are in the fully connected layers, which all five have) and much arithmetic.
# C has as many layers as D, but its third convolutions are 1x1 and do not see any further than B.
#
# The paper's errors on ImageNet (its table 3, trained and tested at one scale), beside what each network costs:

# %%
published = {"A": 29.6, "B": 28.7, "C": 28.1, "D": 27.0, "E": 27.3}  # top-1 error, %
figure = plotting.new_figure(5.6, 3.0)
axes = figure.subplots()
for (letter, error), marker in zip(published.items(), MARKERS, strict=False):
    cost = networks[letter].total.macs / 1e9
    axes.plot(cost, error, marker, color=PALETTE[1])
    axes.annotate(letter, (cost, error), (6, 3), textcoords="offset points")
axes.set(xlabel="billion multiply-accumulates for a picture", ylabel="top-1 error (%), published")
figure

# %% [markdown]
# Each step down is an argument: A to B, depth helps. B to C, a layer helps even when it sees no further. C to D,
# seeing further helps more. D to E, enough. (One run each, and no interval: read the last step with care.)

# %% [markdown]
# ## Why nobody did it before
#
# Deep stacks of layers did not train. The authors trained A first and started the deeper ones from its layers
# (section 3.1). The trouble is visible before the first step. Draw the weights at random, and look how strongly each
# layer responds to pictures:

# %%
images = shapes.render(range(32), split="train")["image"]
pixels = (images / np.float32(255) - images.mean() / np.float32(255)) / np.float32((images / 255).std())
pixels = pixels.astype(np.float32)
figure = plotting.new_figure(6.6, 3.4)
axes = figure.subplots()
kinds = {"gaussian": "deviation 0.01 (AlexNet)", "glorot": "Glorot and Bengio 2010", "he": "He et al. 2015"}
spread = {}
for (kind, words), marker in zip(kinds.items(), MARKERS, strict=False):
    model = cnn_jax.create("vgg:E,width=0.25", initializer=kind, num_classes=10)
    rows = responses((model, model.init(jax.random.key(0), pixels[:1])), pixels)[:-1]
    spread[kind] = [row.std for row in rows]
    axes.semilogy(range(1, len(rows) + 1), spread[kind], marker=marker, markersize=4, label=words)
axes.yaxis.set_major_formatter("{x:.0e}")
axes.set(xlabel="layer, from the first", ylabel="standard deviation\nof its responses", xticks=range(2, 19, 4))
axes.legend(title="initial weights")
figure

# %% [markdown]
# With small weights of one size every layer multiplies the signal by a constant well below one, and after nineteen
# layers it is gone; the gradient on its way back fares no better. Glorot's rule scales the weights by the size of the
# layer, and He's allows for the half of the signal that a ReLU takes away. A network that starts like the first line
# has hardly a gradient to learn from.

# %%
assert spread["gaussian"][-1] < 1e-6 * spread["gaussian"][0]
assert 1e-3 < spread["he"][-1] / spread["he"][0] < 1e3
for kind, values in spread.items():
    print(f"{kind}: from {values[0]:.2g} to {values[-1]:.2g}")

# %% [markdown]
# ## Does the trade pay here?
#
# The paper replaced the pairs of 3x3 layers in B by single 5x5 layers and lost 7 points (section 4.1). Let us try
# this on small networks, with three seeds each, and judge by the interval of the difference and not by eye. Both
# networks see equally far.

# %%
data = symbols_dataset(symbols(2000, seed=0), symbols(300, seed=1), symbols(1000, seed=2))
recipe = {
    "batch_size": 50,
    "total_steps": 120,
    "optimizer": {"name": "momentum", "learning_rate": 0.05},
    "schedule": {"name": "cosine", "warmup_steps": 20},
    "eval_every": 120,
    "checkpoint_every": 120,
}
arms = {
    "two 3x3": {"name": "vgg:small", "stage_sizes": (2, 2, 2), "features": (8, 16, 32), "head": "gap", "norm": "batch"},
    "one 5x5": {
        "name": "vgg:small",
        "stage_sizes": (1, 1, 1),
        "features": (8, 16, 32),
        "head": "gap",
        "norm": "batch",
        "kernel_size": 5,
    },
}
folder = tempfile.TemporaryDirectory()
errors = {}
for name, model in arms.items():
    members = [
        Member({**recipe, "model": model, "seed": seed}, Path(folder.name) / f"{name} {seed}", Silence())
        for seed in range(3)
    ]
    errors[name] = [100 * (1 - outcome["test"]["accuracy"]) for outcome in train_population(members, dataset=data)]
    total = cnn_jax.show(cnn_jax.load(members[0].workdir).model, (32, 32, 1)).total
    interval = mean_interval(errors[name])
    print(f"{name}: {total.weights:,} weights, test error {interval.mean:.1f} ± {interval.half:.1f}% (n = 3 seeds)")

# %%
difference = paired_difference(errors["two 3x3"], errors["one 5x5"])
print(f"two 3x3 less one 5x5: {difference.mean:+.1f} points, 95% interval {difference.lo:+.1f} to {difference.hi:+.1f}")
print("separated" if difference.separated else f"not separated at n = {difference.n}")

# %% [markdown]
# Whatever the cell above says on your machine, read it as it is written. Three short runs of small networks on 2,000
# pictures have wide intervals. "Not separated" means that we do not know, and not that there is no difference.
# `experiments/two_small_or_one_large.py` asks the same with more runs.

# %% [markdown]
# ## Where the memory goes
#
# Depth at full resolution costs memory, because training keeps every map for the way back. Of VGG-16, the numbers
# that one picture needs, stage by stage:

# %%
stages = {
    f"conv{i}": sum(row.activations for row in networks["D"] if row.name.startswith(f"conv{i}")) for i in range(1, 6)
}
floats = math.prod(networks["D"].input) + networks["D"].total.activations
for name, count in stages.items():
    print(f"{name}: {count:>9,} numbers, {count / floats:5.1%}")
assert floats == 15_237_608

# %% [markdown]
# ## Exercises
#
# 1. Two 3x3 layers have 18 $C^2$ weights and one 5x5 has 25 $C^2$. At which number of channels *between* the two
#    small layers do they cost the same?
# 2. Try 2x2 kernels: how many layers see as far as one 3x3? What becomes of the weights? Why did nobody do that?
#    (Where is the middle of a 2x2 kernel?)
# 3. Compute by hand the factor by which one layer of "deviation 0.01" multiplies the signal, from the number of
#    inputs of a unit. Which deviation would keep it? Compare with He's rule.
# 4. Add `norm="batch"` to the network of the third picture. What happens to the lines, and why do initial weights
#    matter less since then?
# 5. Raise the number of seeds in the comparison until it is separated, one way or the other. Before you start, write
#    down when you will stop. Why does that matter?
