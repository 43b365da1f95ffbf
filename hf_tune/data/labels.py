"""Class names and class numbers: from `ClassLabel`, or from the values that stand in the train split."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import numpy as np

from hf_tune.data.label_column import AT, FRACTIONS, LabelColumn, check_same_kind, find_kind
from hf_tune.input_error import InputError


def read_labels(
    columns: Mapping[str, LabelColumn], known_from: str = "train"
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Return the class names and, for each split, its class numbers (int64, shape (rows,)).

    The numbers are those of train's names: another split's ClassLabel may have its names in another order. Raises
    `InputError` for a missing label, one of another type, one that train does not have, and a class without a row in
    train; it names row and split. Where train is a stream, `known_from` is the split whose rows say which classes
    there are, unless a ClassLabel does.
    """
    cells = {name: _read_classes(column) for name, column in columns.items()}
    features = {name: column.feature for name, column in columns.items()}
    check_same_kind(columns, features)
    train = features["train"]
    has_names = isinstance(train, datasets.ClassLabel)
    classes: list[Any] = list(train.names) if has_names else sorted(set(cells[known_from]))
    names = tuple(str(each) for each in classes)
    numbers = {each: number for number, each in enumerate(classes)}
    labels = {
        name: _number(columns[name], rows, numbers, "train" if has_names else known_from)
        for name, rows in cells.items()
    }
    present = np.bincount(labels["train"], minlength=len(names))
    if (present == 0).any() and known_from == "train":
        empty = ", ".join(repr(names[number]) for number in np.flatnonzero(present == 0))
        hint = "take the class out of the data's ClassLabel, or take more rows"
        raise InputError(f"split 'train' has no row of class {empty}", hint, at=AT)
    if len(names) < 2:
        raise InputError(f"split {known_from!r} has one class only: {names[0]!r}", "two are needed", at=AT)
    return names, labels


def cut_stratified(
    count: int, labels: np.ndarray | None, fraction: float, seed: int, label_names: Sequence[str], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the row numbers that stay and those that are cut off, each ascending.

    Both have the classes in the same shares, as far as their rows can be divided. Raises `InputError` for a class of
    one row and a part with fewer rows than there are classes.
    """
    from sklearn.model_selection import train_test_split

    if labels is not None:
        rows_per_class = np.bincount(labels, minlength=len(label_names))
        if rows_per_class.min() < 2:
            rare = label_names[int(rows_per_class.argmin())]
            problem = f"class {rare!r} has {rows_per_class.min()} row in train, too few to cut a {name} split from"
            raise InputError(problem, f"give a {name} split, or take more rows of it", at=("splits", name))
    _check_cut(count, 1 if labels is None else len(label_names), fraction, name)
    kept, cut = train_test_split(np.arange(count), test_size=fraction, stratify=labels, random_state=seed)
    return np.sort(kept), np.sort(cut)


def _check_cut(count: int, num_classes: int, fraction: float, name: str) -> None:
    """Raise where either part would have fewer rows than there are classes (one row without classes)."""
    num_cut = math.ceil(fraction * count)  # as scikit-learn rounds
    if num_classes <= num_cut <= count - num_classes:
        return
    digits = max(2, len(str(count)))
    low = -(-num_classes * 10**digits // count) / 10**digits
    high = (count - num_classes) * 10**digits // count / 10**digits
    classes = f"{num_classes} classes need at least {num_classes} in each" if num_classes > 1 else "each needs one"
    problem = f"{name} {fraction!r} of {count} rows is {num_cut} and leaves {count - num_cut}, but {classes}"
    would_do = f"give {low:g}" if low == high else f"give a fraction from {low:g} to {high:g}"
    hint = would_do if low <= high else f"give a {name} split, or take more rows"
    raise InputError(problem, hint, at=("splits", name))


def _read_classes(column: LabelColumn) -> list[str | int]:
    """Return the class name or whole number of each row."""
    cells = column.read_cells("words or whole numbers")
    feature, split = column.feature, column.origin.split
    kind = find_kind(feature)
    torn = next((cell for cell in cells if not float(cell).is_integer()), None) if kind == FRACTIONS else None
    if torn is not None:
        problem = f"labels in column {column.name!r} of split {split!r} are {kind} ({feature.dtype})"
        raise InputError(f"{problem}, such as {torn!r}", "write them as whole numbers or words", at=AT)
    if kind is None:
        raise column.build_type_error("words or whole numbers")
    if kind == FRACTIONS:  # as pandas stores whole numbers of a column that had a gap
        return [int(cell) for cell in cells]
    return [column.name_class(row, cell, feature) for row, cell in enumerate(cells)]


def _number(column: LabelColumn, cells: Sequence[Any], numbers: Mapping[Any, int], known_from: str) -> np.ndarray:
    for row, cell in enumerate(cells):
        if cell not in numbers:
            names = [str(each) for each in numbers]
            known = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
            problem = f"has label {cell!r}, which {known_from} does not have"
            raise column.build_row_error(row, problem, f"classes of {known_from}: {known}")
    return np.asarray([numbers[cell] for cell in cells], dtype=np.int64)
