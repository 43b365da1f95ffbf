"""The label of a row that is read while a run trains: its cell as the number that the other rows have for it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import datasets

from hf_tune.data.label_column import is_missing
from hf_tune.input_error import InputError
from hf_tune.task import MULTI_LABEL, REGRESSION, ProblemType


@dataclass(frozen=True, kw_only=True)
class LabelReader:
    """Reads the cells of one label column, one at a time."""

    problem_type: ProblemType
    feature: Any
    """What `datasets` says of the column."""
    label_names: Sequence[str]
    known_from: str
    """The split whose rows said which labels there are."""

    def read(self, cell: Any) -> int | float | list[float]:
        """Return the label of a cell: a class number, a number, or 0 and 1 for each label.

        Raises `InputError` for a cell without a label, and for a label that no one knew before the run began.
        """
        if is_missing(cell):
            raise InputError("has no label", "fill it or take the row out")
        if self.problem_type == REGRESSION:
            return self._read_number(cell)
        if self.problem_type == MULTI_LABEL:
            if not isinstance(cell, list):
                raise InputError(f"has label {cell!r}, which is no list", "[] stands for no label")
            wanted = {self._find(each, self.feature.feature) for each in cell}
            return [float(number in wanted) for number in range(len(self.label_names))]
        return self._find(cell, self.feature)

    def _read_number(self, cell: Any) -> float:
        if isinstance(cell, bool) or not isinstance(cell, (int, float)) or not math.isfinite(cell):
            raise InputError(f"has label {cell!r}, which is no number", "mend it or take the row out")
        return float(cell)

    def _find(self, cell: Any, feature: Any) -> int:
        """Return the number of a class, given by its name or by its own number."""
        if isinstance(cell, float) and cell.is_integer():
            cell = int(cell)
        named = isinstance(feature, datasets.ClassLabel) and isinstance(cell, int)
        name = feature.names[cell] if named and 0 <= cell < len(feature.names) else str(cell)
        if name in self.label_names and cell != -1:
            return self.label_names.index(name)
        known = ", ".join(self.label_names[:10]) + (", …" if len(self.label_names) > 10 else "")
        source = "its ClassLabel" if isinstance(feature, datasets.ClassLabel) else self.known_from
        hint = f"labels of {source}: {known}; give {self.known_from} a row of it, or take this one out"
        raise InputError(f"has label {cell!r}, which {source} does not have", hint)
