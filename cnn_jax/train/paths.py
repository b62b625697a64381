"""Parameters by path: `conv1/kernel`, `block2/conv1/bias`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import jax

from cnn_jax.errors import ConfigError


def path_tree(tree: Any) -> Any:
    """The tree with every leaf replaced by its path, names joined by `/`."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: jax.tree_util.keystr(path, simple=True, separator="/"), tree
    )


def matches(path: str, pattern: str) -> bool:
    """Whether a pattern names this path or something above it: `conv1` is everything in conv1.

    `*`, `?` and `[...]` as in a shell; `*` goes across `/`.
    """
    parts = path.split("/")
    return any(fnmatchcase("/".join(parts[:end]), pattern) for end in range(1, len(parts) + 1))


def matching(tree: Any, patterns: Sequence[str]) -> Any:
    """Which leaves any of the patterns names: the tree with a bool for every leaf."""
    return jax.tree.map(lambda path: any(matches(path, pattern) for pattern in patterns), path_tree(tree))


def rate_factors(params: Any, groups: Mapping[str, float], freeze: Sequence[str] = ()) -> Any:
    """The factor of each parameter's learning rate: the product of all patterns that name it, 0 where frozen."""

    def factor(path: str) -> float:
        product = 0.0 if any(matches(path, pattern) for pattern in freeze) else 1.0
        for pattern, value in sorted(groups.items()):
            product *= value if matches(path, pattern) else 1.0
        return product

    return jax.tree.map(factor, path_tree(params))


def check_patterns(params: Any, patterns: Sequence[str], key: str) -> None:
    """Refuses a pattern that names no parameter.

    Raises:
        ConfigError: names the key, the pattern and the layers that there are.
    """
    paths = jax.tree.leaves(path_tree(params))
    for pattern in patterns:
        if not any(matches(path, pattern) for path in paths):
            layers = ", ".join(dict.fromkeys(path.split("/")[0] for path in paths))
            raise ConfigError(101, f"config.{key} has {pattern!r}, which names no parameter: the layers are {layers}")
