"""Labels that are no single class: numbers, and any number of labels per row; and which kind a column holds."""

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import numpy as np

from hf_tune.data.labels import read_labels
from hf_tune.input_error import InputError
from hf_tune.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, ProblemType


AT = ("columns", "label")


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


def read_label_column(
    parts: Mapping[str, datasets.Dataset], column: str, problem_type: str
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Return label names and, for each split, its labels.

    Classes are int64 of shape (rows,), sets of labels float32 of shape (rows, labels) with 0 and 1, numbers float32 of
    shape (rows,) under the column's own name. Raises `InputError` for a label that does not fit, with row and split.
    """
    if problem_type == REGRESSION:
        return (column,), {name: _read_numbers(rows, column, name) for name, rows in parts.items()}
    if problem_type == MULTI_LABEL:
        return _read_label_sets(parts, column)
    return read_labels(parts, column)


def _read_numbers(rows: datasets.Dataset, column: str, name: str) -> np.ndarray:
    values = rows.with_format(None)[column][:]
    for row, value in enumerate(values):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not np.isfinite(value):
            problem = f"row {row} of split {name!r} has label {value!r}, which is no number"
            raise InputError(problem, "mend it or take the row out", at=AT)
    return np.asarray(values, dtype=np.float32)


def _read_label_sets(
    parts: Mapping[str, datasets.Dataset], column: str
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    feature = parts["train"].features[column]
    inner = getattr(feature, "feature", None)
    values = {name: rows.with_format(None)[column][:] for name, rows in parts.items()}
    for name, rows in values.items():
        _check_sets(rows, column, name)
    if isinstance(inner, datasets.ClassLabel):
        classes: list[Any] = list(range(len(inner.names)))
        names = tuple(inner.names)
    else:
        classes = sorted({each for labels in values["train"] for each in labels})
        names = tuple(str(each) for each in classes)
    numbers = {each: number for number, each in enumerate(classes)}
    sets = {name: _fill(rows, numbers, names, name) for name, rows in values.items()}
    empty = [names[number] for number in np.flatnonzero(sets["train"].sum(0) == 0)]
    if empty or not names:
        problem = f"split 'train' has no row with label {', '.join(empty)}" if names else "no row of train has a label"
        raise InputError(problem, "take the label out, or take more rows", at=AT)
    return names, sets


def _check_sets(rows: Sequence[Any], column: str, name: str) -> None:
    for row, labels in enumerate(rows):
        if not isinstance(labels, list) or not all(isinstance(each, (str, int)) for each in labels):
            problem = f"row {row} of split {name!r}: {labels!r} in column {column!r} is no list of words or numbers"
            raise InputError(problem, "an empty list stands for no label", at=AT)


def _fill(rows: Sequence[Sequence[Any]], numbers: Mapping[Any, int], names: Sequence[str], split: str) -> np.ndarray:
    filled = np.zeros((len(rows), len(numbers)), dtype=np.float32)
    for row, labels in enumerate(rows):
        for label in labels:
            if label not in numbers:
                problem = f"row {row} of split {split!r} has label {label!r}, which train does not have"
                raise InputError(problem, f"labels of train: {', '.join(names[:10])}", at=AT)
            filled[row, numbers[label]] = 1
    return filled
