"""The layers only the two historical LeNets have."""

from __future__ import annotations

import flax.linen as fnn
import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import nn, ops
from cnn_jax.errors import GeometryError
from cnn_jax.nn.initializers import Initializer

# LeCun et al. 1998, table 1: the maps of S2 that feed each map of C3.
C3_TABLE = (
    ((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    (
        (0, 1, 2, 3),
        (1, 2, 3, 4),
        (2, 3, 4, 5),
        (0, 3, 4, 5),
        (0, 1, 4, 5),
        (0, 1, 2, 5),
        (0, 1, 3, 4),
        (1, 2, 4, 5),
        (0, 2, 3, 5),
    ),
    ((0, 1, 2, 3, 4, 5),),
)

# The channels of H1 that each third of the maps of H2 sees.
H2_SEES = ((0, 1, 2, 3, 4, 5, 6, 7), (4, 5, 6, 7, 8, 9, 10, 11), (0, 1, 2, 3, 8, 9, 10, 11))

# The ten targets of the output layer, 7x12: +1 where "#", -1 elsewhere.
_BITMAPS = """
..###.. ...#... .#####. .#####. .....#. ####### ..####. ####### .#####. ..###..
.#...#. ..##... #.....# #.....# ....##. #...... .#..... ......# #.....# .#...#.
#.....# .#.#... ......# ......# ...#.#. #...... #...... ......# #.....# #.....#
#.....# ...#... ......# ......# ..#..#. #...... #...... .....#. #.....# #.....#
#.....# ...#... .....#. ......# .#...#. ######. #.####. .....#. .#####. #.....#
#.....# ...#... ....#.. ..####. #....#. ......# ##....# ....#.. #.....# #....##
#.....# ...#... ...#... ......# ####### ......# #.....# ....#.. #.....# .####.#
#.....# ...#... ..#.... ......# .....#. ......# #.....# ...#... #.....# ......#
#.....# ...#... .#..... ......# .....#. ......# #.....# ...#... #.....# ......#
.#...#. ...#... #...... #.....# .....#. #.....# .#...#. ..#.... #.....# .....#.
..###.. .#####. ####### .#####. .....#. .#####. ..###.. ..#.... .#####. .####..
....... ....... ....... ....... ....... ....... ....... ....... ....... .......
"""


class PartialConv(fnn.Module):
    """C3 of LeNet-5: a 5x5 convolution in which every output map sees the maps of `C3_TABLE` only.

    Maps with as many inputs form one grouped convolution, so that nothing is multiplied by zero.
    """

    kernel_init: Initializer

    @fnn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, H, W, 6] to [N, H - 4, W - 4, 16]."""
        maps = []
        with nn.located(self):
            for rows in C3_TABLE:
                fan_in, count = len(rows[0]), len(rows)
                kernel = self.param(f"kernel_{fan_in}", self.kernel_init, (5, 5, fan_in, count), jnp.float32)
                seen = jnp.concatenate([x[..., i : i + 1] for row in rows for i in row], axis=-1)
                maps.append(ops.conv(seen, kernel.astype(x.dtype), padding=0, feature_group_count=count))
        bias = self.param("bias", fnn.initializers.zeros, (16,), jnp.float32)
        return jnp.concatenate(maps, axis=-1) + bias.astype(x.dtype).reshape(1, 1, 1, 16)


class Subsample(fnn.Module):
    """S2 and S4 of LeNet-5: the sum of a 2x2 window times one trainable coefficient per map, plus a bias."""

    @fnn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, H, W, C] to [N, H / 2, W / 2, C]."""
        channels = (x.shape[-1],)
        # Starts as the mean.
        coefficient = self.param("coefficient", fnn.initializers.constant(0.25), channels, jnp.float32)
        bias = self.param("bias", fnn.initializers.zeros, channels, jnp.float32)
        with nn.located(self):
            total = 4 * ops.avg_pool(x, 2, strides=2)
        coefficient, bias = (p.astype(x.dtype).reshape(1, 1, 1, -1) for p in (coefficient, bias))
        return total * coefficient + bias


class RadialBasis(fnn.Module):
    """The output of LeNet-5: minus the squared distance of the 84 units of F6 to each of ten fixed bitmaps."""

    @fnn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, 84] to [N, 10]."""
        rows = [row.split() for row in _BITMAPS.split("\n") if row]
        targets = np.array([[pixel == "#" for row in rows for pixel in row[digit]] for digit in range(10)]) * 2.0 - 1.0
        difference = x[:, None, :] - jnp.asarray(targets, x.dtype)[None]
        return -jnp.square(difference).sum(-1)


class UnitBiasConv(fnn.Module):
    """H1 and H2 of the 1989 network: 5x5 at stride 2, twelve maps, weights shared but one bias for every unit.

    Attributes:
        seen: channels of the input that each equal share of the maps sees.
        kernel_init: initialiser of the kernel.
    """

    seen: tuple[tuple[int, ...], ...]
    kernel_init: Initializer

    @fnn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, H, W, C] to [N, ceil(H / 2), ceil(W / 2), 12]."""
        with nn.located(self):
            if max(map(max, self.seen)) >= x.shape[-1]:
                raise GeometryError(
                    21, f"an input of {x.shape[-1]} channels is too thin: use {max(map(max, self.seen)) + 1}"
                )
            kernel = self.param("kernel", self.kernel_init, (5, 5, len(self.seen[0]), 12), jnp.float32)
            x = jnp.concatenate([x[..., i : i + 1] for channels in self.seen for i in channels], axis=-1)
            # The virtual background plane has the level -1 (section 3).
            x = jnp.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=-1)
            y = ops.conv(x, kernel.astype(x.dtype), strides=2, padding=0, feature_group_count=len(self.seen))
        bias = self.param("bias", fnn.initializers.zeros, y.shape[1:], jnp.float32)
        return y + bias.astype(y.dtype)[None]
