"""Class names and numbers."""

import datasets
import numpy as np
import pytest

from hf_tune.data.labels import cut_stratified, read_labels
from hf_tune.input_error import InputError


def table(labels: list, names: list[str] | None = None) -> datasets.Dataset:
    features = datasets.Features({"label": datasets.ClassLabel(names=names)}) if names else None
    return datasets.Dataset.from_dict({"label": labels}, features=features)


def test_words_and_numbers_are_sorted_as_what_they_are() -> None:
    names, labels = read_labels({"train": table(["b", "a", "b"]), "test": table(["a"])}, "label")
    assert names == ("a", "b") and labels["train"].tolist() == [1, 0, 1] and labels["test"].tolist() == [0]
    names, labels = read_labels({"train": table([10, 9, 10])}, "label")
    assert names == ("9", "10") and labels["train"].tolist() == [1, 0, 1]


def test_a_class_label_keeps_its_names_and_numbers() -> None:
    names, labels = read_labels({"train": table([2, 0, 1], ["x", "y", "z"])}, "label")
    assert names == ("x", "y", "z") and labels["train"].tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        (["a", "b"], ["a", "c"], "row 1 of split 'test' has label 'c'"),
        (["a", None], ["a"], "row 1 of split 'train' has no label"),
        ([0.5, 1.0], [0.5], "row 0 of split 'train': label 0.5"),
        (["a", "a"], ["a"], "one class only"),
    ],
)
def test_a_label_that_does_not_fit_names_row_and_split(train: list, test: list, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_labels({"train": table(train), "test": table(test)}, "label")


def test_a_class_without_a_row_is_named() -> None:
    with pytest.raises(InputError, match="no row of class 'z'"):
        read_labels({"train": table([0, 1], ["x", "y", "z"])}, "label")


def test_a_cut_is_stratified_repeatable_and_disjoint() -> None:
    labels = np.asarray([0] * 80 + [1] * 20)
    kept, cut = cut_stratified(100, labels, 0.1, 0, ["x", "y"], "validation")
    assert np.bincount(labels[cut]).tolist() == [8, 2] and sorted([*kept, *cut]) == list(range(100))
    again = cut_stratified(100, labels, 0.1, 0, ["x", "y"], "validation")
    assert again[1].tolist() == cut.tolist()


def test_a_class_with_one_row_is_named_before_scikit_learn_fails() -> None:
    """TRAPS S8."""
    with pytest.raises(InputError, match="class 'rare' has 1 row"):
        cut_stratified(5, np.asarray([0, 0, 0, 0, 1]), 0.2, 0, ["common", "rare"], "validation")
