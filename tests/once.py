"""How tests compile a program that runs once: hardly optimised, in a third of the time."""

from __future__ import annotations

import jax

ONCE: dict[str, int | bool] = {"xla_backend_optimization_level": 0}
if jax.__version_info__ < (0, 11):
    # The older emitters of loops are quicker to compile; later versions have none.
    ONCE["xla_cpu_use_fusion_emitters"] = False
