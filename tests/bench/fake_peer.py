"""A peer that trains nothing: its losses are what it is told, and it can be made to fail in every way there is."""

# pyright: reportMissingImports=false

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "cnn_jax" / "bench" / "peers"))
import protocol


class Peer:
    """Loss k is the k-th number it is given, plus the sum of the first weight."""

    def __init__(self, work):
        self.work, self.count = work, 0
        print("a library says something on standard output")
        if work.request.get("fail") == "start":
            raise RuntimeError("no such\ncompiler")

    def load(self):
        self.count = 0

    def step(self, k):
        fail = self.work.request.get("fail")
        if fail == "die":
            print("Segmentation fault (core dumped)", file=sys.stderr, flush=True)
            os._exit(139)
        if fail == "hang" and self.count >= 2:
            sys.stdin.readline()
        self.count += 1
        first = next(iter(self.work.weights.values()))
        return self.work.request["told"][k] + float(first.sum()) + float(self.work.image[k].sum())

    def number(self, loss):
        return loss


if __name__ == "__main__":
    protocol.serve(Peer, ("numpy",), {"echo": lambda peer, message: {"said": message["what"]}})
