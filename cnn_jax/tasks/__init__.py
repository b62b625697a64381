"""What training means: a `Task` is a NamedTuple of pure functions."""

from cnn_jax.tasks.classify import classify
from cnn_jax.tasks.task import Batch, Metrics, Task, Variables

__all__ = ["Batch", "Metrics", "Task", "Variables", "classify"]
