"""Rows kept of an evaluation."""

import numpy as np
import pytest
import torch

from hf_tune.training.kept_rows import KeptRows, put_in_order


def test_batches_are_written_into_arrays_that_are_made_once() -> None:
    rows = KeptRows(6)
    rows.add({"row": torch.tensor([4, 1]), "x": torch.tensor([[1.0, 2.0], [3.0, 4.0]])})
    made = dict(rows.arrays)
    rows.add({"row": torch.tensor([0]), "x": torch.tensor([[5.0, 6.0]])})
    assert all(rows.arrays[name] is made[name] for name in made)
    kept = rows.read()
    assert kept["row"].tolist() == [4, 1, 0] and kept["x"].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert kept["x"].dtype == np.float32 and kept["row"].dtype == np.int64


def test_a_process_without_a_row_keeps_nothing() -> None:
    assert KeptRows(0).read() == {}
    some = KeptRows(1)
    some.add({"row": torch.tensor([0])})
    assert put_in_order([some.read(), {}], 1)["row"].tolist() == [0]


def test_parts_are_put_in_order_and_a_row_that_is_missing_or_twice_there_is_noticed() -> None:
    one, two = {"row": np.asarray([2, 0]), "x": np.asarray([20, 0])}, {"row": np.asarray([1]), "x": np.asarray([10])}
    assert put_in_order([one, two], 3)["x"].tolist() == [0, 10, 20]
    for parts, rows in (([one], 3), ([one, two, two], 3), ([one, two], 2)):
        with pytest.raises(RuntimeError, match="not each of them once"):
            put_in_order(parts, rows)
