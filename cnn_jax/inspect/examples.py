"""Which images a method looks at: some of the data's, or files."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnn_jax.data import Split
from cnn_jax.evaluate.images import read_images
from cnn_jax.inspect import Request
from cnn_jax.inspect.network import Network, find_class, probabilities


class Examples(NamedTuple):
    """Images with what is known of them.

    Attributes:
        image: uint8 [N, H, W, C].
        label: int32 [N]; None of files, whose class nobody knows.
        name: of each, such as "test 17".
        source: what they are, in words: "test images" or "files".
    """

    image: np.ndarray
    label: np.ndarray | None
    name: list[str]
    source: str


def spread(label: np.ndarray, examples: int, seed: int) -> np.ndarray:
    """Which examples to show: one of each class in turn, drawn by the seed.

    Returns:
        int `[min(examples, N)]`, indices into `label`.
    """
    order = np.random.default_rng(seed).permutation(len(label))
    shuffled = label[order]
    # The how-manieth of its class an example is in the shuffled order: all the firsts come first.
    rank = np.empty(len(label), np.int64)
    for value in np.unique(label):
        members = shuffled == value
        rank[members] = np.arange(members.sum())
    return order[np.lexsort((shuffled, rank))][:examples]


def unseen(request: Request) -> tuple[str, Split]:
    """The split that the network was not trained on: test, or else validation, or else what there is."""
    splits = request.dataset.splits
    name = next(name for name in ("test", "validation", "train") if name in splits)
    return name, splits[name]


def choose(request: Request, default: int) -> Examples:
    """The files that were asked for, or images that the network was not trained on, one of each class in turn.

    Args:
        request: its `images` or `examples`.
        default: how many where the request does not say.

    Raises:
        DataError: data or a file that is missing or broken.
    """
    if request.images:
        images = read_images([Path(name) for name in request.images], request.run)
        return Examples(images, None, [Path(name).name for name in request.images], "files")
    name, split = unseen(request)
    index = spread(split.label, request.examples or default, request.config.seed)
    # One by one: those of a large data set are read from their files.
    images = np.stack([np.asarray(split.image[int(i)]) for i in index])
    return Examples(images, split.label[index], [f"{name} {i}" for i in index], f"{name} images")


def targets(network: Network, examples: Examples, class_name: str | None) -> np.ndarray:
    """The class to explain of each image: the one asked for, or the true one, or the likeliest.

    Returns:
        int32 [N].

    Raises:
        ConfigError: no such class.
    """
    asked = find_class(network, class_name)
    if asked is not None:
        return np.full(len(examples.image), asked, np.int32)
    if examples.label is not None:
        return examples.label.astype(np.int32)
    return probabilities(network, examples.image).argmax(-1).astype(np.int32)


def described(network: Network, examples: Examples, target: np.ndarray) -> list[dict]:
    """The images as JSON: name, true class where it is known, the class explained, and its probability."""
    probability = probabilities(network, examples.image)
    return [
        {
            "image": examples.name[i],
            "class": None if examples.label is None else network.class_name(int(examples.label[i])),
            "target": network.class_name(int(target[i])),
            "probability": round(float(probability[i, target[i]]), 6),
        }
        for i in range(len(examples.image))
    ]
