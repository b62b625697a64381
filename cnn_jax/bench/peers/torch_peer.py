"""T and TC: PyTorch with channels_last, eager or through `torch.compile`."""

# pyright: reportMissingImports=false

import networks
import numpy as np
import protocol
import torch
from torch import nn
from torch.nn import functional


class Layers:
    """What `networks.py` asks for, as modules kept in `modules`; they are made when first asked for."""

    relu, tanh = staticmethod(torch.relu), staticmethod(torch.tanh)

    def __init__(self, modules):
        self.modules = modules

    def _module(self, name, make):
        name = name.replace("/", ":")  # a module's name may not hold a dot, a state's key is split at dots
        if name not in self.modules:
            self.modules[name] = make()
        return self.modules[name]

    def conv(self, x, name, features, kernel, strides=1, padding=0, groups=1, bias=True):
        """A convolution."""
        make = lambda: nn.Conv2d(x.shape[1], features, kernel, strides, padding, groups=groups, bias=bias)  # noqa: E731
        return self._module(name, make)(x)

    def separable(self, x, name, features, kernel):
        """A convolution by channel, then one over channels."""
        channels = x.shape[1]
        x = self.conv(x, f"{name}/depthwise", channels, kernel, 1, kernel // 2, channels, bias=False)
        return self.conv(x, f"{name}/pointwise", features, 1, bias=False)

    def norm(self, x, name, epsilon):
        """Batch norm."""
        return self._module(name, lambda: nn.BatchNorm2d(x.shape[1], eps=epsilon))(x)

    def dense(self, x, name, features):
        """A fully connected layer."""
        return self._module(name, lambda: nn.Linear(x.shape[1], features))(x)

    def response_norm(self, x, size, alpha, beta, k):
        """Local response norm; Torch's alpha multiplies the mean of squares."""
        return functional.local_response_norm(x, size, alpha * size, beta, k)

    def max_pool(self, x, window, strides, padding):
        """Max pooling; "same" at stride 2 is a pool that rounds up where the size is even."""
        if padding == "valid" or strides == 1:
            return functional.max_pool2d(x, window, strides, window // 2 if padding == "same" else 0)
        return functional.max_pool2d(x, window, strides, ceil_mode=True)

    def avg_pool(self, x, window, strides):
        """Average pooling."""
        return functional.avg_pool2d(x, window, strides)

    def flatten(self, x):
        """[N, C, H, W] to [N, H W C]: with channels last that is a view."""
        return x.permute(0, 2, 3, 1).flatten(1)

    def mean(self, x):
        """Over all positions."""
        return x.mean((2, 3))

    def concat(self, branches):
        """Over channels."""
        return torch.cat(branches, 1)

    def subsample(self, x, features):
        """Every second pixel, and zeros for the channels that are missing."""
        return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, features - x.shape[1]))


class Network(nn.Module):
    """One of the six."""

    def __init__(self, kind, shape):
        super().__init__()
        self.layers = nn.ModuleDict()
        self.kind = kind
        height, width, channels = shape
        with torch.no_grad():
            self(torch.zeros(2, channels, height, width))

    def forward(self, x):
        """Logits."""
        return networks.NETWORKS[self.kind](Layers(self.layers), x)


_LEAVES = {"kernel": "weight", "bias": "bias", "scale": "weight", "mean": "running_mean", "var": "running_var"}
_ORDER = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}


class Peer:
    """The loop of PyTorch's tutorials."""

    def __init__(self, work):
        self.work, request = work, work.request
        torch.set_num_threads(request["threads"])
        self.network = Network(request["network"], work.image.shape[2:]).to(memory_format=torch.channels_last)
        self.network.train()
        self.forward = torch.compile(self.network) if request.get("compiled") else self.network
        channels_first = (torch.from_numpy(x.transpose(0, 3, 1, 2)) for x in work.image)
        self.images = [x.contiguous(memory_format=torch.channels_last) for x in channels_first]
        self.labels = [torch.from_numpy(y.astype(np.int64)) for y in work.label]

    def load(self):
        """The initial weights."""
        state = self.network.state_dict()
        for _, layer, leaf, array in self.work.layers():
            tensor = state[f"layers.{layer.replace('/', ':')}.{_LEAVES[leaf]}"]
            tensor.copy_(torch.from_numpy(np.ascontiguousarray(array.transpose(_ORDER[array.ndim]))))
        rate, momentum = self.work.request["learning_rate"], self.work.request["momentum"]
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=rate, momentum=momentum)

    def step(self, k):
        """One update with batch k."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(self.forward(self.images[k]), self.labels[k])
        loss.backward()
        self.optimizer.step()
        return loss

    def number(self, loss):
        """The loss; the CPU has made the update by then."""
        return loss.item()


if __name__ == "__main__":
    protocol.serve(Peer, ("torch",))
