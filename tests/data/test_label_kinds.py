"""Kinds of labels: which one a column holds, and what it is read as."""

from typing import Any

import datasets
import numpy as np
import pytest
from sklearn.preprocessing import MultiLabelBinarizer

from hf_tune.data.label_column import LabelColumn
from hf_tune.data.label_kinds import find_problem_type, read_labels_as
from hf_tune.data.row_origin import build_origin
from hf_tune.input_error import InputError
from hf_tune.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL


ALL = (SINGLE_LABEL, MULTI_LABEL, REGRESSION)
Value = datasets.Value


def table(labels: list, feature: Any = None) -> datasets.Dataset:
    features = None if feature is None else datasets.Features({"label": feature})
    return datasets.Dataset.from_dict({"label": labels}, features=features)


def read(kind: str, parts: dict[str, datasets.Dataset]) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    columns = {
        name: LabelColumn(rows=rows, name="label", origin=build_origin(name, [(name, 0, len(rows))]))
        for name, rows in parts.items()
    }
    return read_labels_as(kind, columns)


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
    names, labels = read(REGRESSION, parts)
    assert names == ("label",)
    assert labels["train"].dtype == np.float32 and labels["train"].tolist() == [0.5, -1.25, 3.0]
    assert labels["test"].dtype == np.float32 and labels["test"].tolist() == [4.0]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.5, None], "row 1 of split 'test' has no label"),
        ([0.5, float("nan")], "row 1 of split 'test' has no label"),
        ([0.5, float("inf")], "row 1 of split 'test' has label inf, which is no number"),
        (["3.5", "4"], r"column 'label' of split 'test' holds words \(string\), not numbers; is it the right"),
        ([True, False], r"column 'label' of split 'test' holds true and false \(bool\), not numbers; is it the right"),
    ],
)
def test_a_label_that_is_no_number_is_told(values: list, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(REGRESSION, {"train": table([0.5]), "test": table(values)})


def test_numbers_of_a_class_label_are_read_only_where_every_split_has_the_same() -> None:
    stars = datasets.ClassLabel(names=["one", "two"])
    _, labels = read(REGRESSION, {"train": table([0, 1], stars), "test": table([1], stars)})
    assert labels["test"].tolist() == [1.0]
    for other in (datasets.ClassLabel(names=["two", "one"]), None):
        with pytest.raises(InputError, match="the ClassLabel of column 'label' in split 'test' is not that of train"):
            read(REGRESSION, {"train": table([0, 1], stars), "test": table([1], other)})


def test_sets_of_words_are_what_scikit_learn_makes_of_them() -> None:
    train, test = [["b", "a"], [], ["c"], ["a", "a"]], [["c", "b"], []]
    names, labels = read(MULTI_LABEL, {"train": table(train), "test": table(test)})
    binarizer = MultiLabelBinarizer().fit(train)
    assert names == tuple(binarizer.classes_) == ("a", "b", "c")
    assert labels["train"].dtype == np.float32
    assert np.array_equal(labels["train"], binarizer.transform(train))
    assert np.array_equal(labels["test"], binarizer.transform(test))


def test_numbers_in_sets_are_sorted_as_numbers_and_class_labels_keep_their_names() -> None:
    names, labels = read(MULTI_LABEL, {"train": table([[10], [9, 10]])})
    assert names == ("9", "10") and labels["train"].tolist() == [[0, 1], [1, 1]]
    feature = datasets.List(datasets.ClassLabel(names=["z", "a"]))
    names, labels = read(MULTI_LABEL, {"train": table([[1], [0, 1]], feature)})
    assert names == ("z", "a") and labels["train"].tolist() == [[0, 1], [1, 1]]


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        ([["a"], ["b"]], [["a"], ["c"]], r"row 1 of split 'test' has label 'c', which train does not have; .* a, b"),
        ([["a"], None], [["a"]], r"row 1 of split 'train' has no list in column 'label'; \[\] stands for no label"),
        ([["a"]], [["a", " "]], "row 0 of split 'test' has an empty place in its list in column 'label'"),
        ([["a"]], [["a", None]], "row 0 of split 'test' has an empty place in its list in column 'label'"),
        ([[0.5]], [[0.5]], r"split 'train' holds lists of numbers with a fraction \(float64\), not lists of words or"),
        ([["a"]], ["a"], r"split 'test' holds words \(string\), not lists of words or whole numbers"),
        ([["a"]], [[1]], "holds whole numbers in split 'test' and words in split 'train'"),
        ([[], []], [[]], "no row of train has a label"),
        ([[0, 1, 0], [1, 0, 0]], [[0]], "row 0 of split 'train' names label 0 twice; .* a vector of 0 and 1 is no"),
    ],
)
def test_a_set_that_does_not_fit_names_row_and_split(train: list, test: list, words: str) -> None:
    feature = datasets.List(Value("string")) if train == [[], []] else None
    with pytest.raises(InputError, match=words) as caught:
        read(MULTI_LABEL, {"train": table(train, feature), "test": table(test)})
    assert caught.value.at == ("columns", "label")


def test_lists_of_class_labels_in_another_order_are_joined_by_name() -> None:
    """Raw numbers of the test split, read with train's names, are other labels."""
    ours, theirs = (datasets.List(datasets.ClassLabel(names=names)) for names in (["x", "y"], ["y", "x"]))
    parts = {"train": table([[0], [1]], ours), "test": table([[0], []], theirs), "validation": table([["y"]])}
    names, labels = read(MULTI_LABEL, parts)
    assert names == ("x", "y")
    assert labels["test"].tolist() == [[0, 1], [0, 0]] and labels["validation"].tolist() == [[0, 1]]


def test_a_label_that_no_row_of_train_has_is_named() -> None:
    feature = datasets.List(datasets.ClassLabel(names=["x", "y", "z"]))
    with pytest.raises(InputError, match="split 'train' has no row with label y, z"):
        read(MULTI_LABEL, {"train": table([[0], []], feature)})


def test_classes_are_read_as_before() -> None:
    names, labels = read(SINGLE_LABEL, {"train": table(["b", "a"])})
    assert names == ("a", "b") and labels["train"].dtype == np.int64 and labels["train"].tolist() == [1, 0]
