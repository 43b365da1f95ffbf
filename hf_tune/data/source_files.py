"""Which arguments of `datasets.load_dataset` load the files that somebody has: found by looking at the files."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hf_tune.data.picture_kinds import ARCHIVES, READ_ENDINGS
from hf_tune.input_error import InputError


FORMATS = MappingProxyType(
    {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet"}
)
"""Ending of a table → what `datasets` calls its format."""
_SPLITS = MappingProxyType(
    {
        "train": "train",
        "training": "train",
        "validation": "validation",
        "valid": "validation",
        "val": "validation",
        "dev": "validation",
        "test": "test",
        "testing": "test",
    }
)
VALIDATION_NAMES = tuple(name for name, split in _SPLITS.items() if split == "validation")
_PACKED = (*ARCHIVES, ".gz")
_KINDS = "class folders of pictures, csv, json, jsonl, parquet, or a folder that `datasets` saved"
_OWN_FILES = ("dataset_info.json", "state.json", "dataset_dict.json", "dataset_infos.json")
"""Files that `datasets` writes beside its data."""


def draft_load(path: str) -> dict[str, Any]:
    """Return the `data.load:` block for a file or folder.

    Raises `InputError` where it is not there, empty, packed, or of no known kind.
    """
    place = Path(path)
    if place.is_file():
        return _draft_file(place)
    if not place.is_dir():
        raise InputError(f"there is no file or folder {path!r}", f"a path is relative to {os.getcwd()}")
    if is_saved(place):
        return {"path": path}
    files = [each for each in sorted(place.rglob("*")) if each.is_file() and _is_seen(each.relative_to(place))]
    if not files:
        raise InputError(f"folder {path!r} is empty", f"put in {_KINDS}")
    tables = [each for each in files if each.suffix.lower() in FORMATS and each.name not in _OWN_FILES]
    pictures = [each for each in files if each.suffix.lower() in READ_ENDINGS]
    if pictures and all(each.stem == "metadata" for each in tables):
        _check_class_folders(place, pictures, bool(tables))
        return {"path": "imagefolder", "data_dir": path}
    if tables:
        return _draft_tables(path, tables)
    endings = Counter(each.suffix.lower() or each.name for each in files).most_common(3)
    found = ", ".join(f"{count} {ending}" for ending, count in endings)
    packed = any(ending in _PACKED for ending, _ in endings)
    hint = "unpack it first" if packed else f"known are {_KINDS}"
    raise InputError(f"folder {path!r} holds no file of a known kind; found: {found}", hint)


def is_saved(folder: str | Path) -> bool:
    """Return whether `datasets` saved this folder by `save_to_disk`."""
    return any(Path(folder, name).is_file() for name in ("dataset_dict.json", "state.json"))


def _draft_file(file: Path) -> dict[str, Any]:
    kind = FORMATS.get(file.suffix.lower())
    if kind is None:
        is_picture = file.suffix.lower() in READ_ENDINGS
        is_packed = file.suffix.lower() in _PACKED
        hint = "give the folder of the class folders" if is_picture else f"known are {_KINDS}"
        raise InputError(f"{str(file)!r} is of no known kind", "unpack it first" if is_packed else hint)
    if not file.stat().st_size:
        raise InputError(f"{str(file)!r} is empty", "give a file with rows")
    return {"path": kind, "data_files": str(file)}


def _draft_tables(path: str, tables: Sequence[Path]) -> dict[str, Any]:
    """Return the block for tables in a folder: those of the commonest format, each in the split that its name says."""
    kinds = Counter(FORMATS[each.suffix.lower()] for each in tables)
    kind = kinds.most_common(1)[0][0]
    chosen = [each for each in tables if FORMATS[each.suffix.lower()] == kind]
    if len(kinds) == 1 and kind == "parquet":
        return {"path": path}  # as `datasets` finds them, with their card
    files: dict[str, list[str]] = {}
    for each in chosen:
        files.setdefault(_name_split(each.relative_to(path)), []).append(str(each))
    if len(files) > 1 and "train" not in files:
        names = ", ".join(sorted(each.name for each in chosen)[:5])
        raise InputError(f"no table in {path!r} is called train; found: {names}", "give one of them as --data")
    named: Any = {split: each[0] if len(each) == 1 else each for split, each in files.items()}
    return {"path": kind, "data_files": named}


def _name_split(file: Path) -> str:
    """Return the split that a file's path speaks of; train where it speaks of none."""
    words = [word for part in (*file.parts[:-1], file.stem) for word in part.lower().replace("-", "_").split("_")]
    return next((_SPLITS[word] for word in reversed(words) if word in _SPLITS), "train")


def _check_class_folders(root: Path, pictures: Sequence[Path], has_table: bool) -> None:
    """Raise where pictures do not stand in two class folders, and no metadata says what they are."""
    if has_table:
        return
    parents = {each.parent.relative_to(root).parts for each in pictures}
    classes = {parts[-1] for parts in parents if parts and parts[-1].lower() not in _SPLITS}
    if not classes:
        hint = "make a folder for each class and put its pictures there, or give a csv of paths and labels"
        raise InputError(f"the pictures in {str(root)!r} stand in no class folders", hint)
    if len(classes) < 2:
        hint = "two are needed: a folder for each class"
        raise InputError(f"there is one class folder only in {str(root)!r}: {classes.pop()!r}", hint)


def _is_seen(path: Path) -> bool:
    """Return whether `datasets` looks at a file: no part of its path is hidden."""
    return not any(part.startswith((".", "__")) for part in path.parts)
