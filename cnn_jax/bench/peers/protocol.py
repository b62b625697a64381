"""The peer's end of the conversation: one JSON object a line on standard input, one in answer on standard output.

    {"do": "start", "directory": D, ...}   -> {"versions": {...}, "compile_seconds": s}
    {"do": "losses", "steps": n}           -> {"losses": [...]}     from the initial weights on
    {"do": "run", "steps": n}              -> {"seconds": s}        after one step that is not counted
    {"do": "end"}                          the process ends

D holds `weights.npy`, all arrays one after another in float32, `weights.json`, their names and shapes in that order,
`image.npy`, float32 [K, B, H, W, C], and `label.npy`, int32 [K, B]. Whatever else a library prints goes to standard
error. A failure is answered with {"error": words}.
"""

import importlib.metadata
import json
import math
import os
import pathlib
import sys
import time
import traceback

import numpy as np


class Work:
    """What a peer is asked to do.

    Attributes:
        request: the message that started it.
        weights: initial arrays by path, `params/conv1/kernel`, in cnn_jax's layouts (NHWC, HWIO).
        image: float32 [K, B, H, W, C], normalised.
        label: int32 [K, B].
    """

    def __init__(self, request):
        directory = pathlib.Path(request["directory"])
        self.request = request
        self.image, self.label = np.load(directory / "image.npy"), np.load(directory / "label.npy")
        flat, start, self.weights = np.load(directory / "weights.npy"), 0, {}
        for name, shape in json.loads((directory / "weights.json").read_text()):
            size = math.prod(shape)
            self.weights[name] = flat[start : start + size].reshape(shape)
            start += size

    def layers(self):
        """`(collection, layer, leaf, array)` of every array: ("params", "conv2_1/conv1", "kernel", ...)."""
        for name, array in self.weights.items():
            collection, *layer, leaf = name.split("/")
            yield collection, "/".join(layer), leaf, array


def serve(make, libraries, extra=None):
    """Answers messages until the end.

    Args:
        make: `(work) -> peer`; a peer has `load()`, which sets the initial weights, `step(k)`, which makes a step with
            batch k and returns the loss in any form, and `number(loss)`, which waits for it.
        libraries: names of what the peer runs on, for the record.
        extra: `(peer, message) -> answer` by the name of what else can be done.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    peer, batches = None, 1
    for line in sys.stdin:
        message = json.loads(line)
        try:
            if message["do"] == "end":
                return
            if message["do"] == "start":
                work = Work(message)
                peer, batches = make(work), len(work.label)
                answer = {
                    "compile_seconds": _first_step(peer),
                    "versions": {name: importlib.metadata.version(name) for name in libraries},
                }
            elif message["do"] == "losses":
                answer = {"losses": _losses(peer, message["steps"], batches)}
            elif message["do"] == "run":
                answer = {"seconds": _run(peer, message["steps"], batches)}
            else:
                answer = (extra or {})[message["do"]](peer, message)
        except Exception as error:  # whatever it is, the other side has to hear of it
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        answers.write(json.dumps(answer) + "\n")


def _first_step(peer):
    """How much longer the first step takes than the second: compiling."""
    seconds = []
    peer.load()
    for _ in range(2):
        started = time.perf_counter()
        peer.number(peer.step(0))
        seconds.append(time.perf_counter() - started)
    return max(0.0, seconds[0] - seconds[1])


def _losses(peer, steps, batches):
    peer.load()
    return [peer.number(peer.step(i % batches)) for i in range(steps)]


def _run(peer, steps, batches):
    peer.number(peer.step(0))
    started, loss = time.perf_counter(), None
    for i in range(steps):
        loss = peer.step(i % batches)
    peer.number(loss)
    return time.perf_counter() - started
