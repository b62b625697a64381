"""One HTML page a sweep, and the README's tables. Reads JSON only: nothing here imports JAX."""

from cnn_jax.report.page import write_history_report
from cnn_jax.report.sweep_page import write_sweep_report
from cnn_jax.report.text import history_table

__all__ = ["history_table", "write_history_report", "write_sweep_report"]
