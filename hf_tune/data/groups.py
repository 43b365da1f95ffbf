"""Groups of rows that must not be torn apart by a cut, such as those of one patient, user or site."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np

from hf_tune.data.label_column import is_missing
from hf_tune.data.row_origin import RowOrigin
from hf_tune.input_error import InputError


AT = ("splits", "by")
_DRAWS = 50
"""Random cuts of which the one is taken whose classes come closest to the shares that were asked for."""
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Groups:
    """The group of every row of the given splits."""

    column: str
    names: Sequence[Any]
    """Group number → cell."""
    numbers: Mapping[str, np.ndarray]
    """Split → the number of the group of each row, int64, shape (rows,)."""
    notes: tuple[str, ...] = ()


def read_groups(parts: Mapping[str, datasets.Dataset], column: str, origins: Mapping[str, RowOrigin]) -> Groups:
    """Return the groups that a column names.

    Raises `InputError` for a column that is not there or holds no single values, for rows without a value, and for a
    group that stands in two given splits. A given split that lacks the column is noted.
    """
    if column not in parts["train"].column_names:
        known = ", ".join(parts["train"].column_names)
        raise InputError(f"split 'train' has no column {column!r} to cut by", f"its columns are: {known}", at=AT)
    found: dict[Any, int] = {}
    numbers = {}
    for name, rows in parts.items():
        if column in rows.column_names:
            cells = _read_cells(rows, column, origins[name])
            numbers[name] = np.asarray([found.setdefault(cell, len(found)) for cell in cells], dtype=np.int64)
    notes = [
        f"The {name} split has no column {column!r}: whether it shares groups with train is not known."
        for name in parts
        if name not in numbers
    ]
    groups = Groups(column=column, names=tuple(found), numbers=numbers, notes=tuple(notes))
    _check_apart(groups)
    return groups


def cut_groups(
    groups: np.ndarray, labels: np.ndarray | None, fraction: float, seed: int, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the row numbers that stay and those that are cut off, each ascending; no group is in both.

    Of some random cuts by scikit-learn's `GroupShuffleSplit`, `fraction` of the groups each, the one is taken in which
    the fewest classes are missing on either side, and whose counts of classes come closest to `fraction` of all.
    """
    from sklearn.model_selection import GroupShuffleSplit

    num_groups = len(np.unique(groups))
    num_cut = math.ceil(fraction * num_groups)  # as scikit-learn rounds
    if not 0 < num_cut < num_groups:
        problem = f"{name} {fraction!r} of {num_groups} groups is {num_cut} and leaves {num_groups - num_cut}"
        raise InputError(problem, "give another fraction, or a split of your own", at=("splits", name))
    classes = np.zeros(len(groups), np.int64) if labels is None else np.unique(labels, return_inverse=True)[1]
    total = np.bincount(classes)

    def judge(cut: np.ndarray) -> tuple[int, int, float]:
        counts = np.bincount(classes[cut], minlength=len(total))
        return int((counts == total).sum()), int((counts == 0).sum()), float(np.abs(counts - fraction * total).sum())

    splitter = GroupShuffleSplit(n_splits=_DRAWS, test_size=fraction, random_state=seed)
    draws = ((judge(cut), np.sort(kept), np.sort(cut)) for kept, cut in splitter.split(classes, groups=groups))
    (lost, _, _), kept, cut = min(draws, key=lambda draw: draw[0])
    if lost:
        problem = f"no cut of a {name} split by groups leaves every class in train: {lost} would be in {name} only"
        raise InputError(problem, "give another fraction, or a split of your own", at=("splits", name))
    return kept, cut


def count_groups(groups: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Return in how many groups each class stands, int64, shape (classes,)."""
    pairs = np.unique(np.stack([labels, groups]), axis=1)
    return np.bincount(pairs[0], minlength=num_classes)


def _read_cells(rows: datasets.Dataset, column: str, origin: RowOrigin) -> list[Any]:
    feature = rows.features[column]
    if not isinstance(feature, (datasets.Value, datasets.ClassLabel)):
        problem = f"column {column!r} holds values of type {type(feature).__name__}, by which nothing can be cut"
        raise InputError(problem, "name a column of words or numbers", at=AT)
    cells = list(rows.with_format(None)[column][:])
    empty = [row for row, cell in enumerate(cells) if _is_missing(cell, feature)]
    if empty:
        told = ", ".join(origin.name_row(row) for row in empty[:_SHOWN])
        more = f" and {len(empty) - _SHOWN} more" if len(empty) > _SHOWN else ""
        have = "has" if len(empty) == 1 else "have"
        hint = "fill it, take the rows out, or give each a value of its own"
        raise InputError(f"{told}{more} {have} no value in column {column!r}", hint, at=AT)
    return cells


def _is_missing(cell: Any, feature: Any) -> bool:
    if isinstance(feature, datasets.ClassLabel):
        return cell is None or cell < 0
    return is_missing(cell)


def _check_apart(groups: Groups) -> None:
    """Raise where a group stands in two given splits."""
    names = list(groups.numbers)
    for place, name in enumerate(names):
        for other in names[:place]:
            shared = np.intersect1d(groups.numbers[other], groups.numbers[name])
            if len(shared):
                first, theirs, mine = shared[0], groups.numbers[other], groups.numbers[name]
                more = f", and {len(shared) - 1} more" if len(shared) > 1 else ""
                problem = f"{groups.column} {groups.names[first]!r} stands in {other} ({(theirs == first).sum()} rows)"
                problem += f" and in {name} ({(mine == first).sum()} rows){more}"
                hint = "take their rows out of one of the two, or let it be cut from train: give a fraction"
                raise InputError(problem, hint, at=AT)
