"""What is answered about an image: its likeliest classes, where the network sees one of them, and what is near."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from cnn_jax.data.decode import UnreadableImage, read_image
from cnn_jax.errors import ConfigError, DataError
from cnn_jax.evaluate import Run
from cnn_jax.evaluate.images import as_network_takes, class_name, top_k
from cnn_jax.inspect.gradcam import gradcam
from cnn_jax.inspect.network import as_network, find_tap, tap_shapes
from cnn_jax.serve.pictures import heat, inline, png
from cnn_jax.serve.searched import Searched


class Viewer:
    """One run, ready to be asked.

    Args:
        run: the trained network.
        searched: its training images; None where no neighbours are wanted.
        why_not: why there are none, in words.
    """

    def __init__(self, run: Run, searched: Searched | None = None, why_not: str = "they were not asked for"):
        self.run, self.searched, self._why_not = run, searched, why_not
        self.network = searched.network if searched else as_network(run)
        shapes = tap_shapes(self.network, run.spec.image_shape)
        self.taps = [name for name, shape in shapes.items() if len(shape) == 3]
        # One answer of a linear classifier or an MLP, which have no feature maps, is the same without.
        self.tap = find_tap(self.network, run.spec.image_shape, None, maps=True) if self.taps else None

    def about(self) -> dict[str, Any]:
        """The run, and how far the features of the training images are, as JSON."""
        spec = self.run.spec
        return {
            "model": str(self.run.config.model.name),
            "step": self.run.checkpoint,
            "workdir": self.run.workdir.resolve().name,
            "data": str(self.run.config.data),
            "classes": list(spec.classes),
            "image": list(spec.image_shape),
            "taps": self.taps,
            "tap": self.tap,
            "neighbours": self._progress(),
        }

    def answer(
        self, upload: bytes, max_pixels: int, label: int | None = None, tap: str | None = None
    ) -> dict[str, Any]:
        """Everything about one image, as JSON.

        Args:
            upload: an image file's content; it decides the format.
            max_pixels: more are refused before they are decoded.
            label: the class to explain; None for the likeliest.
            tap: where to look for it; None for the last with maps wide enough.

        Raises:
            DataError: no image, a broken or too large one, or a network that gives no numbers.
            ConfigError: no such class or tap.
        """
        pixels, image = self.prepared(upload, max_pixels)
        chances = self.run.predict(image)
        if not np.isfinite(chances).all():
            raise DataError(308, "this network gives no finite probabilities: name a sound checkpoint with --step")
        label = int(chances.argmax()) if label is None else label
        if not 0 <= label < len(chances):
            raise ConfigError(
                392, f"class={label} is none of this network's {len(chances)}: use 0 to {len(chances) - 1}"
            )
        return {
            "given": {"width": pixels.shape[1], "height": pixels.shape[0]},
            "image": inline(image),
            "top5": top_k(chances[None], self.run.spec.classes)[0],
            "gradcam": self._gradcam(image, label, float(chances[label]), tap),
            "neighbours": self._neighbours(image),
        }

    def prepared(self, upload: bytes, max_pixels: int) -> tuple[np.ndarray, np.ndarray]:
        """The image as it was sent, and as `predict` gives it to the network; both uint8 [H, W, C].

        Raises:
            DataError: no image, or one that is broken or too large.
        """
        try:
            pixels = read_image(io.BytesIO(upload), max_pixels)
        except UnreadableImage as reason:
            raise DataError(300, f"the file {reason}: send another") from None
        return pixels, as_network_takes(pixels, self.run, "the image")

    def training_image(self, number: str) -> bytes | None:
        """One training image as PNG, or None where there is none of this number.

        Args:
            number: digits, as they stand in an address.
        """
        if self.searched is None or not (number.isascii() and number.isdecimal() and len(number) < 10):
            return None
        return png(self.searched.image(int(number))) if int(number) < len(self.searched) else None

    def _gradcam(self, image: np.ndarray, label: int, chance: float, tap: str | None) -> dict[str, Any] | None:
        if self.tap is None:
            return None
        tap = tap or self.tap
        weights = gradcam(self.network, image[None], [label], tap)[0]
        return {
            "class": class_name(self.run.spec.classes, label),
            "label": label,
            "probability": chance,
            "tap": tap,
            "map": weights.tolist(),
            "heat": inline(heat(weights, image.shape[:2])),
        }

    def _neighbours(self, image: np.ndarray) -> dict[str, Any]:
        progress = self._progress()
        return progress if self.searched is None else {**progress, "nearest": self.searched.nearest(image)}

    def _progress(self) -> dict[str, Any]:
        held = self.searched
        if held is None:
            return {"why_not": self._why_not}
        return {"tap": held.tap, "done": held.done, "total": len(held), "why_not": held.fault}
