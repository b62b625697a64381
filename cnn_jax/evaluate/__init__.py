"""What a trained network is worth, from its workdir."""

from cnn_jax.evaluate.run import Run, load

__all__ = ["Run", "load"]
