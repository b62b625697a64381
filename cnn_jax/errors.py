"""Errors a user can mend, each with the exit status of the command line.

Every message is one line that names what is wrong, where, and what would be right. The command line prints it on
standard error and exits with `exit_status`; `--debug` shows the traceback as well. A message begins with a stable
code (`E-DATA-03`), so that it can be searched for: codes are unique to one kind of fault.
"""

from __future__ import annotations


class CnnJaxError(Exception):
    """Base of all errors that name a fault in the user's input or surroundings.

    Args:
        number: the fault's number within its area; `E-<area>-<number>` is its code.
        message: one line: what is wrong, where, and what would be right.
    """

    area = "GEN"
    exit_status = 1

    def __init__(self, number: int, message: str):
        # Names of keys and files come from outside and may hold anything; a message stays one line.
        message = "".join(c if c.isprintable() else " " for c in message)
        self.number = number
        self.message = message
        super().__init__(message)

    def __str__(self) -> str:
        return f"E-{self.area}-{self.number:02d}: {self.message}"

    def __reduce__(self):
        # Errors travel from the processes that read data; an exception would be made again from its text alone.
        return type(self), (self.number, self.message), self.__dict__


class ConfigError(CnnJaxError):
    """A command line, config or model name that cannot be used. Exit status 2."""

    area = "CONF"
    exit_status = 2


class GeometryError(ConfigError):
    """A layer whose output would be empty or fractional. Exit status 2.

    Ops do not know where they stand; the module that calls them adds its path with `at`.
    """

    area = "GEOM"

    def __init__(self, number: int, message: str, layer: str = ""):
        super().__init__(number, message)
        self.layer = layer

    def at(self, layer: str) -> GeometryError:
        """The same error, naming the path of the layer (kept if already named)."""
        return self if self.layer else GeometryError(self.number, self.message, layer)

    def __str__(self) -> str:
        where = f"layer {self.layer}: " if self.layer else ""
        return f"E-{self.area}-{self.number:02d}: {where}{self.message}"


class DataError(CnnJaxError):
    """Data that is missing, broken or does not fit the model. Exit status 3."""

    area = "DATA"
    exit_status = 3


class CheckpointError(CnnJaxError):
    """A workdir or checkpoint that is missing, damaged or made by another config. Exit status 4."""

    area = "CKPT"
    exit_status = 4


class DivergedError(CnnJaxError):
    """Loss, gradients, parameters or statistics stopped being finite. Exit status 5."""

    area = "NAN"
    exit_status = 5


class BenchError(CnnJaxError):
    """A benchmark that would be no measurement: a peer that fails, or does other work. Exit status 6."""

    area = "BENCH"
    exit_status = 6


class Preempted(CnnJaxError):
    """Stopped by a signal after a durable save; the same command resumes. Exit status 75."""

    area = "STOP"
    exit_status = 75
