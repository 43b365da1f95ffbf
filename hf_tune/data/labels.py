"""Class names and class numbers: from `ClassLabel`, or from the values that stand in the train split."""

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import numpy as np

from hf_tune.input_error import InputError


def read_labels(parts: Mapping[str, datasets.Dataset], column: str) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Return the class names and, for each split, its class numbers (int64, shape (rows,)).

    Raises `InputError` for a missing label, one of another type, one that train does not have, and a class without
    a row in train; it names row and split.
    """
    feature = parts["train"].features[column]
    values = {name: rows.with_format(None)[column][:] for name, rows in parts.items()}
    if isinstance(feature, datasets.ClassLabel):
        classes: list[Any] = list(range(len(feature.names)))
        names = tuple(feature.names)
    else:
        _check_type(values["train"], column)
        classes = sorted(set(values["train"]))
        names = tuple(str(each) for each in classes)
    numbers = {each: number for number, each in enumerate(classes)}
    labels = {name: _numbers(rows, numbers, names, name) for name, rows in values.items()}
    present = np.bincount(labels["train"], minlength=len(names))
    if (present == 0).any():
        empty = ", ".join(repr(names[number]) for number in np.flatnonzero(present == 0))
        hint = "take the class out of the data's ClassLabel, or take more rows"
        raise InputError(f"split 'train' has no row of class {empty}", hint, at=("columns", "label"))
    if len(names) < 2:
        raise InputError(f"split 'train' has one class only: {names[0]!r}", "two are needed", at=("columns", "label"))
    return names, labels


def cut_stratified(
    count: int, labels: np.ndarray | None, fraction: float, seed: int, label_names: Sequence[str], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the row numbers that stay and those that are cut off, each ascending and every class in both."""
    from sklearn.model_selection import train_test_split

    if labels is not None:
        rows_per_class = np.bincount(labels, minlength=len(label_names))
        if rows_per_class.min() < 2:
            rare = label_names[int(rows_per_class.argmin())]
            problem = f"class {rare!r} has {rows_per_class.min()} row in train, too few to cut a {name} split from"
            raise InputError(problem, f"give a {name} split, or take more rows of it", at=("splits", name))
    try:
        kept, cut = train_test_split(np.arange(count), test_size=fraction, stratify=labels, random_state=seed)
    except ValueError as error:
        hint = "cut a larger fraction, or give a split of the data"
        raise InputError(f"cannot cut {fraction:.0%} of {count} rows: {error}", hint, at=("splits", name)) from None
    return np.sort(kept), np.sort(cut)


def _check_type(values: Sequence[Any], column: str) -> None:
    for row, value in enumerate(values):
        if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int))):
            what = f"label {value!r} in column {column!r} is neither a word nor a whole number"
            problem = f"row {row} of split 'train': {what}"
            raise InputError(problem, "is it the right column?", at=("columns", "label"))
    if any(value is None for value in values):
        row = next(row for row, value in enumerate(values) if value is None)
        raise InputError(
            f"row {row} of split 'train' has no label", "fill it or take the row out", at=("columns", "label")
        )
    kinds = {type(value) for value in values}
    if len(kinds) > 1:
        raise InputError(f"column {column!r} mixes words and numbers", "make them all words", at=("columns", "label"))


def _numbers(values: Sequence[Any], numbers: Mapping[Any, int], names: Sequence[str], split: str) -> np.ndarray:
    for row, value in enumerate(values):
        if value not in numbers:
            known = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
            problem = f"row {row} of split {split!r} has label {value!r}, which train does not have"
            raise InputError(problem, f"classes of train: {known}", at=("columns", "label"))
    return np.asarray([numbers[value] for value in values], dtype=np.int64)
