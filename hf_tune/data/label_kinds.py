"""Labels that are no single class: numbers, and any number of labels per row; and which kind a column holds."""

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import numpy as np

from hf_tune.data.label_column import (
    AT,
    FRACTIONS,
    WHOLE_NUMBERS,
    WORDS,
    LabelColumn,
    check_same_kind,
    find_kind,
    is_missing,
)
from hf_tune.data.labels import read_labels
from hf_tune.input_error import InputError
from hf_tune.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, ProblemType


def find_problem_type(feature: Any, given: ProblemType | None, known: Sequence[ProblemType]) -> ProblemType:
    """Return the problem type of a label column: as `given`, else numbers with a fraction, lists, or classes.

    Raises `InputError` where the task does not have it.
    """
    found = given
    if found is None and isinstance(feature, (datasets.List, datasets.LargeList)):
        found = MULTI_LABEL
    elif found is None and isinstance(feature, datasets.Value) and feature.dtype.startswith("float"):
        found = REGRESSION if REGRESSION in known else SINGLE_LABEL
    found = found or SINGLE_LABEL
    if found not in known:
        problem = f"this task has no {found}" + ("" if given else f", which a column of {feature} stands for")
        raise InputError(problem, f"it has: {', '.join(known)}", at=AT if given is None else ("problem_type",))
    return found


def read_labels_as(
    problem_type: str, columns: Mapping[str, LabelColumn], known_from: str = "train"
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Return label names and, for each split, its labels.

    Classes are int64 of shape (rows,), sets of labels float32 of shape (rows, labels) with 0 and 1, numbers float32 of
    shape (rows,) under the column's own name. Raises `InputError` for a label that does not fit, with row and split.
    `known_from` is the split whose rows say which labels there are: another one where train is a stream.
    """
    if problem_type == REGRESSION:
        train = columns["train"]
        return (train.name,), {name: _read_numbers(column, train.feature) for name, column in columns.items()}
    if problem_type == MULTI_LABEL:
        return _read_label_sets(columns, known_from)
    return read_labels(columns, known_from)


def _read_numbers(column: LabelColumn, train: Any) -> np.ndarray:
    """Return the numbers of one split; those of a ClassLabel are its own, so all splits must have the same one."""
    cells = column.read_cells("numbers")
    if getattr(column.feature, "names", None) != getattr(train, "names", None):
        problem = f"the ClassLabel of column {column.name!r} in split {column.origin.split!r} is not that of train"
        raise InputError(problem, "its numbers would mean something else; give both the same", at=AT)
    if find_kind(column.feature) not in (WHOLE_NUMBERS, FRACTIONS) and not hasattr(column.feature, "names"):
        raise column.build_type_error("numbers")
    numbers = np.asarray(cells, dtype=np.float32)
    for row in np.flatnonzero(~np.isfinite(numbers)).tolist():
        raise column.build_row_error(
            row, f"has label {cells[row]!r}, which is no number", "mend it or take the row out"
        )
    return numbers


def _read_label_sets(
    columns: Mapping[str, LabelColumn], known_from: str
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    cells = {name: _read_sets(column) for name, column in columns.items()}
    features = {name: column.feature.feature for name, column in columns.items()}
    check_same_kind(columns, features)
    if isinstance(features["train"], datasets.ClassLabel):
        classes: list[Any] = list(features["train"].names)
    else:
        classes = sorted({each for labels in cells[known_from] for each in labels})
    names = tuple(str(each) for each in classes)
    numbers = {each: number for number, each in enumerate(classes)}
    sets = {name: _fill(columns[name], rows, numbers, known_from) for name, rows in cells.items()}
    empty = [names[number] for number in np.flatnonzero(sets["train"].sum(0) == 0)]
    if (empty and known_from == "train") or not names:
        problem = (
            f"split 'train' has no row with label {', '.join(empty)}"
            if names
            else f"no row of {known_from} has a label"
        )
        raise InputError(problem, "take the label out, or take more rows", at=AT)
    return names, sets


def _read_sets(column: LabelColumn) -> list[list[str | int]]:
    """Return the class names or whole numbers of each row."""
    wanted = "lists of words or whole numbers"
    inner = getattr(column.feature, "feature", None)
    if not isinstance(column.feature, (datasets.List, datasets.LargeList)):
        raise column.build_type_error(wanted)
    if find_kind(inner) not in (WORDS, WHOLE_NUMBERS) and inner != datasets.Value("null"):
        raise column.build_type_error(wanted)
    sets = column.read_raw()
    for row, labels in enumerate(sets):
        if labels is None or any(is_missing(each) for each in labels):
            missing = "has no list" if labels is None else "has an empty place in its list"
            raise column.build_row_error(row, f"{missing} in column {column.name!r}", "[] stands for no label")
        if find_kind(inner) == WHOLE_NUMBERS and len(set(labels)) < len(labels):
            twice = next(each for each in labels if labels.count(each) > 1)
            hint = "a list holds the labels that apply, each once; a vector of 0 and 1 is no such list"
            raise column.build_row_error(row, f"names label {twice!r} twice", hint)
    return [[column.name_class(row, each, inner) for each in labels] for row, labels in enumerate(sets)]


def _fill(
    column: LabelColumn, sets: Sequence[Sequence[Any]], numbers: Mapping[Any, int], known_from: str
) -> np.ndarray:
    filled = np.zeros((len(sets), len(numbers)), dtype=np.float32)
    for row, labels in enumerate(sets):
        for label in labels:
            if label not in numbers:
                problem = f"has label {label!r}, which {known_from} does not have"
                known = ", ".join(str(each) for each in list(numbers)[:10])
                raise column.build_row_error(row, problem, f"labels of {known_from}: {known}")
            filled[row, numbers[label]] = 1
    return filled
