"""timm's and torchvision's networks, channels_last, bfloat16 by automatic mixed precision, compiled.

The weights come under the library's own names; without a GPU the arithmetic is the same on the CPU.
"""

# pyright: reportMissingImports=false

import contextlib

import numpy as np
import protocol
import torch
from torch.nn import functional

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def network_of(library, name, classes):
    """The network without dropout, and without what takes no part in classifying."""
    if library == "timm":
        import timm

        return timm.create_model(name, pretrained=False, num_classes=classes, drop_rate=0.0)
    import torchvision

    options = {"aux_logits": False, "transform_input": False, "init_weights": False} if name == "googlenet" else {}
    options |= {"dropout": 0.0}
    return getattr(torchvision.models, name)(weights=None, num_classes=classes, **options)


class Peer:
    """The loop of timm's `benchmark.py --channels-last --amp --torchcompile`."""

    def __init__(self, work):
        self.work, request = work, work.request
        precise = request["precision"] == "float32"
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = not precise
        torch.backends.cudnn.benchmark = True
        if request["threads"]:
            torch.set_num_threads(request["threads"])
        network = network_of(request["library"], request["their_name"], request["classes"])
        self.network = network.to(DEVICE, memory_format=torch.channels_last).train()
        # A compiled network keeps its kernels for as long as there is one: earlier ones are let go of.
        torch.compiler.reset()
        self.forward = torch.compile(self.network) if request["compiled"] else self.network
        self.cast = contextlib.nullcontext() if precise else torch.autocast(DEVICE, dtype=torch.bfloat16)
        images = (torch.from_numpy(x.transpose(0, 3, 1, 2)) for x in work.image)
        self.images = [x.to(DEVICE).contiguous(memory_format=torch.channels_last) for x in images]
        self.labels = [torch.from_numpy(y.astype(np.int64)).to(DEVICE) for y in work.label]

    def load(self):
        """The initial weights."""
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in self.work.weights.items()}
        state = self.network.state_dict()
        counters = {name: torch.zeros_like(state[name]) for name in state if name.endswith("num_batches_tracked")}
        self.network.load_state_dict({**counters, **tensors})
        rate, momentum = self.work.request["learning_rate"], self.work.request["momentum"]
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=rate, momentum=momentum)

    def step(self, k):
        """One update with batch k."""
        self.optimizer.zero_grad(set_to_none=True)
        with self.cast:
            loss = functional.cross_entropy(self.forward(self.images[k]), self.labels[k])
        loss.backward()
        self.optimizer.step()
        return loss

    def number(self, loss):
        """Waits for the loss and for the update."""
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        return loss.item()


if __name__ == "__main__":
    protocol.serve(Peer, ("torch", "timm", "torchvision"))
