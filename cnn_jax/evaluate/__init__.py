"""What a trained network is worth, from its workdir.

`load` reads a run back, `examples` says what it is asked, `evaluate` asks it under a protocol and gives an `Evaluation`
with every answer as an array: `evaluate([run], examples(run)).answers.probability`.
"""

from cnn_jax.evaluate.answers import Answers
from cnn_jax.evaluate.comparison import Comparison, paired
from cnn_jax.evaluate.evaluation import Evaluation, evaluate
from cnn_jax.evaluate.example_set import Examples, examples
from cnn_jax.evaluate.protocols import Protocol, protocol
from cnn_jax.evaluate.run import Run, load

__all__ = [
    "Answers",
    "Comparison",
    "Evaluation",
    "Examples",
    "Protocol",
    "Run",
    "evaluate",
    "examples",
    "load",
    "paired",
    "protocol",
]
