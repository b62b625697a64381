"""One HTML page a sweep, the README's tables, and the files of an evaluation.

Pages and tables read JSON only and import no JAX; the files of an evaluation (`evaluation.py`) are made from itself.
"""

from cnn_jax.report.page import write_history_report
from cnn_jax.report.sweep_page import write_sweep_report
from cnn_jax.report.text import history_table

__all__ = ["history_table", "write_history_report", "write_sweep_report"]
