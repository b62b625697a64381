"""Where a network's gradient jumps: rounding may take either side there, and neither is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.parity.torch_networks import nn, torch


def margin(network: Any, x: Any) -> float:
    """The least distance from a kink on the way of `x`, in standard deviations of its layer.

    A kink is a ReLU's input of 0, or two equal leading values in a window of a max pool (zeros behind a ReLU let no
    gradient through, whichever of them is chosen).
    """
    least = [float("inf")]
    with torch.no_grad(), _listening(network, least):
        network(x)
    return min(least)


@contextmanager
def _listening(network: Any, least: list[float]) -> Iterator[None]:
    def relu(module, inputs, output):
        least.append(float((inputs[0].abs() / inputs[0].std()).min()))

    def pool(module, inputs, output):
        x = inputs[0]
        padding, kernel, stride = module.padding, module.kernel_size, module.stride
        planes = nn.functional.pad(x.flatten(0, 1)[:, None], [padding] * 4)
        first, second = nn.functional.unfold(planes, kernel, stride=stride).topk(2, dim=1).values.unbind(1)
        gaps = (first - second)[first > 0]
        least.append(float(gaps.min() / x.std()))

    modules = list(network.modules())
    hooks = [module.register_forward_hook(relu) for module in modules if isinstance(module, nn.ReLU)]
    hooks += [module.register_forward_hook(pool) for module in modules if isinstance(module, nn.MaxPool2d)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
