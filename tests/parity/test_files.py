"""Files as PyTorch writes them, read by its safe loader."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from cnn_jax.errors import DataError
from cnn_jax.weights import read_tensors

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed: make parity")


class Harmful:
    """What a pickle may do to whoever loads it."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


def test_state_dicts_alone_and_inside_of_checkpoints(tmp_path):
    tensors = {"fc.weight": torch.arange(6.0).reshape(2, 3), "bn.num_batches_tracked": torch.tensor(7)}
    wrapped = {f"module.{name}": tensor for name, tensor in tensors.items()}
    for number, saved in enumerate((tensors, wrapped, {"state_dict": wrapped, "epoch": 3}, {"model": tensors})):
        file = tmp_path / f"{number}.pth"
        torch.save(saved, file)
        read = read_tensors(file)
        assert read.keys() == tensors.keys()
        np.testing.assert_array_equal(read["fc.weight"], tensors["fc.weight"])


def test_code_in_a_file_is_not_run(tmp_path):
    torch.save({"fc.weight": Harmful(tmp_path / "harm")}, tmp_path / "x.pth")
    with pytest.raises(DataError, match="safe loader"):
        read_tensors(tmp_path / "x.pth")
    assert not (tmp_path / "harm").exists()


def test_other_contents_are_refused_in_a_line(tmp_path):
    (tmp_path / "broken.pth").write_bytes(b"half a file")
    torch.save([torch.zeros(3)], tmp_path / "list.pt")
    for name, words in (("broken.pth", "safe loader"), ("list.pt", "holds a list")):
        with pytest.raises(DataError, match=words) as error:
            read_tensors(tmp_path / name)
        assert "\n" not in str(error.value)
