"""Files that a column of a table names: their paths are relative to the table, as whoever wrote it saw them."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets

from hf_tune.input_error import InputError


def resolve_splits(
    parts: Mapping[str, datasets.Dataset],
    columns: Mapping[str, str],
    roles: Sequence[str],
    load: Mapping[str, Any],
    files_in: str | None,
) -> dict[str, datasets.Dataset]:
    """Return splits whose files can be opened from here: the columns of these roles, found as `load` says.

    A stream's paths stay as they are, relative to the folder that one starts in.
    """
    resolved = dict(parts)
    if load.get("streaming"):
        if files_in is not None:
            raise InputError("the paths of a stream are not looked for", "write whole paths", at=("files_in",))
        return resolved
    named = [columns[role] for role in roles if role in columns]
    folders = list_folders(load, files_in) if named else []
    for name in parts:
        for column in named:
            resolved[name], _ = resolve_files(resolved[name], column, folders)
    return resolved


def resolve_files(
    rows: datasets.Dataset, column: str, folders: Sequence[str | Path]
) -> tuple[datasets.Dataset, str | Path | None]:
    """Return the rows with paths that can be opened from here, and the folder that they are relative to.

    A column that holds no words, and one of whole paths, is left as it is (None). Raises `InputError` where the first
    row's file is in none of the folders.
    """
    feature = rows.features[column]
    if not (isinstance(feature, datasets.Value) and feature.dtype in ("string", "large_string")) or not len(rows):
        return rows, None
    names = rows.with_format(None)[column][:]
    first = next((name for name in names if name), None)
    if first is None or os.path.isabs(first) or "://" in first:
        return rows, None
    folder = find_folder(first, folders)
    if folder is None:
        looked = ", ".join(repr(str(each)) for each in folders)
        problem = f"column {column!r} names the file {first!r}, which is in none of {looked}"
        hint = "write `data: {files_in: FOLDER}`, the folder that the paths start from"
        raise InputError(problem, hint, at=("files_in",))
    paths = [name if name is None else os.path.join(folder, name) for name in names]
    resolved = rows.remove_columns(column).add_column(column, paths, feature=datasets.Value("string"))
    return resolved.select_columns(rows.column_names), folder


def find_folder(name: str, folders: Iterable[str | Path]) -> str | Path | None:
    """Return the first folder that holds this file; None where none does."""
    return next((folder for folder in folders if os.path.isfile(os.path.join(folder, name))), None)


def list_folders(load: Mapping[str, Any], files_in: str | None) -> list[str]:
    """Return where the files that a table names may be: as the recipe says, else beside the table, else from here."""
    if files_in is not None:
        return [files_in]
    tables = [*_list_words(load.get("data_files")), *_list_words(load.get("data_dir")), str(load["path"])]
    beside = [table if os.path.isdir(table) else os.path.dirname(table) for table in tables]
    found = [folder for folder in beside if folder and os.path.isdir(folder)]
    inside = [str(each.parent) for folder in found for each in sorted(Path(folder).glob("*/*.csv"))]
    return list(dict.fromkeys([*found, *inside, "."]))


def _list_words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _list_words(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _list_words(each)
