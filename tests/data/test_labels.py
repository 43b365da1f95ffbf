"""Class names and numbers."""

import re
from typing import Any

import datasets
import numpy as np
import pytest

from hf_tune.data.label_column import LabelColumn
from hf_tune.data.labels import cut_stratified, read_labels
from hf_tune.data.row_origin import build_origin
from hf_tune.input_error import InputError


def table(labels: list, names: list[str] | None = None) -> datasets.Dataset:
    features = datasets.Features({"label": datasets.ClassLabel(names=names)}) if names else None
    return datasets.Dataset.from_dict({"label": labels}, features=features)


def read(**parts: datasets.Dataset) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    origins = {name: build_origin(name, [(name, 0, len(rows))]) for name, rows in parts.items()}
    return read_labels(
        {name: LabelColumn(rows=rows, name="label", origin=origins[name]) for name, rows in parts.items()}
    )


def test_words_and_numbers_are_sorted_as_what_they_are() -> None:
    names, labels = read(train=table(["b", "a", "b"]), test=table(["a"]))
    assert names == ("a", "b") and labels["train"].tolist() == [1, 0, 1] and labels["test"].tolist() == [0]
    names, labels = read(train=table([10, 9, 10]))
    assert names == ("9", "10") and labels["train"].tolist() == [1, 0, 1]


def test_a_class_label_keeps_its_names_and_numbers() -> None:
    names, labels = read(train=table([2, 0, 1], ["x", "y", "z"]))
    assert names == ("x", "y", "z") and labels["train"].tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        (["a", "b"], ["a", "c"], "row 1 of split 'test' has label 'c'"),
        (["a", None], ["a"], "row 1 of split 'train' has no label"),
        (["a", "b"], [None, "a"], "row 0 of split 'test' has no label"),
        ([0.0, 1.0, None], [0.0], "row 2 of split 'train' has no label"),
        ([0, 1], [0.0, float("nan")], "row 1 of split 'test' has no label"),
        (
            [0.5, 1.0],
            [0.5],
            r"split 'train' are numbers with a fraction \(float64\), such as 0.5; write them as whole",
        ),
        (
            [0, 1],
            [0.0, 1.5],
            r"split 'test' are numbers with a fraction \(float64\), such as 1.5; write them as whole",
        ),
        ([True, False], [True], r"split 'train' holds true and false \(bool\), not .*; write them as words"),
        ([[1], [2]], [[1]], r"split 'train' holds lists of whole numbers \(int64\), not words or whole numbers"),
        ([b"a", b"b"], [b"a"], "split 'train' holds values of type binary, not words or whole numbers"),
        (["0", "1"], [0, 1], "holds whole numbers in split 'test' and words in split 'train'; make them all words"),
        (["a", "a"], ["a"], "one class only"),
    ],
)
def test_a_label_that_does_not_fit_names_row_and_split(train: list, test: list, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read(train=table(train), test=table(test))
    assert caught.value.at == ("columns", "label")


def test_class_labels_in_another_order_are_joined_by_name() -> None:
    """Raw numbers of the test split, read with train's names, are other classes."""
    train, test = table([0, 1, 0], ["red", "green"]), table([0, 0, 1], ["green", "red"])
    names, labels = read(train=train, test=test)
    assert names == ("red", "green")
    assert labels["train"].tolist() == [0, 1, 0] and labels["test"].tolist() == [1, 1, 0]


def test_words_and_a_class_label_of_the_same_words_are_joined_by_name() -> None:
    words, named = table(["green", "red"]), table([0, 1], ["red", "green"])
    names, labels = read(train=named, test=words)
    assert names == ("red", "green") and labels["test"].tolist() == [1, 0]
    names, labels = read(train=words, test=named)
    assert names == ("green", "red") and labels["test"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("test", "words"),
    [
        (table([0, 2], ["green", "red", "blue"]), "row 1 of split 'test' has label 'blue', which train does not have"),
        (table([0, -1], ["red", "green"]), r"row 1 of split 'test' has no label \(-1\)"),
        (table([0, 1]), "holds whole numbers in split 'test' and words in split 'train'; .* the same ClassLabel"),
        (table(["Red"]), "row 0 of split 'test' has label 'Red', .*; classes of train: red, green"),
    ],
)
def test_a_split_that_does_not_fit_the_class_label_of_train_is_told(test: datasets.Dataset, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(train=table([0, 1], ["red", "green"]), test=test)


def test_a_number_without_a_name_in_its_class_label_is_told() -> None:
    """datasets 5.2 checks numbers that it encodes, not those that it reads from a file."""
    features = datasets.Features({"label": datasets.ClassLabel(names=["red", "green"])})
    rows = datasets.Dataset(table([0, 7]).data, info=datasets.DatasetInfo(features=features))
    with pytest.raises(InputError, match="row 1 of split 'train' has label 7, for which its ClassLabel of 2 names"):
        read(train=rows)


def test_pictures_are_no_labels_and_none_is_decoded_to_say_so() -> None:
    """`data.columns: {image: label, label: image}`: the message held a picture's address in memory."""
    features = datasets.Features({"label": datasets.Image()})
    rows = datasets.Dataset.from_dict({"label": [{"bytes": b"no picture", "path": None}]}, features=features)
    with pytest.raises(InputError, match=r"split 'train' holds values of type Image, not words or .*right column\?$"):
        read(train=rows)


def test_a_class_without_a_row_is_named() -> None:
    with pytest.raises(InputError, match="no row of class 'z'"):
        read(train=table([0, 1], ["x", "y", "z"]))


def test_whole_numbers_that_are_stored_as_fractions_are_classes() -> None:
    """pandas stores them so where a cell of the column was empty."""
    names, labels = read(train=table([2.0, 1.0]), test=table([1, 2]))
    assert names == ("1", "2") and labels["train"].tolist() == [1, 0] and labels["test"].tolist() == [0, 1]


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


@pytest.mark.parametrize(
    ("count", "classes", "fraction", "words"),
    [
        (
            20,
            2,
            0.01,
            "validation 0.01 of 20 rows is 1 and leaves 19, but 2 classes need at least 2 in each; .*0.1 to 0.9",
        ),
        (20, 2, 0.99, "of 20 rows is 20 and leaves 0, .*; give a fraction from 0.1 to 0.9"),
        (20, 10, 0.1, "10 classes need at least 10 in each; give 0.5$"),
        (2000, 2, 0.0001, "of 2000 rows is 1 and .*; give a fraction from 0.001 to 0.999"),
        (3, 0, 0.99, "of 3 rows is 3 and leaves 0, but each needs one; give a fraction from 0.34 to 0.66"),
    ],
)
def test_a_fraction_that_is_too_small_or_large_is_told_with_those_that_would_do(
    count: int, classes: int, fraction: float, words: str
) -> None:
    """scikit-learn's own words name neither the rows nor the classes nor a cure."""
    labels = np.arange(count) % classes if classes else None
    names = [str(each) for each in range(classes)]
    with pytest.raises(InputError, match=words) as caught:
        cut_stratified(count, labels, fraction, 0, names, "validation")
    assert caught.value.at == ("splits", "validation")
    for would_do in re.findall(r"0\.\d+", caught.value.hint):
        cut: Any = cut_stratified(count, labels, float(would_do), 0, names, "validation")
        assert labels is None or all(len(set(labels[part])) == classes for part in cut)
