"""One HTML page a sweep, and the README's tables. Reads JSON only: nothing here imports JAX."""

from cnn_jax.report.page import write_history_report

__all__ = ["write_history_report"]
