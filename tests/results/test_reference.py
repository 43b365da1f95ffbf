"""Features of a network small enough to follow by hand."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from hf_tune.results.reference import build_reference, read_features


class Doubler(torch.nn.Module):
    """Doubles its input, drops half of it while training, and adds it up."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = torch.nn.Dropout(0.5)
        self.head = torch.nn.Linear(4, 1)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(2 * values))


def test_features_are_the_input_of_the_cut_in_evaluation_mode_and_in_order() -> None:
    rows = torch.arange(20.0).reshape(5, 4)
    model = Doubler().train()
    batches = [{"rows": rows[:3]}, {"rows": rows[3:]}]
    features = read_features(model, "head", batches, lambda batch: {"values": batch["rows"]})
    assert features.dtype == np.float32
    assert (features == 2 * np.arange(20).reshape(5, 4)).all()
    assert not model.head._forward_pre_hooks


def test_the_hook_is_gone_after_an_error() -> None:
    model = Doubler()
    with pytest.raises(RuntimeError):
        read_features(model, "head", [{"values": torch.zeros(2, 3)}], lambda batch: batch)
    assert not model.head._forward_pre_hooks


def test_a_reference_has_one_entry_per_row_in_every_column() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [1 / 3, 1 / 3, 1 / 3]])
    statistics = [{"width": 20.0, "brightness": 0.5}, {"width": 30.0, "brightness": 0.25}]
    kept = {
        "top_log_probabilities": np.log([[0.7, 0.2, 0.1], [1 / 3] * 3, [1.0, 1e-9, 1e-9]]),  # the last has no features
        "entropy": np.append(entropy(probabilities, axis=1), 0.0),
    }
    columns = build_reference(np.ones((2, 4)), kept, statistics)
    assert columns["row"].tolist() == [0, 1] and columns["features"].shape == (2, 4)
    assert columns["top_score"] == pytest.approx([0.7, 1 / 3])
    assert columns["entropy"] == pytest.approx(entropy(probabilities, axis=1))
    assert columns["width"].tolist() == [20.0, 30.0] and columns["brightness"].tolist() == [0.5, 0.25]


def test_a_task_without_classes_has_no_certainty() -> None:
    columns = build_reference(np.ones((1, 4), dtype=np.float64), {"values": np.ones(1)}, [{"width": 20.0}])
    assert set(columns) == {"row", "features", "width"} and columns["features"].dtype == np.float32
