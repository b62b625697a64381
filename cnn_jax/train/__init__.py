"""The training engine: it knows `Task`, never the name of a model."""

from cnn_jax.train.loop import train

__all__ = ["train"]
