"""Inputs that stand in the data more than once: in two splits, where a score is too good, or with different labels."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import datasets
import numpy as np
import xxhash

from hf_tune.data.findings import Finding
from hf_tune.data.splits import Split, Splits


_READ_ROWS = 100
_READ_TEXTS = 5_000
"""Rows that are in memory at once while they are read; of pictures fewer."""
_LONGEST_PATH = 4096
_SHOWN = 3
_JUDGE = MappingProxyType(
    {
        "train": "the score is too good by them",
        "validation": "what chose the checkpoint is reported too",
    }
)


def find_repeats(splits: Splits) -> list[Finding]:
    """Return inputs that are equal to the last bit, as texts or as bytes of pictures.

    A train split that is a stream is left out: nobody has all its rows.
    """
    present = [split for split in (splits.train, splits.validation, splits.test) if isinstance(split, Split)]
    numbers = _number_inputs(present)
    return [*_find_shared(present, numbers), *_find_conflicts(present, numbers, splits.label_names)]


def _number_inputs(splits: Sequence[Split]) -> list[np.ndarray]:
    """Return for each split a number of each row's input, int64, shape (rows,): equal for equal inputs."""
    cells = [_read_inputs(split.rows) for split in splits]
    sizes = Counter(size for rows in cells for row in rows for size, _ in row)
    found: dict[Any, int] = {}
    numbers = []
    for rows in cells:
        keys = (
            tuple(_hash_file(cell) if size >= 0 and sizes[size] > 1 else cell for size, cell in row) for row in rows
        )
        numbers.append(np.asarray([found.setdefault(key, len(found)) for key in keys], dtype=np.int64))
    return numbers


def _read_inputs(rows: datasets.Dataset) -> list[tuple[tuple[int, Any], ...]]:
    """Return for each cell of each row its content, or a hash of it; of a file its size and path instead.

    Files are hashed only where another one has the same size. What is no file has the size -1. Words are paths where
    the first of them is one.
    """
    first = rows[0]
    are_paths = {name: isinstance(cell, Mapping) or _is_file(cell) for name, cell in first.items()}
    batch_size = _READ_ROWS if any(are_paths.values()) else _READ_TEXTS
    found: list[tuple[tuple[int, Any], ...]] = []
    for table in rows.with_format("arrow").iter(batch_size=batch_size):
        columns = [
            [_read_input(cell, are_paths[name]) for cell in table.column(name).to_pylist()]
            for name in table.column_names
        ]
        found += zip(*columns, strict=True)
    return found


def _read_input(cell: Any, is_path: bool) -> tuple[int, Any]:
    if isinstance(cell, dict) and set(cell) == {"bytes", "path"}:  # datasets.Image(decode=False)
        cell = cell["bytes"] if cell["bytes"] is not None else cell["path"]
    if is_path and _is_file(cell):
        return os.path.getsize(cell), cell
    if isinstance(cell, str):
        return -1, _hash(cell.encode("utf-8", "surrogatepass"))
    return -1, _hash(cell if isinstance(cell, bytes) else repr(cell).encode("utf-8", "surrogatepass"))


def _is_file(cell: Any) -> bool:
    return isinstance(cell, str) and len(cell) < _LONGEST_PATH and os.path.isfile(cell)


def _hash(content: bytes) -> bytes:
    return xxhash.xxh3_128_digest(content)


def _hash_file(path: str) -> bytes:
    """Return the hash of a file's content; of its name where it cannot be read, which `encode` will say."""
    try:
        return _hash(Path(path).read_bytes())
    except OSError:
        return _hash(path.encode())


def _find_shared(splits: Sequence[Split], numbers: Sequence[np.ndarray]) -> list[Finding]:
    """Return how many rows of a split have an input that an earlier split has too."""
    findings = []
    for place, split in enumerate(splits):
        for other, theirs in zip(splits[:place], numbers, strict=False):
            rows = np.flatnonzero(np.isin(numbers[place], theirs))
            if len(rows):
                first = [int(np.flatnonzero(theirs == numbers[place][row])[0]) for row in rows[:_SHOWN]]
                examples = tuple(
                    f"{split.name_row(row)} is {other.name_row(twin)}{_show(split, row)}"
                    for row, twin in zip(rows[:_SHOWN].tolist(), first, strict=True)
                )
                is_cut = set(split.get_origin().sources) & set(other.get_origin().sources)
                cure = (
                    "`data.splits.by: <the input's column>` keeps them together" if is_cut else "take them out of one"
                )
                note = (
                    f"{len(rows)} of {len(split)} {split.name} rows have an input that stands in {other.name} too: "
                    f"{_JUDGE[other.name]}; {cure}."
                )
                findings.append(Finding(note=note, examples=examples))
    return findings


def _find_conflicts(splits: Sequence[Split], numbers: Sequence[np.ndarray], names: Sequence[str]) -> list[Finding]:
    """Return how many inputs have different labels in different rows."""
    labels = [split.labels for split in splits if split.labels is not None]
    if not labels:
        return []
    inputs, places = np.concatenate(numbers), [(split, row) for split in splits for row in range(len(split))]
    _, kinds = np.unique(np.concatenate(labels), axis=0, return_inverse=True)
    pairs = np.unique(np.stack([inputs, kinds.reshape(-1)]), axis=1)
    several = np.flatnonzero(np.bincount(pairs[0]) > 1)
    if not len(several):
        return []
    is_torn = np.isin(inputs, several)
    rows: dict[int, list[tuple[Split, int]]] = {}
    for place in np.flatnonzero(is_torn).tolist():
        rows.setdefault(int(inputs[place]), []).append(places[place])
    examples = tuple(
        "; ".join(f"{split.name_row(row)} has {_name_label(split, row, names)}" for split, row in each[:_SHOWN])
        + _show(*each[0])
        for each in list(rows.values())[:_SHOWN]
    )
    count = f"{len(several)} inputs stand" if len(several) > 1 else "1 input stands"
    note = f"{count} in the data with different labels ({is_torn.sum()} rows): no model gets all of them right."
    return [Finding(note=note, examples=examples)]


def _name_label(split: Split, row: int, names: Sequence[str]) -> str:
    """Return the class of a row, its labels, or its number."""
    assert split.labels is not None
    label = split.labels[row].tolist()
    if split.labels.ndim == 2:
        return repr([names[number] for number in np.flatnonzero(split.labels[row]).tolist()])
    return repr(names[int(label)]) if split.labels.dtype == np.int64 else f"{label:g}"


def _show(split: Split, row: int) -> str:
    """Return the start of a text, or the name of a picture's file, as the end of a line."""
    cell = next(iter(split.rows[row].values()))
    if isinstance(cell, Mapping):
        cell = cell.get("path")
    return f": {cell[:60]!r}" if isinstance(cell, str) else ""
