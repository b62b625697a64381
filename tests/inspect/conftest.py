"""Programs of these tests run once or twice: they are hardly optimised, and compile in a third of the time."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="package")
def lightly_compiled():
    before = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
