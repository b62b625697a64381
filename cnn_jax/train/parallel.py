"""How one pure function runs on several devices: `jit` over a mesh, or `pmap`.

The devices may belong to several processes (`distributed.py`). Each then holds its own part of a global array, and
what is the same on all devices is handed over by each process for its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cnn_jax.errors import ConfigError
from cnn_jax.train.cache import runs_often

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
    def local_devices(self) -> tuple[Any, ...]:
        """Those of this process."""
        return tuple(d for d in self.devices if d.process_index == jax.process_index())

    @property
    def _mesh(self) -> Mesh:
        return Mesh(np.asarray(self.devices), (AXIS,))

    @property
    def _sharded(self) -> NamedSharding:
        """The leading axis shared out."""
        return NamedSharding(self._mesh, PartitionSpec(AXIS))

    def put(self, tree: Any) -> Any:
        """Copies host arrays, the same in every process, to every device."""
        if len(self.local_devices) == self.num_devices:
            return jax.device_put(tree, self.replicated)
        return jax.tree.map(self._put_one, tree)

    def _put_one(self, leaf: Any) -> jax.Array:
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            data = self._put_one(jax.random.key_data(leaf))
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
        host = np.asarray(leaf)
        return jax.make_array_from_process_local_data(self.replicated, host, host.shape)

    def fetch(self, tree: Any) -> Any:
        """From arrays that are the same on every device to arrays on one device of this process."""
        if len(self.local_devices) == self.num_devices:
            return tree
        return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)

    def rows(self, batch_size: int, parts: int = 1) -> np.ndarray:
        """Which rows of a batch this process feeds to its devices, and how they are laid out for `put_rows`.

        Row r of part p under `jit` is row `p * B/A + r` of the batch, and a part is shared out over the devices; under
        `pmap` the batch is shared out first, and each device cuts its share into parts. As in `epoch.py`.

        Args:
            batch_size: B, over all devices.
            parts: A, in how many parts a batch is computed.

        Returns:
            int `[A, R]` under `jit`, `[D, A, B/(A D)]` under `pmap`.
        """
        size = batch_size // parts // self.num_devices
        places = np.asarray([i for i, d in enumerate(self.devices) if d.process_index == jax.process_index()])
        row = np.arange(size)
        if self.mapped:
            share = batch_size // self.num_devices
            return (places * share)[:, None, None] + (np.arange(parts) * size)[:, None] + row
        local = (places[:, None] * size + row).reshape(-1)
        return (np.arange(parts) * (batch_size // parts))[:, None] + local

    def put_rows(self, tree: Any) -> Any:
        """Several batches, laid out as `rows` says, to the devices that they are for.

        Args:
            tree: host arrays `[K, A, R, ...]` under `jit`, `[D, K, A, R, ...]` under `pmap`.
        """
        sharding = self._sharded if self.mapped else NamedSharding(self._mesh, PartitionSpec(None, None, AXIS))
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), tree)

    def put_batch(self, tree: Any) -> Any:
        """One batch, of which this process holds its rows, to the devices of the mesh."""
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(self._sharded, x), tree)

    def constrain(self, tree: Any) -> Any:
        """Inside a compiled function: shards the leading axis of every array over the devices."""
        if self.mapped or self.num_devices == 1:
            return tree
        return jax.lax.with_sharding_constraint(tree, self._sharded)

    def compile(self, function: Callable[..., Any], *, rows: bool = False) -> Callable[..., Any]:
        """Compiles `function(state, data, num_steps)`; its state is donated.

        Args:
            function: what to compile.
            rows: whether `data` comes from `put_rows`, and not from `put`.
        """
        if self.mapped:
            # pmap insists on a mapped argument; the state goes in and comes out unreplicated.
            mapped = jax.pmap(
                lambda state, data, num_steps, replica: function(state, data, num_steps),
                axis_name=AXIS,
                in_axes=(None, 0 if rows else None, None, 0),  # type: ignore[arg-type]
                out_axes=None,
                devices=self.devices,
                donate_argnums=(0,),
            )
            return lambda state, data, num_steps: mapped(state, data, num_steps, np.arange(self.num_devices))
        return jax.jit(function, donate_argnums=(0,), out_shardings=self.replicated, compiler_options=runs_often())


def make_layout(parallel: str, num_devices: int | None, batch_size: int) -> Layout:
    """The layout that `config.parallel` and `config.num_devices` ask for.

    Raises:
        ConfigError: more devices than there are, a batch that does not divide evenly, or what several processes cannot
            do.
    """
    devices = jax.devices()
    if jax.process_count() > 1 and parallel == "pmap":
        raise ConfigError(143, "config.parallel=pmap is for the devices of one process: use config.parallel=jit")
    if jax.process_count() > 1 and num_devices not in (None, len(devices)):
        raise ConfigError(
            144,
            f"config.num_devices={num_devices}, and {jax.process_count()} processes have {len(devices)} devices: "
            "leave it out, so that every process takes part",
        )
    if num_devices is not None and num_devices > len(devices):
        kinds = ", ".join(sorted({device.device_kind for device in devices}))
        raise ConfigError(
            9,
            f"config.num_devices={num_devices}, and there are {len(devices)} ({kinds}): set {len(devices)} or fewer, "
            "or leave it out",
        )
    devices = devices[: num_devices or len(devices)]
    if batch_size % len(devices):
        raise ConfigError(
            10,
            f"config.batch_size={batch_size} does not divide by {len(devices)} devices: "
            f"use {batch_size // len(devices) * len(devices) or len(devices)}, or set config.num_devices",
        )
    return Layout(tuple(devices), mapped=parallel == "pmap")
