"""The socket, the address and the signals of the server."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Callable

import uvicorn

from cnn_jax.errors import ConfigError
from cnn_jax.serve.app import EVERYWHERE, create_app, silent
from cnn_jax.serve.limits import Limits
from cnn_jax.serve.searched import Progress
from cnn_jax.serve.viewer import Viewer

_PATIENCE = 3
"""Seconds that answers under way are waited for at the end."""
_CONNECTIONS = 256


def is_loopback(host: str) -> bool:
    """Whether a host can be reached from its own machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: a name or an address, IPv4 or IPv6.
        port: 0 for any that is free.

    Raises:
        ConfigError: the host is not this machine's, or the port is taken or not allowed.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no such name"
        raise ConfigError(
            391, f"cannot listen at {host} port {port} ({reason}): choose another with --port, or --port=0 for any"
        ) from None


def serve(
    viewer: Viewer,
    host: str,
    port: int,
    *,
    limits: Limits | None = None,
    progress: Progress = silent,
    announce: Callable[[str], None] = print,
) -> None:
    """Serves until SIGINT (Ctrl-C), which ends it in order; answers under way are given first.

    Args:
        viewer: the run.
        host: where to listen; on a loopback address only requests that name it are answered.
        port: 0 for any that is free.
        limits: what a request may ask for.
        progress: the bar of the features of the training images.
        announce: is told the address when requests are answered.

    Raises:
        ConfigError: there is nothing to listen at.
    """
    hosts = {"127.0.0.1", "localhost", _in_address(host)} if is_loopback(host) else EVERYWHERE
    with listen(host, port) as listening:
        config = uvicorn.Config(
            create_app(viewer, limits=limits, hosts=hosts, progress=progress),
            http="h11",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=_PATIENCE,
        )
        address = f"http://{_in_address(host)}:{listening.getsockname()[1]}/"
        # Ctrl-C is how a server ends: uvicorn closes everything and passes the signal on.
        with contextlib.suppress(KeyboardInterrupt):
            _Server(config, lambda: announce(address)).run(sockets=[listening])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]):
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host
