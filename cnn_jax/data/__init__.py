"""Data sources behind one type: `load_dataset("shapes" | "folder:PATH" | "tfds:NAME")` gives a `Dataset`.

Nothing here imports JAX: a data set is NumPy arrays on the host, checked once, and moved to the device by `train`.
"""

from __future__ import annotations

from cnn_jax.data.dataset import Dataset, Split, Statistics, load_dataset

__all__ = ["Dataset", "Split", "Statistics", "load_dataset"]
