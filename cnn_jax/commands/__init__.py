"""The commands of `cnn-jax`, one entry each; what a command needs is imported when it runs."""

from cnn_jax.commands.benchmarks import BENCH
from cnn_jax.commands.claims import CLAIMS
from cnn_jax.commands.command import Command
from cnn_jax.commands.comparing import COMPARE
from cnn_jax.commands.evaluating import EVAL
from cnn_jax.commands.inspecting import INSPECT
from cnn_jax.commands.networks import CHECK, DIFF, ERRATA, MODELS, SHOW
from cnn_jax.commands.predicting import PREDICT
from cnn_jax.commands.running import TRAIN, VERIFY_RESUME
from cnn_jax.commands.serving import SERVE
from cnn_jax.commands.studies import HISTORY, REPORT
from cnn_jax.commands.sweeping import SWEEP
from cnn_jax.commands.weights import EXPORT, IMPORT

COMMANDS: tuple[Command, ...] = (
    MODELS,
    SHOW,
    DIFF,
    CHECK,
    ERRATA,
    TRAIN,
    VERIFY_RESUME,
    EVAL,
    COMPARE,
    PREDICT,
    IMPORT,
    EXPORT,
    INSPECT,
    SERVE,
    SWEEP,
    CLAIMS,
    BENCH,
    HISTORY,
    REPORT,
)

__all__ = ["COMMANDS", "Command"]
