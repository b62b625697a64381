"""The embedded data set `shapes`: ten classes of textured shapes in cluttered scenes, a pure function of the index.

Difficulty was fixed on the split "tuning" before any network was compared. `render` makes examples; `prepare` and
`load` keep them as a TFDS data set. NumPy only until `prepare` or `load` is called.
"""

from __future__ import annotations

from cnn_jax.data.shapes.example import render
from cnn_jax.data.shapes.outline import CLASSES
from cnn_jax.data.shapes.store import CONFIGS, VERSION, load, prepare

__all__ = ["CLASSES", "CONFIGS", "VERSION", "load", "prepare", "render"]
