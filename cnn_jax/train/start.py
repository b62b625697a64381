"""The state that a run begins with: from its seed, or from the weights of another run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax.train.build import Program
from cnn_jax.train.progress import Listener
from cnn_jax.train.state import TrainState
from cnn_jax.train.transfer import start_from
from cnn_jax.train.workdir import TRANSFER, write_json


def fresh_state(program: Program, config: Any, workdir: Path, listener: Listener) -> TrainState:
    """The state before the first step, a pure function of the config, and of the source's weights if it has one.

    With `config.init_from`, what was loaded, left out and begun anew is told to the listener and written to the
    workdir as `transfer.json`.

    Raises:
        ConfigError: `config.init_from` is no workdir, or nothing there fits.
        CheckpointError: no sound checkpoint there, or one of another shape.
    """
    state = program.create_state(jnp.int32(config.seed))
    if config.init_from is None:
        return state
    variables, transfer = start_from(state.variables, program.num_classes, config.init_from, config.init_layers)
    listener.note(str(transfer))
    if jax.process_index() == 0:
        write_json(workdir / TRANSFER, transfer._asdict())
    # The optimiser and the average begin with the weights that training begins with.
    params, model_state = variables["params"], {k: v for k, v in variables.items() if k != "params"}
    return dataclasses.replace(
        state,
        params=params,
        model_state=model_state,
        opt_state=program.recipe.rule.init(params),
        average=None if state.average is None else jax.tree.map(jnp.copy, variables),
    )
