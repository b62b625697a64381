"""The files of one evaluation: `evaluation.json`, the answers example by example, and figures."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnn_jax.errors import CheckpointError
from cnn_jax.evaluate.images import class_name
from cnn_jax.report.confusion import draw_confusion
from cnn_jax.report.corruption_curves import draw_corruptions
from cnn_jax.report.mistake_sheet import draw_mistakes
from cnn_jax.report.reliability import draw_reliability
from cnn_jax.train.workdir import write_json

if TYPE_CHECKING:
    from cnn_jax.evaluate.evaluation import Evaluation

EVALUATION, PREDICTIONS, CONFUSION = "evaluation.json", "predictions.csv", "confusion.csv"
COLUMNS = (
    "index", "name", "label", "class", "prediction", "predicted_class", "probability", "true_probability", "right"
)  # fmt: skip
"""Of `predictions.csv`: one row an example, in the order of the split."""


def write_evaluation(found: Evaluation, directory: Path) -> dict[str, Any]:
    """Writes tables and figures, then `evaluation.json`, which names the tables and their sha256.

    Args:
        found: the evaluation.
        directory: made if it is not there.

    Returns:
        What stands in `evaluation.json`.

    Raises:
        CheckpointError: it cannot be written.
    """
    document = found.document()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        tables = {PREDICTIONS: _predictions(found), CONFUSION: _confusion(found)}
        for name, text in tables.items():
            (directory / name).write_text(text, encoding="utf-8")
        document |= {
            "predictions": PREDICTIONS,
            "predictions_sha256": hashlib.sha256(tables[PREDICTIONS].encode()).hexdigest(),
            "figures": _draw(found, document, directory),
        }
        write_json(directory / EVALUATION, document)
    except OSError as error:
        raise CheckpointError(201, f"cannot write to {directory}: {error.strerror or error}") from error
    return document


def _draw(found: Evaluation, document: dict[str, Any], directory: Path) -> list[str]:
    n, who = document["n"], document["model"] if len(found.runs) == 1 else f"{len(found.runs)} networks"
    what = f"{who}, {document['split']} (n={n}), {document['protocol']}"
    draw_confusion(directory / "confusion.png", found.confusion, found.classes, what)
    draw_reliability(directory / "reliability.png", found.diagram, document["ece"], what)
    mistakes = document["most_confident_errors"]
    images = [found.examples.image(mistake["index"]) for mistake in mistakes]
    draw_mistakes(directory / "mistakes.png", images, mistakes, f"{what}: the surest errors")
    figures = ["confusion.png", "reliability.png", "mistakes.png"]
    if found.corruptions:
        lo, hi = document["accuracy_interval"]
        clean = {"accuracy": document["accuracy"], "lo": lo, "hi": hi}
        draw_corruptions(directory / "corruptions.png", clean, found.corruptions, what)
        figures.append("corruptions.png")
    return figures


def _predictions(found: Evaluation) -> str:
    answers, classes = found.answers, found.classes
    prediction, right = answers.prediction, answers.right
    chances = [
        np.exp(np.take_along_axis(answers.log_probability, of[:, None], axis=1)[:, 0].astype(np.float64))
        for of in (prediction, answers.label)
    ]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for i, (label, said, sure, true, ok) in enumerate(zip(answers.label, prediction, *chances, right, strict=True)):
        names = class_name(classes, label), class_name(classes, said)
        row = (i, found.examples.name(i), label, names[0], said, names[1], f"{sure:.8g}", f"{true:.8g}", int(ok))
        table.writerow(row)
    return text.getvalue()


def _confusion(found: Evaluation) -> str:
    """Rows: `class,predicted,count`, counts above zero alone, so that a thousand classes make no million cells."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("class", "predicted", "count"))
    for i, j in zip(*np.nonzero(found.confusion), strict=True):
        table.writerow((class_name(found.classes, i), class_name(found.classes, j), int(found.confusion[i, j])))
    return text.getvalue()
