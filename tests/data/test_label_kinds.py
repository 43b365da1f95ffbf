"""Kinds of labels: which one a column holds, and what it is read as."""

from typing import Any

import datasets
import numpy as np
import pytest
from sklearn.preprocessing import MultiLabelBinarizer

from hf_tune.data.label_kinds import find_problem_type, read_label_column
from hf_tune.input_error import InputError
from hf_tune.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL


ALL = (SINGLE_LABEL, MULTI_LABEL, REGRESSION)
Value = datasets.Value


def table(labels: list, feature: Any = None) -> datasets.Dataset:
    features = None if feature is None else datasets.Features({"label": feature})
    return datasets.Dataset.from_dict({"label": labels}, features=features)


@pytest.mark.parametrize(
    ("feature", "kind"),
    [
        (datasets.ClassLabel(names=["a", "b"]), SINGLE_LABEL),
        (Value("string"), SINGLE_LABEL),
        (Value("int64"), SINGLE_LABEL),
        (Value("bool"), SINGLE_LABEL),
        (Value("float32"), REGRESSION),
        (Value("float64"), REGRESSION),
        (datasets.List(Value("string")), MULTI_LABEL),
        (datasets.LargeList(Value("int64")), MULTI_LABEL),
        (datasets.List(datasets.ClassLabel(names=["a", "b"])), MULTI_LABEL),
    ],
    ids=str,
)
def test_the_kind_is_what_the_column_looks_like(feature: Any, kind: Any) -> None:
    assert find_problem_type(feature, None, ALL) == kind


def test_what_the_recipe_says_goes_before_what_the_column_looks_like() -> None:
    assert find_problem_type(Value("int64"), REGRESSION, ALL) == REGRESSION
    assert find_problem_type(Value("float64"), SINGLE_LABEL, ALL) == SINGLE_LABEL


def test_a_kind_that_the_task_does_not_have_is_told_where_it_was_given() -> None:
    with pytest.raises(InputError, match=r"has no regression; it has: single_label_classification$") as caught:
        find_problem_type(Value("int64"), REGRESSION, (SINGLE_LABEL,))
    assert caught.value.at == ("problem_type",)
    with pytest.raises(
        InputError, match=r"no multi_label_classification, which a column of List.* stands for"
    ) as found:
        find_problem_type(datasets.List(Value("string")), None, (SINGLE_LABEL,))
    assert found.value.at == ("columns", "label")
    # Numbers stay classes there, and reading them tells the row whose number has a fraction.
    assert find_problem_type(Value("float64"), None, (SINGLE_LABEL,)) == SINGLE_LABEL


def test_numbers_are_float32_under_the_columns_own_name() -> None:
    parts = {"train": table([0.5, -1.25, 3.0]), "test": table([4])}
    names, labels = read_label_column(parts, "label", REGRESSION)
    assert names == ("label",)
    assert labels["train"].dtype == np.float32 and labels["train"].tolist() == [0.5, -1.25, 3.0]
    assert labels["test"].dtype == np.float32 and labels["test"].tolist() == [4.0]


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf"), "3.5", True], ids=str)
def test_a_label_that_is_no_number_names_row_and_split(bad: Any) -> None:
    values = [bad, bad] if isinstance(bad, (str, bool)) else [0.5, bad]
    row = 0 if isinstance(bad, (str, bool)) else 1
    with pytest.raises(InputError, match=f"row {row} of split 'test' has label {bad!r}, which is no number"):
        read_label_column({"train": table([0.5]), "test": table(values)}, "label", REGRESSION)


def test_sets_of_words_are_what_scikit_learn_makes_of_them() -> None:
    train, test = [["b", "a"], [], ["c"], ["a", "a"]], [["c", "b"], []]
    names, labels = read_label_column({"train": table(train), "test": table(test)}, "label", MULTI_LABEL)
    binarizer = MultiLabelBinarizer().fit(train)
    assert names == tuple(binarizer.classes_) == ("a", "b", "c")
    assert labels["train"].dtype == np.float32
    assert np.array_equal(labels["train"], binarizer.transform(train))
    assert np.array_equal(labels["test"], binarizer.transform(test))


def test_numbers_in_sets_are_sorted_as_numbers_and_class_labels_keep_their_names() -> None:
    names, labels = read_label_column({"train": table([[10], [9, 10]])}, "label", MULTI_LABEL)
    assert names == ("9", "10") and labels["train"].tolist() == [[0, 1], [1, 1]]
    feature = datasets.List(datasets.ClassLabel(names=["z", "a"]))
    names, labels = read_label_column({"train": table([[1], [0, 1]], feature)}, "label", MULTI_LABEL)
    assert names == ("z", "a") and labels["train"].tolist() == [[0, 1], [1, 1]]


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        ([["a"], ["b"]], [["a"], ["c"]], r"row 1 of split 'test' has label 'c', which train does not have; .* a, b"),
        ([["a"], None], [["a"]], "row 1 of split 'train': None in column 'label' is no list of words or numbers"),
        ([["a"]], [["a", None]], r"row 0 of split 'test': \['a', None\] in column 'label' is no list"),
        ([[0.5]], [[0.5]], r"row 0 of split 'train': \[0\.5\] in column 'label' is no list"),
        ([[], []], [[]], "no row of train has a label"),
    ],
)
def test_a_set_that_does_not_fit_names_row_and_split(train: list, test: list, words: str) -> None:
    feature = datasets.List(Value("string")) if train == [[], []] else None
    with pytest.raises(InputError, match=words) as caught:
        read_label_column({"train": table(train, feature), "test": table(test)}, "label", MULTI_LABEL)
    assert caught.value.at == ("columns", "label")


def test_a_label_that_no_row_of_train_has_is_named() -> None:
    feature = datasets.List(datasets.ClassLabel(names=["x", "y", "z"]))
    with pytest.raises(InputError, match="split 'train' has no row with label y, z"):
        read_label_column({"train": table([[0], []], feature)}, "label", MULTI_LABEL)


def test_classes_are_read_as_before() -> None:
    names, labels = read_label_column({"train": table(["b", "a"])}, "label", SINGLE_LABEL)
    assert names == ("a", "b") and labels["train"].dtype == np.int64 and labels["train"].tolist() == [1, 0]
