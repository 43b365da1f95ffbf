"""Rows as the vectors that a frozen body made of them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hf_tune.training.batch_sampler import as_filler
from hf_tune.training.feature_rows import FeatureRows


class Encoded:
    """Three rows of labels."""

    def __init__(self, labels: np.ndarray) -> None:
        self.split = SimpleNamespace(labels=labels)

    def __len__(self) -> int:
        return 3


VECTORS = np.arange(12, dtype=np.float32).reshape(2, 3, 2)


def test_epochs_take_turns_with_the_views() -> None:
    rows = FeatureRows(Encoded(np.array([5, 6, 7])), VECTORS)
    batch = rows.__getitems__([0 * 3 + 2, 1 * 3 + 2, 2 * 3 + 2])
    assert batch["features"].tolist() == [[4, 5], [10, 11], [4, 5]]
    assert batch["labels"].tolist() == [7, 7, 7] and batch["labels"].dtype == torch.int64
    assert (batch["row"].tolist(), batch["epoch"].tolist()) == ([2, 2, 2], [0, 1, 2])
    assert len(rows) == 3 and not hasattr(rows, "lengths")


def test_a_filler_is_its_row_in_a_negative_epoch() -> None:
    rows = FeatureRows(Encoded(np.array([5, 6, 7])), VECTORS)
    batch = rows.__getitems__([as_filler(1 * 3 + 1, 3)])
    assert (batch["row"].tolist(), batch["epoch"].tolist()) == ([1], [-2])
    assert batch["features"].tolist() == [[8, 9]]


@pytest.mark.parametrize(
    "labels", [np.float32([0.5, 1, 2]), np.float32([[0, 1], [1, 1], [0, 0]])], ids=["number", "set"]
)
def test_labels_keep_their_kind_and_rows_their_lengths(labels: np.ndarray) -> None:
    encoded = Encoded(labels)
    encoded.lengths = np.array([3, 1, 2])  # type: ignore[attr-defined]
    rows = FeatureRows(encoded, VECTORS)
    assert rows.__getitems__([1])["labels"].dtype == torch.float32
    assert rows.__getitems__([1])["labels"].tolist() == labels[1:2].tolist()
    assert rows.lengths is encoded.lengths  # type: ignore[attr-defined]
