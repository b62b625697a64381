"""How one pure function runs on several devices: `jit` over a mesh, or `pmap`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cnn_jax.errors import ConfigError

AXIS = "data"


class Layout(NamedTuple):
    """The devices of a run and how its functions are compiled for them.

    Attributes:
        devices: the devices, in order.
        mapped: True for `pmap` (one program per device, explicit means over `AXIS`), False for `jit` (one program over
            a mesh, the batch sharded, everything else replicated).
    """

    devices: tuple[Any, ...]
    mapped: bool

    @property
    def num_devices(self) -> int:
        """How many devices share a batch."""
        return len(self.devices)

    @property
    def replicated(self) -> NamedSharding:
        """The same array on every device."""
        return NamedSharding(self._mesh, PartitionSpec())

    @property
    def _mesh(self) -> Mesh:
        return Mesh(np.asarray(self.devices), (AXIS,))

    def put(self, tree: Any) -> Any:
        """Copies host arrays to every device."""
        return jax.device_put(tree, self.replicated)

    def constrain(self, tree: Any) -> Any:
        """Inside a compiled function: shards the leading axis of every array over the devices."""
        if self.mapped or self.num_devices == 1:
            return tree
        return jax.lax.with_sharding_constraint(tree, NamedSharding(self._mesh, PartitionSpec(AXIS)))

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Compiles `function(state, data, num_steps)`; its state is donated."""
        if self.mapped:
            # pmap insists on a mapped argument; the state goes in and comes out unreplicated.
            mapped = jax.pmap(
                lambda state, data, num_steps, replica: function(state, data, num_steps),
                axis_name=AXIS,
                in_axes=(None, None, None, 0),  # type: ignore[arg-type]
                out_axes=None,
                devices=self.devices,
                donate_argnums=(0,),
            )
            return lambda state, data, num_steps: mapped(state, data, num_steps, np.arange(self.num_devices))
        return jax.jit(function, donate_argnums=(0,), out_shardings=self.replicated)


def make_layout(parallel: str, num_devices: int | None, batch_size: int) -> Layout:
    """The layout that `config.parallel` and `config.num_devices` ask for.

    Raises:
        ConfigError: more devices than there are, or a batch that does not divide evenly.
    """
    devices = jax.devices()
    if num_devices is not None and num_devices > len(devices):
        raise ConfigError(9, f"config.num_devices={num_devices}, but there are {len(devices)} devices: {devices}")
    devices = devices[: num_devices or len(devices)]
    if batch_size % len(devices):
        raise ConfigError(
            10,
            f"config.batch_size={batch_size} does not divide by {len(devices)} devices: "
            f"use {batch_size // len(devices) * len(devices) or len(devices)}, or set config.num_devices",
        )
    return Layout(tuple(devices), mapped=parallel == "pmap")
