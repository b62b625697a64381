"""The training engine: it knows `Task`, never the name of a model.

`cnn_jax.train(config, workdir)` is how users train, and `cnn_jax.train` is this package too, as soon as anything in it
has been imported: so the package can be called.
"""

import sys
import types

from cnn_jax.train.loop import train

__all__ = ["train"]


class _CallablePackage(types.ModuleType):
    __call__ = staticmethod(train)


sys.modules[__name__].__class__ = _CallablePackage
