"""A strict house: warnings are errors, ranks never promote silently, eight virtual CPU devices."""

import atexit
import os
import shutil
import tempfile

# Caches of the tests are the tests' own: nothing is read from or left in the user's. Workers share their starter's.
if "/cnn-jax-tests-" not in os.environ.get("CNN_JAX_CACHE", ""):
    os.environ["CNN_JAX_CACHE"] = tempfile.mkdtemp(prefix="cnn-jax-tests-")
    atexit.register(shutil.rmtree, os.environ["CNN_JAX_CACHE"], ignore_errors=True)
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
