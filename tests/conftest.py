"""A strict house: warnings are errors, ranks never promote silently, eight virtual CPU devices."""

import atexit
import importlib.metadata
import os
import shutil
import tempfile

# Caches of the tests are the tests' own: nothing is read from or left in the user's. Workers share their starter's.
if "/cnn-jax-tests-" not in os.environ.get("CNN_JAX_CACHE", ""):
    os.environ["CNN_JAX_CACHE"] = tempfile.mkdtemp(prefix="cnn-jax-tests-")
    atexit.register(shutil.rmtree, os.environ["CNN_JAX_CACHE"], ignore_errors=True)
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"

# XLA's newer emitters take half as long again to compile, which is what most of a test's time goes into. Tests in
# processes of their own, benchmarks and notebooks run with them, as users do, and so does all with a newer JAX.
if importlib.metadata.version("jaxlib").startswith("0.10."):
    os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
