"""`python -m cnn_jax` is `cnn-jax`."""

import sys

from cnn_jax.main import main

sys.exit(main())
