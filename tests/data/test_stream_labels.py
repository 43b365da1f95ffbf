"""The label of a row that is read while a run trains."""

from typing import Any

import datasets
import pytest

from hf_tune.data.stream_labels import LabelReader
from hf_tune.input_error import InputError
from hf_tune.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, ProblemType


WORDS = datasets.Value("string")
NAMED = datasets.ClassLabel(names=["x", "y"])


def reader(kind: ProblemType, feature: Any, names: tuple[str, ...] = ("x", "y")) -> LabelReader:
    return LabelReader(problem_type=kind, feature=feature, label_names=names, known_from="validation")


@pytest.mark.parametrize(
    ("kind", "feature", "cell", "label"),
    [
        (SINGLE_LABEL, WORDS, "y", 1),
        (SINGLE_LABEL, NAMED, 1, 1),
        (SINGLE_LABEL, NAMED, "x", 0),
        (REGRESSION, datasets.Value("float32"), 2, 2.0),
        (MULTI_LABEL, datasets.List(WORDS), ["y"], [0.0, 1.0]),
        (MULTI_LABEL, datasets.List(NAMED), [1, 0], [1.0, 1.0]),
        (MULTI_LABEL, datasets.List(WORDS), [], [0.0, 0.0]),
    ],
)
def test_a_cell_becomes_the_number_of_its_label(kind: ProblemType, feature: Any, cell: Any, label: Any) -> None:
    found = reader(kind, feature).read(cell)
    assert found == label and type(found) is type(label)


def test_whole_numbers_are_names_like_words() -> None:
    assert reader(SINGLE_LABEL, datasets.Value("int64"), ("3", "10")).read(10) == 1
    assert reader(SINGLE_LABEL, datasets.Value("float64"), ("3", "10")).read(10.0) == 1


@pytest.mark.parametrize(
    ("kind", "feature", "cell", "problem"),
    [
        (SINGLE_LABEL, WORDS, "z", "has label 'z', which validation does not have; labels of validation: x, y"),
        (SINGLE_LABEL, WORDS, None, "has no label"),
        (SINGLE_LABEL, WORDS, "", "has no label"),
        (SINGLE_LABEL, NAMED, 2, "has label 2, which its ClassLabel does not have"),
        (SINGLE_LABEL, NAMED, -1, "has label -1, which its ClassLabel does not have"),
        (REGRESSION, datasets.Value("float32"), float("nan"), "has no label"),
        (REGRESSION, datasets.Value("float32"), float("inf"), "has label inf, which is no number"),
        (REGRESSION, datasets.Value("float32"), "2", "has label '2', which is no number"),
        (MULTI_LABEL, datasets.List(WORDS), ["x", "z"], "has label 'z', which validation does not have"),
        (MULTI_LABEL, datasets.List(WORDS), "x", "has label 'x', which is no list"),
    ],
)
def test_a_cell_that_is_no_label_is_refused(kind: ProblemType, feature: Any, cell: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        reader(kind, feature).read(cell)
