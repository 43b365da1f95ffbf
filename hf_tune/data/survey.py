"""What is found where somebody says that their data is: splits, columns and what each may be, before any recipe."""

import io
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import PIL.Image
import pyarrow.compute

from hf_tune.data.loading import load_raw
from hf_tune.data.picture_kinds import READ_ENDINGS
from hf_tune.data.picture_paths import find_folder, list_folders
from hf_tune.data.source_files import draft_load
from hf_tune.data.table_files import settle_load
from hf_tune.input_error import InputError


_SAMPLE = 200
"""Rows of a column that are looked at, spread over the split."""
_MOST_CLASSES = 1000


@dataclass(frozen=True, kw_only=True)
class ColumnSurvey:
    """One column of the train split."""

    name: str
    kinds: frozenset[str]
    """What it may be: `picture`, `file` (paths of pictures), `text`, `classes`, `numbers`, `label lists`. Classes
    that are `whole numbers` may as well be ages or widths."""
    counts: Mapping[str, int]
    """Rows of each class, of a column that may hold classes."""
    characters: int = 0
    """Of a long text of the column: 19 of 20 have no more."""
    latin: float = 1.0
    """Share of the letters that are of the Latin alphabet without accents."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """All that a first recipe is made from."""

    load: Mapping[str, Any]
    """The `data.load:` block that loads it."""
    rows: Mapping[str, int]
    """The data's own split → its rows."""
    train: str
    """The data's own split that is trained on."""
    columns: Sequence[ColumnSurvey]
    picture_sides: Mapping[str, int]
    """Column of pictures → the shorter side, in pixels, that half of them do not reach."""

    def find(self, kind: str, names: Sequence[str]) -> ColumnSurvey | None:
        """Return the column of a kind that has the first of these names; else the first of the kind."""
        fitting = [each for each in self.columns if kind in each.kinds]
        named = {each.name.lower(): each for each in reversed(fitting)}
        return next((named[name] for name in names if name in named), fitting[0] if fitting else None)

    def get(self, name: str) -> ColumnSurvey:
        """Return a column by its name; raises `InputError` where there is none."""
        found = next((each for each in self.columns if each.name == name), None)
        if found is None:
            known = ", ".join(each.name for each in self.columns)
            raise InputError(f"the data has no column {name!r}", f"its columns are: {known}")
        return found

    def describe(self) -> str:
        """Return the columns and what each may be."""
        told = [f"{each.name} ({', '.join(sorted(each.kinds)) or 'nothing known'})" for each in self.columns]
        return ", ".join(told)


def survey_data(path: str) -> Survey:
    """Return what is found at a path: a folder of class folders, of splits or of tables, or one table.

    Raises `InputError` where nothing is there, nothing is of a known kind, or it cannot be loaded.
    """
    load = draft_load(path)
    raw = load_raw(settle_load(load).load)
    train = next((name for name in ("train", "training") if name in raw), max(raw, key=lambda name: len(raw[name])))
    rows = raw[train]
    if not len(rows):
        raise InputError(f"split {train!r} of {path!r} has no row", "give data with rows")
    folders = list_folders(load, None)
    columns = [_survey_column(rows, name) for name in rows.column_names]
    pictures = [each.name for each in columns if each.kinds & {"picture", "file"}]
    return Survey(
        load=load,
        rows={name: len(split) for name, split in raw.items()},
        train=train,
        columns=columns,
        picture_sides={name: side for name in pictures if (side := _measure_sides(rows, name, folders))},
    )


def _survey_column(rows: datasets.Dataset, name: str) -> ColumnSurvey:
    feature = rows.features[name]
    kinds: set[str] = set()
    counts: dict[str, int] = {}
    texts: list[str] = []
    if isinstance(feature, datasets.Image):
        kinds.add("picture")
    elif isinstance(feature, (datasets.List, datasets.LargeList)):
        kinds |= _name_lists(rows, name, feature.feature)
    elif isinstance(feature, datasets.ClassLabel):
        kinds.add("classes")
        counts = {feature.names[number]: count for number, count in _count(rows, name).items() if number >= 0}
    elif isinstance(feature, datasets.Value) and feature.dtype in ("string", "large_string"):
        counts = _count(rows, name)
        texts = [cell for cell in _sample(rows, name) if isinstance(cell, str) and cell.strip()]
        kinds |= _name_words(texts, counts, len(rows))
    elif isinstance(feature, datasets.Value) and feature.dtype.startswith("float"):
        kinds.add("numbers")
    elif isinstance(feature, datasets.Value) and feature.dtype.startswith(("int", "uint")):
        counts = _count(rows, name)
        kinds |= {"classes", "whole numbers"} if _are_classes(counts, len(rows)) else set()
    characters = int(np.quantile([len(text) for text in texts], 0.95)) if texts else 0
    return ColumnSurvey(
        name=name,
        kinds=frozenset(kinds),
        counts={str(value): count for value, count in counts.items()} if "classes" in kinds else {},
        characters=characters,
        latin=_share_latin(texts),
    )


def _name_words(texts: Sequence[str], counts: Mapping[str, int], num_rows: int) -> set[str]:
    """Return what a column of words may be; short words that come again are classes, others texts."""
    if not texts:
        return set()
    if all(text.lower().endswith(READ_ENDINGS) for text in texts):
        return {"file"}
    is_short = np.quantile([len(text) for text in texts], 0.95) < 60
    return {"classes"} if is_short and _are_classes(counts, num_rows) else {"text"}


def _name_lists(rows: datasets.Dataset, name: str, inner: Any) -> set[str]:
    """Return what a column of lists may be: of long words the turns of a dialogue, else labels that apply."""
    if isinstance(inner, datasets.ClassLabel):
        return {"label lists"}
    if not isinstance(inner, datasets.Value) or not inner.dtype.startswith(("string", "large_string", "int", "uint")):
        return set()
    cells = [each for cell in _sample(rows, name) for each in cell or ()]
    words = [each for each in cells if isinstance(each, str)]
    if words and np.mean([len(each) for each in words]) >= 30:
        return {"text"}
    return {"label lists"} if cells and len(set(cells)) <= max(2, len(cells) / 4) else set()


def _are_classes(counts: Mapping[Any, int], num_rows: int) -> bool:
    """Return whether values come again, as those of classes do and numbers of rows do not."""
    return 0 < len(counts) <= min(_MOST_CLASSES, max(2, num_rows / 3))


def _count(rows: datasets.Dataset, name: str) -> dict[Any, int]:
    """Return the rows of each value, the commonest first."""
    column = rows.with_format("arrow")[name][:]
    found = pyarrow.compute.value_counts(column).to_pylist()
    counts = Counter({each["values"]: each["counts"] for each in found if each["values"] is not None})
    return dict(counts.most_common())


def _sample(rows: datasets.Dataset, name: str) -> list[Any]:
    step = max(1, len(rows) // _SAMPLE)
    return list(rows.select_columns(name).select(range(0, len(rows), step))[:][name])


def _share_latin(texts: Sequence[str]) -> float:
    letters = [letter for text in texts for letter in text[:500] if letter.isalpha()]
    return sum(letter.isascii() for letter in letters) / len(letters) if letters else 1.0


def _measure_sides(rows: datasets.Dataset, name: str, folders: Sequence[str]) -> int | None:
    """Return the median shorter side of some pictures, from their first bytes alone; None where none can be read."""
    if isinstance(rows.features[name], datasets.Image):
        rows = rows.select_columns(name).cast_column(name, datasets.Image(decode=False))
    sides = [side for cell in _sample(rows, name) if (side := _read_side(cell, folders))]
    return int(np.median(sides)) if sides else None


def _read_side(cell: Any, folders: Sequence[str]) -> int | None:
    encoded = cell.get("bytes") if isinstance(cell, Mapping) else None
    path = cell.get("path") if isinstance(cell, Mapping) else cell
    if encoded is None and path and not os.path.isabs(path):
        folder = find_folder(path, folders)
        path = None if folder is None else str(Path(folder, path))
    try:
        with PIL.Image.open(io.BytesIO(encoded) if encoded is not None else path or "") as picture:
            return min(picture.size)
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError):
        return None  # what trains will say with the row
