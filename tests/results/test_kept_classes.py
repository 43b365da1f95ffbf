"""What is kept of rows of logits, by hand and against numpy and scipy on all classes."""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

from hf_tune.results.kept_classes import keep_classes


def test_two_rows_by_hand() -> None:
    probabilities = torch.tensor([[0.25, 0.125, 0.625], [0.125, 0.75, 0.125]])
    kept = keep_classes(probabilities.log() + 3, torch.tensor([0, 1]))
    assert kept["top_labels"].tolist() == [[2, 0, 1], [1, 0, 2]] and kept["top_labels"].dtype == torch.int32
    assert kept["top_log_probabilities"].exp().tolist() == [
        pytest.approx([0.625, 0.25, 0.125]),
        pytest.approx([0.75, 0.125, 0.125]),
    ]
    assert kept["label_log_probability"].tolist() == pytest.approx([math.log(0.25), math.log(0.75)])
    expected = [-sum(p * math.log(p) for p in row) for row in ((0.25, 0.125, 0.625), (0.125, 0.75, 0.125))]
    assert kept["entropy"].tolist() == pytest.approx(expected)
    assert {value.dtype for name, value in kept.items() if name != "top_labels"} == {torch.float32}


def test_without_a_label_it_has_no_probability() -> None:
    assert set(keep_classes(torch.zeros(2, 3), None)) == {"top_labels", "top_log_probabilities", "entropy"}


@pytest.mark.parametrize("classes", [2, 7, 10, 11, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_most_probable_classes_are_those_of_all_probabilities(classes: int, dtype: torch.dtype) -> None:
    logits = 3 * torch.randn(40, classes, generator=torch.Generator().manual_seed(classes)).to(dtype)
    labels = torch.arange(40) % classes
    kept = {name: value.numpy() for name, value in keep_classes(logits, labels).items()}
    every = scipy.special.log_softmax(logits.double().numpy(), axis=1)
    assert kept["top_labels"].shape == kept["top_log_probabilities"].shape == (40, min(classes, 10))
    assert (kept["top_labels"][:, 0] == logits.float().numpy().argmax(1)).all()
    assert np.allclose(kept["top_log_probabilities"], -np.sort(-every, axis=1)[:, :10], atol=1e-6, rtol=1e-6)
    own = np.take_along_axis(every, kept["top_labels"].astype(np.int64), axis=1)
    assert np.allclose(kept["top_log_probabilities"], own, atol=1e-6, rtol=1e-6)
    assert np.allclose(kept["label_log_probability"], every[np.arange(40), labels], atol=1e-6, rtol=1e-6)
    assert np.allclose(kept["entropy"], scipy.stats.entropy(np.exp(every), axis=1), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("classes", [3, 16, 5000])
def test_of_equally_probable_classes_the_lowest_comes_first(classes: int) -> None:
    """torch.topk gives equal values in any order, and the predicted class would not be that of `argmax`."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randint(0, 3, (64, classes), generator=generator).float()
    logits[0] = 0.0
    top = keep_classes(logits, None)["top_labels"].numpy()
    assert (top == np.argsort(-logits.numpy(), axis=1, kind="stable")[:, :10]).all()
    assert (top[:, 0] == logits.numpy().argmax(1)).all() and top[0].tolist() == list(range(min(classes, 10)))


def test_a_class_that_cannot_be_has_no_part_in_the_entropy() -> None:
    kept = keep_classes(torch.tensor([[0.0, -torch.inf, 0.0]]), torch.tensor([1]))
    assert kept["entropy"].item() == pytest.approx(math.log(2))
    assert kept["label_log_probability"].item() == -math.inf


@pytest.mark.parametrize("classes", [11, 20_000])
def test_the_bytes_of_a_row_do_not_depend_on_the_number_of_classes(classes: int) -> None:
    """The storage is measured: a slice would look small and hold on to the values of all classes."""
    kept = keep_classes(torch.randn(8, classes), torch.zeros(8, dtype=torch.int64))
    assert sum(value.untyped_storage().nbytes() for value in kept.values()) == 8 * (10 * 4 + 10 * 4 + 4 + 4)
