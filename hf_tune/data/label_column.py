"""The label column of one split as it stands in the data: what its cells are, checked before they become numbers."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import datasets

from hf_tune.data.row_origin import RowOrigin
from hf_tune.input_error import InputError


AT = ("columns", "label")
WORDS = "words"
WHOLE_NUMBERS = "whole numbers"
FRACTIONS = "numbers with a fraction"


@dataclass(frozen=True, kw_only=True)
class LabelColumn:
    """The label column of one split."""

    rows: datasets.Dataset
    name: str
    """The data set's name of the column."""
    origin: RowOrigin

    @property
    def feature(self) -> Any:
        """Return what `datasets` says of the column."""
        return self.rows.features[self.name]

    def read_cells(self, wanted: str) -> list[Any]:
        """Return the cells as they are stored.

        Raises `InputError` for a column that does not hold single values, such as pictures, and for an empty cell.
        """
        if isinstance(self.feature, datasets.Json):
            raise self._build_mixture_error()
        if not isinstance(self.feature, (datasets.Value, datasets.ClassLabel)):
            raise self.build_type_error(wanted)
        cells = self.read_raw()
        for row, cell in enumerate(cells):
            if is_missing(cell):
                raise self.build_row_error(row, "has no label", "fill it or take the row out")
        return cells

    def read_raw(self) -> list[Any]:
        """Return the cells as they are stored, unchecked."""
        return list(self.rows.with_format(None)[self.name][:])

    def name_class(self, row: int, cell: Any, feature: Any) -> str | int:
        """Return a cell's class: its name where `feature` has names, in this split's own order; else the cell."""
        if not isinstance(feature, datasets.ClassLabel):
            return cell
        if cell == -1:  # how `datasets` stores a row without a label beside a ClassLabel
            raise self.build_row_error(row, "has no label (-1)", "give it one or take the row out")
        if not 0 <= cell < len(feature.names):
            problem = f"has label {cell}, for which its ClassLabel of {len(feature.names)} names has none"
            raise self.build_row_error(row, problem, "mend it or take the row out")
        return str(feature.names[cell])

    def build_row_error(self, row: int, problem: str, hint: str) -> InputError:
        """Return the error of one row; `problem` goes on from the row's name."""
        return InputError(f"{self.origin.name_row(row)} {problem}", hint, at=AT)

    def build_type_error(self, wanted: str) -> InputError:
        """Return the error of a column whose cells are not what is `wanted`; no cell is read for it."""
        problem = f"column {self.name!r} of split {self.origin.split!r} holds {_describe(self.feature)}, not {wanted}"
        dtype = getattr(getattr(self.feature, "feature", self.feature), "dtype", "")
        hint = "write them as words" if dtype == "bool" and "words" in wanted else "is it the right column?"
        return InputError(problem, hint, at=AT)

    def _build_mixture_error(self) -> InputError:
        """Return the error of a column of values of several types, about a row of the rarest type."""
        types = [type(cell).__name__ for cell in self.read_raw()]
        counts = Counter(types).most_common()
        row = types.index(counts[-1][0])
        problem = f"has a label of type {types[row]} ({counts[-1][1]} rows), {counts[0][1]} others are {counts[0][0]}"
        return self.build_row_error(row, problem, "make them all words, or all numbers")


def is_missing(cell: Any) -> bool:
    """Return whether a cell holds nothing: no value, no number, or a word of blanks."""
    is_nan = isinstance(cell, float) and math.isnan(cell)
    return cell is None or is_nan or (isinstance(cell, str) and not cell.strip())


def find_kind(feature: Any) -> str | None:
    """Return what cells are: `WORDS` (a ClassLabel's names too), `WHOLE_NUMBERS`, `FRACTIONS`, or None of them."""
    if isinstance(feature, datasets.ClassLabel):
        return WORDS
    dtype = feature.dtype if isinstance(feature, datasets.Value) else ""
    kinds = {"string": WORDS, "large_string": WORDS, "int": WHOLE_NUMBERS, "uint": WHOLE_NUMBERS, "float": FRACTIONS}
    return kinds.get(dtype.rstrip("0123456789"))


def check_same_kind(columns: Mapping[str, LabelColumn], features: Mapping[str, Any]) -> None:
    """Raise where one split has words and train whole numbers, or the other way: nothing says which is which."""
    kinds = {split: find_kind(feature) for split, feature in features.items()}
    whole = {
        split: WHOLE_NUMBERS if kind == FRACTIONS else kind for split, kind in kinds.items()
    }  # read as such before
    train = whole["train"]
    for split, kind in whole.items():
        if train is not None and kind is not None and kind != train:
            problem = f"column {columns[split].name!r} holds {kind} in split {split!r} and {train} in split 'train'"
            raise InputError(problem, "make them all words, or give every split the same ClassLabel", at=AT)


def _describe(feature: Any) -> str:
    if isinstance(feature, datasets.Value):
        words = {"bool": "true and false"}.get(feature.dtype) or find_kind(feature)
        return f"{words} ({feature.dtype})" if words else f"values of type {feature.dtype}"
    if isinstance(feature, (datasets.List, datasets.LargeList)):
        return f"lists of {_describe(feature.feature)}"
    return "classes" if isinstance(feature, datasets.ClassLabel) else f"values of type {type(feature).__name__}"
