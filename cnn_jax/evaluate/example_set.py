"""What a network is evaluated on: a split of its own data, or of any other data whose classes it knows."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from cnn_jax.data import Dataset, Split, load_dataset
from cnn_jax.errors import ConfigError, DataError
from cnn_jax.evaluate.images import with_channels
from cnn_jax.train.loop import load_config_data
from cnn_jax.train.memory import decoded_limit

if TYPE_CHECKING:
    from cnn_jax.evaluate.run import Run

ALL = "all"
"""The split that is every split, one after another."""
_NAMED = 3


@dataclasses.dataclass(frozen=True)
class Examples:
    """Images and labels, each example once.

    Attributes:
        data: the data set's name.
        split: `train`, `validation`, `test` or `all`.
        fingerprint: identity of the content and the split.
        fit: how images came to their size: none, pad or resize.
        image_size: `(height, width)`.
        parts: the splits, one after another.
        to_network: int `[classes of the data]`, the network's number of each class.
        channels: of the network; other images are converted.
        dataset: where they come from.
    """

    data: str
    split: str
    fingerprint: str
    fit: str
    image_size: tuple[int, int]
    parts: dict[str, Split]
    to_network: np.ndarray
    channels: int
    dataset: Dataset

    def __len__(self) -> int:
        return sum(map(len, self.parts.values()))

    def label(self, part: str) -> np.ndarray:
        """int `[N]`, the classes of a part as the network numbers them."""
        return self.to_network[self.parts[part].label]

    def prepared(self, images: np.ndarray) -> np.ndarray:
        """A batch with as many channels as the network takes: grey is repeated, RGB becomes its luma."""
        return with_channels(images, self.channels)

    def name(self, index: int) -> str:
        """What the example of this number is called."""
        part, at = self._at(index)
        return self.dataset.example_name(part, at)

    def image(self, index: int) -> np.ndarray:
        """The image of this number as the network's channels have it, uint8 `[H, W, C]`."""
        part, at = self._at(index)
        return self.prepared(np.asarray(self.parts[part].image[at])[None])[0]

    def _at(self, index: int) -> tuple[str, int]:
        for part, split in self.parts.items():
            if index < len(split):
                return part, index
            index -= len(split)
        raise IndexError(index)


def examples(
    run: Run,
    split: str = "test",
    *,
    dataset: Dataset | None = None,
    data: str | None = None,
    image_size: int | None = None,
    fit: str | None = None,
) -> Examples:
    """What `run` is evaluated on.

    Args:
        run: the network.
        split: `train`, `validation`, `test`, or `all` for every example of the data.
        dataset: the data; by default it is loaded.
        data: a data set such as `folder:PATH`; by default the one that the run was trained on.
        image_size: side of the images before the protocol; by default as the network was trained.
        fit: how images of another size come to it: none, pad or resize (`load_dataset`); by default the run's own rule.

    Raises:
        ConfigError: the data has no such split.
        DataError: the run's own data has changed, the network does not know a class, or images do not fit.
    """
    own = dataset is None and data is None and image_size is None and fit is None
    rule = fit or run.config.fit
    if dataset is None and own:
        dataset = load_config_data(run.config)
    elif dataset is None:
        dataset = _load(run, data, image_size, rule)
    else:
        own = True
    if own and dataset.fingerprint != run.spec.fingerprint:
        raise DataError(
            31, f"{dataset.name} has changed since {run.workdir} was trained on it: restore it, or train again"
        )
    have = {name: part for name, part in dataset.splits.items() if len(part.label)}
    if split not in (*have, ALL):
        raise ConfigError(13, f"{dataset.name} has no split {split!r}: use one of {', '.join(have)}, {ALL}")
    return Examples(
        dataset.name,
        split,
        dataset.fingerprint,
        rule,
        dataset.image_shape[:2],
        have if split == ALL else {split: have[split]},
        matched(dataset, run),
        run.spec.image_shape[2],
        dataset,
    )


def matched(dataset: Dataset, run: Run) -> np.ndarray:
    """The network's number of each class of the data, by name; the data may have a part of its classes, in any order.

    Raises:
        DataError: a class that the network does not know.
    """
    known = {name: label for label, name in enumerate(run.spec.classes)}
    strangers = [name for name in dataset.classes if name not in known]
    if strangers:
        raise DataError(
            200,
            f"{dataset.name} has classes that the network of {run.workdir} does not know: {_few(strangers)}; it knows "
            f"{_few(list(known))}: name the folders of the classes as in training",
        )
    return np.array([known[name] for name in dataset.classes], np.int64)


def _load(run: Run, data: str | None, image_size: int | None, fit: str) -> Dataset:
    config = run.config
    size = (image_size, image_size) if image_size else run.spec.image_shape[:2]
    try:
        return load_dataset(
            data or config.data,
            # Of its own data the same examples are held out; of other data none are.
            validation=config.validation if data is None else 0,
            train_images=config.train_images if data is None else None,
            seed=0,
            image_size=size,
            fit=fit,
            memory=decoded_limit(config.input),
        )
    except DataError as error:
        # Said to somebody who evaluates, not to somebody who trains.
        said = error.message.replace("--config.image_size=N ", "").replace("--config.fit", "--fit")
        raise DataError(error.number, said) from None


def _few(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
