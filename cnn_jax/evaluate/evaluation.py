"""One evaluation: networks, examples and a protocol; the answers, and everything that is measured of them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnn_jax.errors import ConfigError
from cnn_jax.evaluate import accuracy, calibration, mistakes
from cnn_jax.evaluate.answers import Answers, LogProbabilities, answer, ensemble, mean_of_views
from cnn_jax.evaluate.corruptions import SEVERITIES, corrupt
from cnn_jax.evaluate.dense import check_size, dense_logits
from cnn_jax.evaluate.example_set import Examples
from cnn_jax.evaluate.identity import comparable, digest, identity_of
from cnn_jax.evaluate.protocols import DENSE, Protocol, Size, protocol

if TYPE_CHECKING:
    from cnn_jax.evaluate.run import Run

LARGEST_MATRIX = 100
"""Confusion matrices of more classes are written as a table and left out of the JSON."""
Tell = Callable[[str, int, int], None]
"""`(what, done, of how many)`, called after every batch."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What networks answer on examples under a protocol.

    Attributes:
        runs: the networks; the answers of several are the mean of their probabilities.
        examples: what they saw.
        protocol: how.
        answers: what they said.
        corruptions: by name, for each severity the accuracy on corrupted images; {} where none were asked for.
    """

    runs: tuple[Run, ...]
    examples: Examples
    protocol: Protocol
    answers: Answers
    corruptions: dict[str, list[dict[str, Any]]]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes as the networks number them."""
        return self.runs[0].spec.classes

    @property
    def identity(self) -> dict[str, Any]:
        """What was measured by; see `identity.py`."""
        return identity_of(
            self.protocol,
            image_size=self.examples.image_size,
            fit=self.examples.fit,
            split=self.examples.split,
            data=self.examples.fingerprint,
            members=len(self.runs),
            step="+".join(run.checkpoint for run in self.runs),
        )

    @functools.cached_property
    def diagram(self) -> list[calibration.Bin]:
        """The reliability diagram."""
        return calibration.reliability(np.exp(self.answers.log_probability.max(axis=1)), self.answers.right)

    @functools.cached_property
    def confusion(self) -> np.ndarray:
        """int `[K, K]`, true classes in rows."""
        return accuracy.confusion_matrix(self.answers)

    def scores(self) -> dict[str, Any]:
        """The numbers that one line has room for."""
        return {
            "accuracy": accuracy.top_k_accuracy(self.answers),
            "accuracy_interval": list(accuracy.accuracy_interval(self.answers)),
            "top5": accuracy.top_k_accuracy(self.answers, 5),
            "loss": calibration.negative_log_likelihood(self.answers),
            "brier": calibration.brier_score(self.answers),
            "ece": calibration.expected_calibration_error(self.diagram),
            "n": len(self.answers),
        }

    def document(self) -> dict[str, Any]:
        """All that was measured, as JSON."""
        first, classes = self.runs[0], self.classes
        named = functools.partial(mistakes.described, self.answers, classes=classes, name=self.examples.name)
        small = len(self.confusion) <= LARGEST_MATRIX
        return {
            "workdir": str(first.workdir),
            "model": first.config.model.name,
            "step": first.step,
            "members": [
                {"workdir": str(run.workdir), "model": run.config.model.name, "step": run.checkpoint}
                for run in self.runs
            ],
            "data": self.examples.data,
            "split": self.examples.split,
            "classes": {"known": len(classes), "in_data": len(self.examples.to_network)},
            "protocol": self.protocol.name,
            "identity": self.identity,
            "identity_hash": digest(self.identity),
            "comparable_hash": digest(comparable(self.identity)),
            **self.scores(),
            "per_class": accuracy.per_class(self.answers, classes),
            "most_confused": accuracy.most_confused(self.confusion, classes),
            "confusion": self.confusion.tolist() if small else None,
            "reliability": [bar._asdict() for bar in self.diagram],
            "most_confident_errors": named(index=mistakes.most_confident_errors(self.answers)),
            "worst": named(index=mistakes.worst(self.answers)),
            "corruptions": self.corruptions,
        }


def evaluate(
    runs: Sequence[Run],
    examples: Examples,
    name: str = "single",
    *,
    crop: int | Size | None = None,
    scales: Sequence[int] = (),
    corruptions: Sequence[str] = (),
    tell: Tell | None = None,
) -> Evaluation:
    """Evaluates one network, or several as an ensemble.

    Args:
        runs: networks that know the same classes in the same order and take images of one shape.
        examples: what they are asked.
        name: the protocol's.
        crop: as in `protocols.protocol`.
        scales: as in `protocols.protocol`.
        corruptions: names of `SEVERITIES`; each costs five more passes.
        tell: is told how far it is.

    Raises:
        ConfigError: networks that do not go together, or a protocol that does not fit them or the images.
    """
    check_together(runs)
    strangers = [run for run in runs if run.spec.fingerprint != runs[0].spec.fingerprint]
    if strangers and examples.split == "validation" and examples.fingerprint == runs[0].spec.fingerprint:
        raise ConfigError(
            211,
            f"{strangers[0].workdir} was not trained on the same split as {runs[0].workdir} and may have seen these "
            "validation images: evaluate on the test split",
        )
    unknown = [word for word in corruptions if word not in SEVERITIES]
    if unknown:
        raise ConfigError(209, f"unknown corruption {unknown[0]!r}: use some of {', '.join(SEVERITIES)}")
    chosen = protocol(name, runs[0].spec.image_shape[:2], examples.image_size, crop=crop, scales=scales)
    asked = [_compiled(run, chosen, examples.image_size) for run in runs]

    def answers(severity: int = 0, corruption: str = "") -> Answers:
        what = f"{corruption} {severity}" if severity else chosen.name
        members = []
        for number, (run, log_probabilities) in enumerate(zip(runs, asked, strict=True)):
            parts, seen = [], number * len(examples)
            for part, split in examples.parts.items():
                before = seen - number * len(examples)

                def change(images: np.ndarray, index: np.ndarray, before: int = before) -> np.ndarray:
                    prepared = examples.prepared(images)
                    return corrupt(corruption, severity, prepared, index + before) if severity else prepared

                def progress(done: int, seen: int = seen) -> None:
                    if tell is not None:
                        tell(what, seen + done, len(runs) * len(examples))

                views = chosen.count(examples.image_size)
                parts.append(
                    answer(
                        log_probabilities,
                        run.variables,
                        split.image,
                        examples.label(part),
                        views=views,
                        change=change,
                        tell=progress,
                    )
                )
                seen += len(split)
            members.append(_joined(parts))
        return ensemble(members) if len(members) > 1 else members[0]

    clean = answers()
    corrupted = {
        word: [
            {"severity": severity, "constant": SEVERITIES[word].constants(examples.image_size)[severity - 1]}
            | _accuracy(answers(severity, word))
            for severity in range(1, 6)
        ]
        for word in corruptions
    }
    return Evaluation(tuple(runs), examples, chosen, clean, corrupted)


def check_together(runs: Sequence[Run]) -> None:
    """Refuses an ensemble of networks that do not answer the same question.

    Raises:
        ConfigError: other classes, or images of another shape; the workdir is named.
    """
    first = runs[0]
    for run in runs[1:]:
        if run.spec.classes != first.spec.classes:
            raise ConfigError(210, f"{run.workdir} knows other classes than {first.workdir}: no mean can be taken")
        if run.spec.image_shape != first.spec.image_shape:
            raise ConfigError(
                210,
                f"{run.workdir} takes images {_shape(run)}, {first.workdir} {_shape(first)}: no mean can be taken over "
                "networks that see other images",
            )


def _compiled(run: Run, chosen: Protocol, image_size: Size) -> LogProbabilities:
    model, name, network = run.model, run.config.model.name, run.spec.image_shape
    logits = []
    for size in chosen.sizes(image_size):
        if chosen.name in DENSE:
            logits.append(dense_logits(model, name, network, size, run.logits))
        else:
            check_size(model, name, network, size)
            logits.append(run.logits)
    return mean_of_views(chosen, logits)


def _joined(parts: Sequence[Answers]) -> Answers:
    return Answers(
        np.concatenate([part.label for part in parts]), np.concatenate([part.log_probability for part in parts])
    )


def _accuracy(answers: Answers) -> dict[str, Any]:
    lo, hi = accuracy.accuracy_interval(answers)
    return {"accuracy": accuracy.top_k_accuracy(answers), "lo": lo, "hi": hi, "n": len(answers)}


def _shape(run: Run) -> str:
    return "x".join(map(str, run.spec.image_shape))
