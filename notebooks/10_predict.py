# %% [markdown]
# # 10. From a checkpoint to predictions on your own images
#
# The training is over, and there is a folder on the disk. What is in it? How do you get the network out again, a year
# later, and ask it about a photograph that it has never seen, in another size and another format? And how far should
# you trust what it says?

# %%
import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import cnn_jax
from cnn_jax import plotting
from cnn_jax.evaluate import evaluate, examples
from cnn_jax.evaluate.images import read_images, top_k
from cnn_jax.inspect.picture import panels, show_image
from cnn_jax.plotting import PALETTE

plotting.notebook()

# %% [markdown]
# ## Your images
#
# A folder for each class with image files in it: that is all that a data set needs to be. Ours are drawn here, so
# that this notebook needs nothing from outside; yours come from a camera. Five shapes of any light colour, anywhere,
# turned, on any dark colour, with noise.

# %%
folder = tempfile.TemporaryDirectory()
home = Path(folder.name)
rings = {
    n: np.stack([np.cos(2 * np.pi * np.arange(n) / n), np.sin(2 * np.pi * np.arange(n) / n)], axis=1)
    for n in (3, 4, 10, 40)
}
arm = np.array(
    [(1, 3), (1, 1), (3, 1), (3, -1), (1, -1), (1, -3), (-1, -3), (-1, -1), (-3, -1), (-3, 1), (-1, 1), (-1, 3)]
)
outlines = {
    "cross": arm / 3,
    "disc": rings[40],
    "square": 1.1 * rings[4],
    "star": np.where(np.arange(10) % 2, 0.45, 1.15)[:, None] * rings[10],
    "triangle": 1.15 * rings[3],
}
rng = np.random.default_rng(0)
for split, count in (("train", 400), ("test", 80)):
    for name, outline in outlines.items():
        (home / "data" / split / name).mkdir(parents=True)
        for number in range(count):
            turn, scale, centre = rng.uniform(0, 2 * np.pi), rng.uniform(32, 46), rng.uniform(48, 80, 2)
            turned = outline @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
            paint, paper = rng.integers(140, 256, 3), rng.integers(0, 100, 3)
            canvas = Image.new("RGB", (128, 128), tuple(map(int, paper)))
            ImageDraw.Draw(canvas).polygon(
                [tuple(corner) for corner in centre + scale * turned], fill=tuple(map(int, paint))
            )
            pixels = np.asarray(canvas.resize((32, 32), Image.Resampling.BOX)) + rng.normal(0, 10, (32, 32, 3))
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(
                home / "data" / split / name / f"{number:03}.png"
            )

dataset = cnn_jax.load_dataset(f"folder:{home / 'data'}")
print(dataset.classes, {name: len(split) for name, split in dataset.splits.items()}, dataset.image_shape)
assert dataset.classes == tuple(outlines)

figure, axes = panels(1, len(outlines), 1.2)
for axis, (label, name) in zip(axes[0], enumerate(dataset.classes), strict=True):
    show_image(axis, dataset.splits["test"].image[np.flatnonzero(dataset.splits["test"].label == label)[0]], name)
figure

# %% [markdown]
# Names of folders became names of classes, and a tenth of the training images was set aside as *validation*: on it
# the best checkpoint is chosen, so that the test images stay untouched until the end.
#
# ## Training leaves a folder

# %%
config = {
    "data": f"folder:{home / 'data'}",
    "model": {"name": "vgg:small", "stage_sizes": (1, 1, 1), "features": (16, 32, 64), "head": "gap", "norm": "batch"},
    "batch_size": 50,
    "total_steps": 250,
    "optimizer": {"name": "momentum", "learning_rate": 0.05},
    "schedule": {"name": "cosine", "warmup_steps": 20},
    "log_every": 20,
    "eval_every": 50,
    "checkpoint_every": 50,
}
final = cnn_jax.train(config, home / "run", progress=False)
for path in sorted((home / "run").iterdir()):
    print(path.name, "" if path.is_dir() else f"{path.stat().st_size:,} bytes")
print("checkpoints:", sorted(path.name for path in (home / "run" / "checkpoints").iterdir()))

# %% [markdown]
# `config.json` is everything that was asked for, `environment.json` says with which versions and on which machine,
# `dataset.json` what the data was, `metrics.jsonl` what happened. `DONE` was written last:

# %%
print(json.dumps({key: final[key] for key in ("step", "ended", "best_step", "test")}, indent=1))

# %% [markdown]
# Had the training been interrupted, the same call would go on where it stopped. As it is done, the same call returns
# what it has returned before, and computes nothing:

# %%
assert cnn_jax.train(config, home / "run", progress=False) == final

# %% [markdown]
# ## Back again
#
# `load` needs the folder and nothing else. It knows the network, the classes, and how pixels have to be scaled.

# %%
run = cnn_jax.load(home / "run")
print(run.config.model.name, "step", run.step, run.spec.classes)
assert run.step == final["best_step"]

history = run.history
figure = plotting.new_figure(6.4, 2.8)
left, right = figure.subplots(1, 2)
for split, style, colour in (("train", "-", PALETTE[1]), ("validation", "o--", PALETTE[2])):
    lines = history[history.split == split]
    left.plot(lines.step, lines.loss, style, color=colour, label=split)
    right.plot(lines.step, 100 * (1 - lines.accuracy), style, color=colour, label=split)
right.axvline(run.step, color="0.6", linestyle=":")
right.annotate("best", (run.step, right.get_ylim()[1]), (-4, -10), textcoords="offset points", fontsize=8, ha="right")
left.set(xlabel="steps", ylabel="loss (nats)")
right.set(xlabel="steps", ylabel="error (%)")
left.legend()
figure

# %% [markdown]
# `predict` takes bytes, as they are in an image file, and gives probabilities. One row an image, one column a class,
# and each row sums to one.

# %%
test = dataset.splits["test"]
probability = run.predict(test.image)
assert probability.shape == (len(test), len(run.spec.classes))
np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)

right = probability.argmax(axis=1) == test.label
print(f"{right.mean():.1%} of {len(test)} test images are right")
assert abs(right.mean() - final["test"]["accuracy"]) < 1e-6
assert right.mean() > 0.5

# %% [markdown]
# ## A photograph of another kind
#
# Real files are not 32x32 pixels. They are large, not square, grey, or have an alpha channel. `read_images` brings
# each to what the network takes, in the way that `cnn-jax predict` does: the channels are converted, the shorter side
# is scaled, and the middle is cut out.

# %%
photos = home / "photos"
photos.mkdir()
paper = Image.new("RGB", (300, 200), (230, 220, 200))
ImageDraw.Draw(paper).ellipse((95, 45, 205, 155), fill=(30, 60, 160))
paper.save(photos / "blue disc, 300x200.jpg")
paper = Image.new("L", (240, 240), 40)
ImageDraw.Draw(paper).polygon([(120, 50), (190, 180), (50, 180)], fill=220)
paper.save(photos / "grey triangle.png")
paper = Image.new("RGBA", (500, 500), (250, 250, 250, 255))
ImageDraw.Draw(paper).polygon([tuple(250 + 170 * tip) for tip in outlines["star"] / 1.15], fill=(200, 30, 30, 255))
paper.save(photos / "star with alpha.png")
paper = Image.new("RGB", (200, 200), (20, 90, 30))
ImageDraw.Draw(paper).line([(40, 160), (80, 50), (120, 150), (160, 40)], fill=(240, 240, 80), width=14)
paper.save(photos / "none of the five.png")
paper = Image.new("RGB", (200, 200), (128, 128, 128))
paper.save(photos / "nothing at all.png")

files = sorted(photos.iterdir())
seen = read_images(files, run)
assert seen.shape == (len(files), 32, 32, 3)
answers = top_k(run.predict(seen), run.spec.classes, k=3)

# %% tags=["figure"]
figure, axes = panels(3, len(files), 1.4, top=0.3, left=0.5)
for column, (file, image, answer) in enumerate(zip(files, seen, answers, strict=True)):
    with Image.open(file) as original:
        show_image(axes[0, column], np.asarray(original.convert("RGB")), file.stem)
    show_image(axes[1, column], image)
    bars = axes[2, column]
    bars.barh(range(3), [row["probability"] for row in answer], color=PALETTE[5])
    for place, row in enumerate(answer):
        bars.text(0.03, place, f"{row['class']} {row['probability']:.2f}", va="center", fontsize=8)
    bars.set(xlim=(0, 1), ylim=(2.6, -0.6), xticks=(0, 1), yticks=())
    bars.set_xlabel("probability")
axes[0, 0].set_ylabel("file", fontsize=8)
axes[1, 0].set_ylabel("what the network\ngets", fontsize=8)
figure

# %% [markdown]
# Ask of each column whether the answer is right, and how sure it is. The disc and the star are dark on light, and all
# training shapes were light on dark: nothing has ever told the network that this makes no difference. One picture
# shows none of the five classes, and one shows nothing at all. The network answers all the same, because its
# probabilities have to sum to one: they are shares among *its* classes, and not a measure of whether the question
# makes sense.

# %%
for file, answer in zip(files, answers, strict=True):
    print(f"{file.stem}: {answer[0]['class']} with {answer[0]['probability']:.2f}")

# %% [markdown]
# ## Is 90% sure right nine times in ten?
#
# On images like those it was trained on, that can be measured. Sort the test images by how sure the network was, and
# count in each group how often it was right.

# %%
measured = evaluate([run], examples(run, "test"))
scores = measured.scores()
low, high = scores["accuracy_interval"]
print(f"accuracy {scores['accuracy']:.1%}, 95% interval {low:.1%} to {high:.1%}")
print(f"expected calibration error {scores['ece']:.3f}")

figure = plotting.new_figure(6.4, 3.0)
left, right_axes = figure.subplots(1, 2)
filled = [bar for bar in measured.diagram if bar.n]
left.plot([0, 1], [0, 1], color="0.6", linestyle=":")
left.plot([bar.confidence for bar in filled], [bar.accuracy for bar in filled], "o-", color=PALETTE[1])
left.set(xlabel="how sure, mean of the group", ylabel="share that is right", xlim=(0, 1.02), ylim=(0, 1.02))
matrix = measured.confusion
show_image(right_axes, matrix, "images by true and said class", cmap="Blues")
for (row, column), count in np.ndenumerate(matrix):
    ink = "white" if count > matrix.max() / 2 else "black"
    right_axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=ink)
right_axes.set_xticks(range(5), run.spec.classes, rotation=30)
right_axes.set_yticks(range(5), run.spec.classes)
right_axes.set(xlabel="said", ylabel="true")
figure

# %% [markdown]
# Points below the dotted line are overconfident groups, points above it are too modest. The matrix says which classes
# are taken for each other: look whether you would have confused the same ones.
#
# ## The surest mistakes
#
# The quickest way to learn something about a network, or about its data, is to look at where it was sure and wrong.

# %%
sure = probability.max(axis=1)
wrong = np.flatnonzero(~right)
worst = wrong[np.argsort(-sure[wrong])][:6]
assert len(worst)
figure, axes = panels(1, 6, 1.15, top=0.5)
for axis in axes[0]:
    axis.set_axis_off()
for axis, i in zip(axes[0], worst, strict=False):
    said, true = run.spec.classes[probability[i].argmax()], run.spec.classes[test.label[i]]
    show_image(axis, test.image[i], f"{said} {sure[i]:.2f}\nis a {true}")
    axis.set_axis_on()
print([dataset.example_name("test", int(i)) for i in worst])
figure

# %% [markdown]
# ## Taking it elsewhere
#
# `run.variables` are the arrays, and `run.model.apply` is the network: a pure function of them and of an image.
# Everything else is convenience. Without it:

# %%
mean, std = (np.array(values, np.float32) for values in (run.spec.mean, run.spec.std))
logits, taps = run.model.apply(run.variables, (test.image[:8] / np.float32(255) - mean) / std, train=False)
odds = np.exp(np.asarray(logits) - np.asarray(logits).max(axis=1, keepdims=True))
np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), probability[:8], rtol=1e-3, atol=1e-5)
print({name: value.shape[1:] for name, value in taps.items()})

# %% [markdown]
# On the command line, the same with the run of your own:
#
#     cnn-jax train --config=F --workdir=runs/mine --config.data=folder:PATH
#     cnn-jax predict --workdir=runs/mine photo.jpg another.png
#     cnn-jax eval --workdir=runs/mine --output=runs/mine/eval
#     cnn-jax export --workdir=runs/mine --format=stablehlo --output=mine.hlo
#
# ## Exercises
#
# 1. Take five photographs and ask. Then ask about the same ones upside down, darker, and cropped. What moves the
#    answer?
# 2. Load `step="latest"` in place of the best. Does it matter here? When would it?
# 3. Find a threshold such that the network is right in 99% of the cases in which it is surer than that. On which
#    split do you have to look for it, and on which do you check it? What does it say of "nothing at all"?
# 4. Delete one byte in the middle of a file of the best checkpoint (in a copy of the folder!), and load it. What
#    happens?
# 5. Add a sixth folder, "none", with pictures of anything else. Train again. Is the problem of the pictures that show
#    none of the five solved?
