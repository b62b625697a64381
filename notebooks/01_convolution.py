# %% [markdown]
# # 1. What is a convolution?
#
# A photograph is a table of numbers. Somewhere in it the numbers change fast, and we call that an edge. How would you
# find the edges with arithmetic alone, and with the *same* arithmetic at every place of the picture?
#
# This notebook answers with one operation. You slide a small table of weights, the **kernel**, over a large table of
# numbers, and at every place you multiply and add. Everything else in a convolutional network is a question about
# that operation: what happens at the border, how far the kernel steps, how many kernels there are, and who chooses
# the weights.

# %%
import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import ops, plotting
from cnn_jax.data import shapes
from cnn_jax.errors import GeometryError
from cnn_jax.inspect.picture import panels, show_image, show_numbers

plotting.notebook()

# %% [markdown]
# Here is the answer first, as a picture: one image and five kernels, each three by three numbers. Grey is zero in the
# last three pictures.

# %% tags=["figure"]
image = shapes.render([15], split="test", size=64)["image"][0]
grey = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)

names = ["identity", "box", "edge", "sobel_x", "sobel_y"]
figure, axes = panels(1, len(names), 1.5)
for axis, name in zip(axes[0], names, strict=True):
    filtered = ops.conv(grey[None, :, :, None], ops.fixed_kernel(name), padding=1, padding_mode="edge")[0, :, :, 0]
    limits = {"vmin": 0, "vmax": 255} if name in ("identity", "box") else {"vmin": -255, "vmax": 255}
    show_image(axis, filtered, name, cmap="gray", **limits)
figure

# %% [markdown]
# `identity` leaves the picture as it is and `box` blurs it. `edge` answers wherever a pixel differs from its eight
# neighbours. `sobel_x` answers to changes from left to right and `sobel_y` to changes from top to bottom: the same
# operation, other weights.

# %% [markdown]
# ## One dimension, by hand
#
# A signal of ten numbers, and a kernel that takes the mean of three neighbours. At place $i$ the result is $y_i =
# \sum_t g_t f_{i+t}$. Written out in NumPy:

# %%
signal = np.array([4, 3, 2, -5, 3, 5, 2, 5, 5, 6], np.float32)
box = np.full(3, 1 / 3, np.float32)

by_hand = [sum(box[t] * signal[i + t] for t in range(3)) for i in range(len(signal) - 2)]
print(np.round(by_hand, 2))

# %% [markdown]
# There are eight numbers and not ten, because the kernel has only eight places where it lies inside the signal. To
# get ten out, write a zero before and after the signal first. That is **padding**.
#
# `ops.conv` takes a batch of images with channels last, `[N, ..., C]`, and a kernel `[..., C, features]`. Our signal
# is one image with one channel, our kernel makes one feature of one channel.

# %%
x, kernel = signal[None, :, None], box[:, None, None]
valid = ops.conv(x, kernel, padding="VALID")[0, :, 0]
padded = ops.conv(x, kernel, padding=1)[0, :, 0]

np.testing.assert_allclose(valid, by_hand, rtol=1e-5, atol=1e-5)
np.testing.assert_allclose(3 * valid, [9, 0, 0, 3, 10, 12, 12, 16], atol=1e-5)
np.testing.assert_allclose(3 * padded, [7, 9, 0, 0, 3, 10, 12, 12, 16, 11], atol=1e-5)

figure = plotting.new_figure(6.4, 2.6)
axes = figure.subplots()
axes.plot(signal, marker="o", label="signal f")
axes.plot(np.arange(10), padded, marker="s", linestyle="--", label="mean of three, zeros outside")
axes.plot(np.arange(1, 9), valid, marker="^", label="mean of three, no padding")
axes.set(xlabel="place i", ylabel="value", xticks=range(10))
axes.legend(loc="lower right")
figure

# %% [markdown]
# The means are smoother than the signal: the dip at place 3 is spread over its neighbours. The padded result agrees
# with the other one wherever both exist, and at both ends it is pulled towards the zeros that we wrote there.

# %% [markdown]
# ## Two dimensions
#
# The kernel of the lectures that sharpens: five times the pixel, minus its four neighbours. In a region where all
# pixels are equal this gives back the pixel, because the weights add up to one.

# %%
pixels = np.array(
    [[-5, 3, 2, -5, 3], [4, 3, 2, 1, -3], [1, 0, 3, 3, 5], [-2, 0, 1, 4, 4], [5, 6, 7, 9, -1]], np.float32
)
sharpen = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], np.float32)

loop = np.zeros((3, 3))
for row in range(3):
    for column in range(3):
        loop[row, column] = (pixels[row : row + 3, column : column + 3] * sharpen).sum()

sharp = ops.conv(pixels[None, :, :, None], sharpen[:, :, None, None], padding="VALID")[0, :, :, 0]
assert sharp.tolist() == loop.tolist() == [[6, 1, 8], [-7, 9, 2], [-5, -9, 3]]

figure, axes = panels(1, 3, 2.1)
for axis, values, title in zip(
    axes[0], (pixels, sharpen, sharp), ("image 5x5", "kernel 3x3", "result 3x3"), strict=True
):
    show_numbers(axis, np.asarray(values), title, cmap=plotting.DIVERGING, vmin=-10, vmax=10)
figure

# %% [markdown]
# Check one number yourself. The top left result looks at the top left 3x3 pixels: five times the 3 in their middle,
# minus the 3 above, the 4 to the left, the 2 to the right and the 0 below.

# %%
print(5 * 3 - 3 - 4 - 2 - 0)
assert sharp[0, 0] == 5 * 3 - 3 - 4 - 2 - 0

# %% [markdown]
# ## Convolution, or correlation?
#
# In a course on signals the kernel is flipped before it is slid: $y_i = \sum_t g_t f_{i-t}$. Deep learning leaves the
# flip out and calls the result a convolution all the same. With symmetric kernels, such as all of the above, nobody
# can tell. With Sobel's kernel the sign tells:

# %%
sobel = ops.fixed_kernel("sobel_x")
correlated = ops.conv(grey[None, :, :, None], sobel, padding="VALID")
convolved = ops.convolve(grey[None, :, :, None], sobel, padding="VALID")
np.testing.assert_allclose(convolved, -correlated, atol=1e-3)
np.testing.assert_allclose(convolved, ops.conv(grey[None, :, :, None], sobel[::-1, ::-1], padding="VALID"), atol=1e-3)

# %% [markdown]
# A network does not care: it learns its kernels, and would learn the flipped ones instead. The name matters when you
# copy a kernel from a book.

# %% [markdown]
# ## The border
#
# Without padding every layer loses a frame of pixels. Three layers of 5x5 kernels:

# %%
sizes = [32]
for _ in range(3):
    sizes.append(ops.output_size(sizes[-1], 5))
print(sizes)
assert sizes == [32, 28, 24, 20]

# %% [markdown]
# And what lies at the border is looked at less often. How often is each pixel used by a 3x3 kernel? Ask for the
# derivative of the sum of all results with respect to each pixel, with a kernel of ones: each use adds one.

# %%
ones = jnp.ones((3, 3, 1, 1))
without, with_one = (
    jax.grad(lambda x, padding=padding: ops.conv(x, ones, padding=padding).sum())(jnp.zeros((1, 7, 7, 1)))[0, :, :, 0]
    for padding in (0, 1)
)
assert without[0, 0] == 1
assert without[3, 3] == 9
assert with_one[0, 0] == 4

figure, axes = panels(1, 2, 2.4)
show_numbers(axes[0, 0], np.asarray(without), "uses of each pixel,\nno padding", vmin=0, vmax=9)
show_numbers(axes[0, 1], np.asarray(with_one), "uses of each pixel,\npadding 1", vmin=0, vmax=9)
figure

# %% [markdown]
# A corner pixel is used once without padding, and an inner pixel nine times. One ring of padding lifts the corner to
# four. Padding $(K - 1) / 2$ on each side keeps the size of the image for an odd kernel $K$: 1 for 3, 2 for 5, 3 for
# 7.

# %%
for size, pad in ((3, 1), (5, 2), (7, 3)):
    assert ops.output_size(32, size, 1, (pad, pad)) == 32

# %% [markdown]
# What should stand outside? Zeros are what networks use, and they draw a dark frame around the picture. A border can
# also be copied (`edge`), mirrored (`reflect`) or wrapped around (`wrap`).

# %%
modes = ["zeros", "edge", "reflect", "wrap"]
figure, axes = panels(1, len(modes), 1.6)
for axis, mode in zip(axes[0], modes, strict=True):
    show_image(axis, ops.pad(grey[None, :, :, None], ((12, 12), (12, 12)), mode)[0, :, :, 0], mode, cmap="gray")
figure

# %% [markdown]
# ## Steps
#
# With a **stride** of 2 the kernel moves two pixels at a time and the result is half as large. With input $N$, kernel
# $K$, padding $P$ on both sides and stride $S$ there are
#
# $$\frac{N + 2P - K}{S} + 1$$
#
# places. The division need not come out. For a 3x3 kernel on 7x7 pixels the lectures have this table:

# %%
for stride, pad, size in ((1, 0, 5), (2, 0, 3), (1, 1, 7), (1, 2, 9)):
    assert ops.output_size(7, 3, stride, (pad, pad), strict=True) == size
    print(f"stride {stride}, padding {pad}: {size}x{size}")

# %% [markdown]
# Stride 3 gives $(7 - 3) / 3 + 1 = 7/3$. The lectures call that illegal; most libraries take the floor, and then the
# last pixel column is never looked at. `strict=True` refuses, and says what would do:

# %%
assert ops.output_size(7, 3, 3) == 2
assert ops.remainder(7, 3, 3) == 1
try:
    ops.output_size(7, 3, 3, strict=True)
except GeometryError as error:
    print(error)

# %% [markdown]
# Strides make a large picture small in a few layers. From 128 pixels, with 5x5 kernels and no padding:

# %%
chains = {}
for stride in (1, 2):
    chains[stride] = [128]
    while chains[stride][-1] >= 5:
        chains[stride].append(ops.output_size(chains[stride][-1], 5, stride))
assert chains[2] == [128, 62, 29, 13, 5, 1]
assert chains[1][-1] == 4

figure = plotting.new_figure(5.6, 2.6)
axes = figure.subplots()
for (stride, chain), marker in zip(chains.items(), plotting.MARKERS, strict=False):
    axes.plot(chain, marker=marker, markersize=4, label=f"stride {stride}")
axes.set(xlabel="layers", ylabel="pixels along a side")
axes.set_ylim(0)
axes.legend()
figure

# %% [markdown]
# Five layers of stride 2 bring 128 pixels down to one. Stride 1 takes four pixels away at a time, and after 31 layers
# it ends at 4, where no 5x5 kernel fits any more. (One slide has 12 where 13 is right. Compute, do not copy.)

# %%
assert len(chains[1]) - 1 == 31

# %% [markdown]
# ## Channels, and many kernels
#
# A colour picture has three channels. The kernel gets a third axis: at every place, 5x5x3 numbers of the image meet
# 5x5x3 weights, which is a dot product of two vectors of 75 numbers. Ten kernels side by side give ten numbers at
# every place, the ten channels of the result.

# %%
rng = np.random.default_rng(0)
photo = rng.normal(size=(32, 32, 3)).astype(np.float32)
kernels = rng.normal(size=(5, 5, 3, 10)).astype(np.float32)
bias = rng.normal(size=10).astype(np.float32)

features = ops.conv(photo[None], kernels, padding=2)[0] + bias
assert features.shape == (32, 32, 10)

patch = photo[10:15, 20:25].ravel()
assert patch.size == 75
np.testing.assert_allclose(features[12, 22, 7], patch @ kernels[..., 7].ravel() + bias[7], rtol=1e-4, atol=1e-4)

parameters = kernels.size + bias.size
print(parameters)
assert parameters == 10 * (75 + 1) == 760

# %% [markdown]
# 760 numbers, whatever the size of the picture. A fully connected layer from the same picture to as many outputs has
# one weight for each pair of input and output:

# %%
connected = photo.size * features.size
print(f"{connected:,} weights, {connected // kernels.size:,} times as many")
assert connected == 3072 * 10240

# %% [markdown]
# ## It is a matrix after all
#
# Convolution is linear, so there is a matrix that does the same. For a 3x3 kernel on 4x4 pixels it has 4 rows, one
# for each place, and 16 columns, one for each pixel (Dumoulin and Visin 2016, section 4.1). Every row holds the same
# nine weights; they are only moved.

# %%
weights = np.arange(1, 10, dtype=np.float32).reshape(3, 3)
matrix = ops.conv_matrix(weights[:, :, None, None], (4, 4), padding="VALID")
assert matrix.shape == (4, 16)

figure = plotting.new_figure(6.6, 2.1)
axes = figure.subplots()
show_numbers(axes, matrix, "a 3x3 convolution of 4x4 pixels as a matrix: 4x16", cmap="Blues", vmin=0, vmax=18)
axes.set(xlabel="pixel", ylabel="place")
figure

# %% [markdown]
# Two things make it special among the matrices: most entries are zero (each place sees few pixels), and the others
# are shared (each place has the same weights). Sparse and shared is all that convolution is. Backwards, the gradient
# goes through the transposed matrix:

# %%
small = rng.normal(size=(1, 4, 4, 1)).astype(np.float32)
result, backwards = jax.vjp(lambda x: ops.conv(x, jnp.asarray(weights)[:, :, None, None], padding="VALID"), small)
np.testing.assert_allclose(result.ravel(), matrix @ small.ravel(), rtol=1e-4, atol=1e-4)
np.testing.assert_allclose(backwards(jnp.ones_like(result))[0].ravel(), matrix.T @ np.ones(4), rtol=1e-5)

# %% [markdown]
# ## Exercises
#
# 1. Which 3x3 kernel moves a picture one pixel to the right? Try it with `ops.conv`. Then say what `ops.convolve`
#    does with it, and why.
# 2. `box` after `box` is again one convolution. How large is its kernel, and what are its weights? Find them by
#    convolving an image that is zero but for one pixel.
# 3. A Gaussian blur of size 31 costs 961 products a pixel. `ops.gaussian_kernel` is an outer product of two lines.
#    Use that to do with 62, and check that the result is the same.
# 4. Write `ops.output_size` for *ceil* instead of floor. For which sizes up to 64 do the two differ, with kernel 3
#    and stride 2? Compare with `ops.ceil_padding`.
# 5. Use the matrix to show that a convolution with wrapped borders commutes with a shift of the picture. What becomes
#    of the proof with zeros outside?
