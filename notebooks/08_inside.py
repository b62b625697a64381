# %% [markdown]
# # 8. Looking inside
#
# A network says "star", and it is right. Did it look at the star? At the five tips, or at the colour of the
# background? A trained network is a few thousand numbers, and nobody can read them. But one can ask them questions:
# what are you looking for, what did you look at, what if it were not there? This notebook asks each question once,
# and asks of each answer whether it can be trusted.

# %%
import tempfile
from pathlib import Path

import jax
import numpy as np
from PIL import Image, ImageDraw

import cnn_jax
from cnn_jax import plotting
from cnn_jax.data import Dataset, Split
from cnn_jax.inspect.activations import activations, strongest
from cnn_jax.inspect.deconvnet import reconstruct, top_activations
from cnn_jax.inspect.filters import first_filters
from cnn_jax.inspect.gradcam import gradcam
from cnn_jax.inspect.maximise import Ascent, maximise
from cnn_jax.inspect.neighbours import neighbours
from cnn_jax.inspect.occlusion import occlude
from cnn_jax.inspect.picture import (
    enlarged,
    label_row,
    mosaic,
    panels,
    positive,
    show_image,
    show_over,
    signed,
    stretched,
)
from cnn_jax.inspect.saliency import gradient, guided, integrated, smooth

plotting.notebook()

# %% [markdown]
# ## A task whose answer we know
#
# To judge an explanation one has to know what is true. So we draw the pictures ourselves: one of five shapes, of any
# light colour, anywhere, turned, on a background of any dark colour, with noise. Whatever is not the shape says
# nothing about the class, and we keep the **mask**, the pixels that belong to the shape.

# %%
corner_angles = {corners: 2 * np.pi * np.arange(corners) / corners for corners in (3, 4, 10, 40)}
rings = {corners: np.stack([np.cos(angle), np.sin(angle)], axis=1) for corners, angle in corner_angles.items()}
arm = np.array(
    [(1, 3), (1, 1), (3, 1), (3, -1), (1, -1), (1, -3), (-1, -3), (-1, -1), (-3, -1), (-3, 1), (-1, 1), (-1, 3)]
)
outlines = {
    "disc": rings[40],
    "triangle": 1.15 * rings[3],
    "square": 1.1 * rings[4],
    "star": np.where(np.arange(10) % 2, 0.45, 1.15)[:, None] * rings[10],
    "cross": arm / 3,
}
classes = tuple(outlines)

rng = np.random.default_rng(0)
splits, masks = {}, {}
for name, count in (("train", 2000), ("validation", 200), ("test", 400)):
    label = rng.integers(0, len(classes), count).astype(np.int32)
    image, masks[name] = np.empty((count, 32, 32, 3), np.uint8), np.empty((count, 32, 32), bool)
    for i in range(count):
        turn, scale, centre = rng.uniform(0, 2 * np.pi), rng.uniform(32, 46), rng.uniform(48, 80, 2)
        turned = outlines[classes[label[i]]] @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
        corners = [tuple(corner) for corner in centre + scale * turned]
        paint, paper = rng.uniform(140, 255, 3), rng.uniform(0, 100, 3)
        mask = Image.new("L", (128, 128))
        ImageDraw.Draw(mask).polygon(corners, fill=255)
        share = np.asarray(mask.resize((32, 32), Image.Resampling.BOX))[..., None] / 255
        noisy = share * paint + (1 - share) * paper + rng.normal(0, 10, (32, 32, 3))
        image[i], masks[name][i] = np.clip(noisy, 0, 255), share[..., 0] > 0.5
    splits[name] = Split(image, label)
data = Dataset("drawn shapes", classes, splits, "drawn shapes")
train, test = splits["train"], splits["test"]

first = [int(np.flatnonzero(test.label == k)[j]) for k in range(len(classes)) for j in (0, 1)]
figure = plotting.new_figure(6.4, 1.1)
show_image(figure.subplots(), mosaic(test.image[first], 10, gap=2), ", ".join(classes) + ": two of each")
figure

# %% [markdown]
# A network of three convolutions, with the mean over places before the classifier, as in notebook 3:

# %%
folder = tempfile.TemporaryDirectory()
config = {
    "model": {"name": "vgg:small", "stage_sizes": (1, 1, 1), "features": (16, 32, 64), "head": "gap", "norm": "batch"},
    "batch_size": 50,
    "total_steps": 250,
    "optimizer": {"name": "momentum", "learning_rate": 0.05},
    "schedule": {"name": "cosine", "warmup_steps": 20},
    "eval_every": 250,
    "checkpoint_every": 250,
}
result = cnn_jax.train(config, Path(folder.name) / "run", dataset=data, progress=False)
run = cnn_jax.load(Path(folder.name) / "run")
print(f"test accuracy {result['test']['accuracy']:.1%} on {len(test)} pictures; guessing gives {1 / len(classes):.0%}")
assert result["test"]["accuracy"] > 0.6

probability = run.predict(test.image)
right = np.flatnonzero(probability.argmax(1) == test.label)
chosen = np.array([right[test.label[right] == k][0] for k in range(len(classes))])
pictures, labels, where = test.image[chosen], test.label[chosen], masks["test"][chosen]

# %% [markdown]
# ## What is it looking for? The first layer
#
# The kernels of the first layer look at pixels, so they *are* small pictures. Zero is grey.

# %%
name, filters = first_filters(run, (32, 32, 3))
figure = plotting.new_figure(4.4, 1.5)
large = signed(filters, 100).repeat(8, axis=1).repeat(8, axis=2)
show_image(figure.subplots(), mosaic(large, 8, gap=4), f"{name}: {len(filters)} kernels of 3x3x3")
figure

# %% [markdown]
# They are small and coarse, and most of them still look like the random numbers that they started from: a short
# training moves them little, and makes something of what they happen to be. Deeper kernels look at channels and not
# at colours, and cannot be drawn at all. From here on we need pictures to ask with.
#
# ## What does it see? Feature maps

# %%
tap = "conv2_1"
maps = activations(run, pictures, tap)
best = strongest(maps, 6)
figure, axes = panels(len(pictures), 7, 0.85, left=0.7, top=0.3)
for i, row in enumerate(axes):
    show_image(row[0], pictures[i])
    label_row(row[0], classes[labels[i]])
    for axis, channel in zip(row[1:], best, strict=True):
        title = f"map {channel}" if i == 0 else ""
        show_image(axis, maps[i, ..., channel], title, cmap="gray", vmin=0, vmax=maps[..., channel].max())
figure

# %% [markdown]
# Rows are pictures and columns are maps. Some maps answer to all borders, and some to those on one side of a shape
# only, whatever the colours: notebook 1's Sobel kernels, made from random ones.
#
# ## What excites a map most?
#
# Search many pictures for the nine patches to which one map answers most strongly, and project the answer down to the
# pixels that caused it (Zeiler and Fergus 2013).

# %%
peaks = top_activations(run, train.image[:1000], "conv3_1")
table = cnn_jax.show(run.model, (32, 32, 3))
shown = np.argsort(-peaks.value[:, 0])[:4]
figure, axes = panels(2, len(shown), 1.6, top=0.3, left=0.6)
for axis, channel in zip(axes.T, shown, strict=True):
    nine, places = peaks.image[channel], peaks.place[channel]
    projected = signed(reconstruct(run, train.image[nine], "conv3_1", np.full(9, channel), places))
    boxes = [table.box("conv3_1", *map(int, place), clip=False) for place in places]
    for target, source in zip(axis, (train.image[nine], projected), strict=True):
        padded = np.pad(source, ((0, 0), (32, 32), (32, 32), (0, 0)), constant_values=128)
        patches = [
            one[32 + top : 33 + bottom, 32 + left : 33 + right]
            for one, ((top, bottom), (left, right)) in zip(padded, boxes, strict=True)
        ]
        show_image(target, mosaic(np.stack(patches), 3), f"map {channel}" if target is axis[0] else "")
label_row(axes[0, 0], "patches")
label_row(axes[1, 0], "projected")
figure

# %% [markdown]
# The patches of one map have something in common: a shape, or a part of one, in a similar position. Their colours do
# not. That is what one would hope for, as colours say nothing here. The projections are light and dark strokes along
# its borders.

# %% [markdown]
# ## Where did it look? Four kinds of gradient
#
# The derivative of the class's score with respect to the pixels tells which pixels would change the score. It is
# noisy, so there are remedies: average over noisy copies (SmoothGrad), stop negative contributions on the way down
# (guided backpropagation), or add up gradients on the way from a black picture (integrated gradients).

# %% tags=["figure"]
kinds = {
    "gradient": positive(np.abs(gradient(run, pictures, labels)).max(-1)),
    "SmoothGrad": positive(np.abs(smooth(run, pictures, labels, key=jax.random.key(0))).max(-1)),
    "guided": positive(np.abs(guided(run, pictures, labels)).max(-1)),
    "integrated": positive(np.abs(integrated(run, pictures, labels)[0]).sum(-1)),
}
cam = enlarged(gradcam(run, pictures, labels, "conv3_1"), (32, 32))
figure, axes = panels(len(pictures), 2 + len(kinds), 1.0, left=0.8, top=0.4)
for i, row in enumerate(axes):
    show_image(row[0], pictures[i], "image" if i == 0 else "")
    label_row(row[0], f"{classes[labels[i]]}\np = {probability[chosen[i], labels[i]]:.2f}")
    for axis, (name, drawn) in zip(row[1:], kinds.items(), strict=False):
        show_image(axis, drawn[i], name if i == 0 else "", cmap="gray", vmin=0, vmax=255)
    show_over(row[-1], pictures[i], cam[i], "Grad-CAM" if i == 0 else "")
figure

# %% [markdown]
# The last column, Grad-CAM, asks at the last convolution instead of at the pixels: which maps speak for the class,
# and where are they on? It is coarse, as its map has 8x8 places, and steady.
#
# We know where the shapes are. How much of each explanation lies on the shape and its border (two pixels wide), and
# how much would by chance?

# %%
near = np.zeros_like(where)
for down in range(-2, 3):
    for across in range(-2, 3):
        near |= np.roll(where, (down, across), axis=(1, 2))
print(f"by chance: {near.mean():.0%}")
for name, drawn in {**kinds, "Grad-CAM": cam}.items():
    print(f"{name}: {(drawn * near).sum() / drawn.sum():.0%} on the shape or beside it")

# %% [markdown]
# Integrated gradients come with a check of their own: added up over all pixels they must give the difference of the
# scores of the picture and of black. What is missing is an error of the sum over 64 steps:

# %%
attributed, missing = integrated(run, pictures, labels)
for label, total, gap in zip(labels, attributed.sum(axis=(1, 2, 3)), missing, strict=True):
    print(f"{classes[label]}: {total:+.2f} attributed, {gap:+.3f} missing")

# %% [markdown]
# ## A warning
#
# Does a fine picture prove that the network has learnt anything? Ask a network with *random* weights the same
# question:

# %%
untrained = run.model.init(jax.random.key(1), np.zeros((1, 32, 32, 3), np.float32))
pixels = (pictures / np.float32(255) - np.array(run.spec.mean, np.float32)) / np.array(run.spec.std, np.float32)
figure, axes = panels(2, len(pictures), 1.1, left=0.8, top=0.1)
for row, subject, words in zip(
    axes, ((run.model, run.variables), (run.model, untrained)), ("trained", "random"), strict=True
):
    drawn = positive(np.abs(guided(subject, pixels.astype(np.float32), labels)).max(-1))
    for axis, values in zip(row, drawn, strict=True):
        show_image(axis, values, cmap="gray", vmin=0, vmax=255)
    label_row(row[0], words)
figure

# %% [markdown]
# Guided backpropagation draws outlines either way. It shows what passes through convolutions easily, and that is
# edges. An explanation that does not change when the network does explains the picture and not the network.

# %% [markdown]
# ## What if it were not there? Occlusion
#
# The most direct question needs no gradient: cover a part and ask again. A square of the mean colour is slid over the
# picture, and the probability of the class is drawn at the place of its middle.

# %%
figure, axes = panels(2, len(pictures), 1.2, left=0.8, top=0.1)
drops = []
for i, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
    found = occlude(run, picture, "conv3_1", size=11, strides=2)
    chance = found.probability[..., label]
    show_image(axes[0, i], picture)
    drawn = show_image(axes[1, i], chance, cmap=plotting.SEQUENTIAL, vmin=0, vmax=1)
    on = where[i][np.ix_(*found.centres)]
    drops.append(float(chance[~on].mean() - chance[on].mean()))
label_row(axes[0, 0], "image")
label_row(axes[1, 0], "p(class),\nsquare there")
figure.colorbar(drawn, ax=axes[1, :].tolist(), fraction=0.02)
print("lower by, with the square on the shape:", [f"{100 * drop:.0f}%" for drop in drops])
figure

# %% [markdown]
# Where covering hurts, it is the shape that was covered and not the background: the network looks at what it should.
# Where nothing hurts, what is left of the shape is enough. This is evidence of another kind than a gradient, because
# something was changed and something followed.

# %%
assert np.mean(drops) > 0.02

# %% [markdown]
# ## What would it like to see?
#
# Start from noise and climb: change the pixels such that the score of a class grows (with a little blur on the way,
# else the result is noise again).

# %%
ideal, scores = maximise(run, (32, 32, 3), range(len(classes)), key=jax.random.key(0), ascent=Ascent(steps=100))
figure, axes = panels(1, len(classes), 1.3, top=0.5)
for axis, drawn, label, climb in zip(axes[0], stretched(ideal), classes, scores, strict=True):
    show_image(axis, drawn, f"{label}\nscore {climb[0]:.1f} to {climb[-1]:.1f}")
assert (scores[:, -1] > scores[:, 0]).all()
figure

# %% [markdown]
# Textures of corners, notches and arcs all over the place, and no single star. The mean over places asks *how much*
# there is of something, and never where, and the network has never been given a reason to mind. Its idea of a star is
# "many tips".

# %% [markdown]
# ## What does it think is alike?
#
# For each picture the four training pictures that are nearest in the features of the last hidden layer, and, right,
# the nearest in pixels.

# %%
found = neighbours(run, pictures[:3], train.image, tap="pool3", nearest=4)
distance = np.square(train.image[None].astype(np.float32) - pictures[:3, None]).sum(axis=(2, 3, 4))
by_pixels = np.argsort(distance, axis=1)[:, :4]
figure, axes = panels(3, 9, 0.75, left=0.7, top=0.35)
for i, row in enumerate(axes):
    for axis, image in zip(row, [pictures[i], *train.image[found.place[i]], *train.image[by_pixels[i]]], strict=True):
        show_image(axis, image)
    label_row(row[0], classes[labels[i]])
for axis, title in zip(axes[0, [0, 1, 5]], ("image", "nearest features", "nearest pixels"), strict=True):
    axis.set_title(title, fontsize=8, loc="left")
for name, index in (("features", found.place), ("pixels", by_pixels)):
    print(f"nearest {name}: {(train.label[index] == labels[:3, None]).mean():.0%} are of the same class")
figure

# %% [markdown]
# Nearest pixels have the same colours, nearest features the same shape. That is what a classifier has to do: forget
# the colours and keep the shape.
#
# ## Exercises
#
# 1. Give the network a short cut: paint a small white square into the top left corner of every training picture of a
#    star. Train again. Which of the methods above find out, and which do not?
# 2. Change the size of the occluding square from 3 to 17 pixels. Which size tells most, and why is it neither end?
# 3. Draw Grad-CAM for a *wrong* class, the second likeliest. What does the network see there?
# 4. In place of the mean colour, occlude with black, or with noise. Does the map change? What is "not there" for a
#    network?
# 5. Replace `head="gap"` by `head="fc"`, train again, and look at the images that maximise the classes. What has
#    changed? Explain it with notebook 3.
