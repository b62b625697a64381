"""Addresses within a sweep's workdir."""

from __future__ import annotations

from urllib.parse import quote

from cnn_jax.report.results import Network, Run


def run_link(run: Run, file: str = "") -> str:
    """The address of a run's workdir, or of a file in it, relative to the report.

    A workdir's name is quoted and made relative, so that it can be nothing but a path.
    """
    return f"./{quote(run.workdir.strip('/'))}/{quote(file)}"


def anchor(network: Network) -> str:
    """The anchor of a network's runs within the page."""
    return "runs-" + quote(network.family, safe="")
