"""Load a data set: by `datasets.load_dataset`, or by a function of the user's own."""

import inspect
import os
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import datasets

from hf_tune.data.picture_folders import load_folder
from hf_tune.data.picture_kinds import ARCHIVES
from hf_tune.data.source_files import is_saved
from hf_tune.input_error import InputError
from hf_tune.own_function import find_function


def load_raw(load: Mapping[str, Any]) -> Mapping[str, datasets.Dataset | datasets.IterableDataset]:
    """Return the data set that the `load:` block names, all its splits as they are: tables, or streams.

    Raises `InputError` for what is not there or cannot be read, and for a class folder without a file.
    """
    path = str(load["path"])
    if ":" in path and not path.startswith(("hf://", "http://", "https://", "s3://")):
        raw = _call_loader(path, {name: value for name, value in load.items() if name != "path"})
    else:
        _check_path(path)
        raw = _load_dataset(load)
    _check_splits(load, raw)
    _check_class_folders(load, raw)
    return raw


def _check_splits(load: Mapping[str, Any], raw: Any) -> None:
    """Raise where a loader returned something else than splits, or streams that its recipe does not speak of."""
    if isinstance(raw, datasets.DatasetDict) and not load.get("streaming"):
        return
    kinds = (datasets.Dataset, datasets.IterableDataset)
    if not isinstance(raw, Mapping) or not raw or not all(isinstance(rows, kinds) for rows in raw.values()):
        raise InputError(f"expected a DatasetDict, got {type(raw).__name__}", "return one split per key", at=("load",))
    has_streams = any(isinstance(rows, datasets.IterableDataset) for rows in raw.values())
    if has_streams and not load.get("streaming"):
        hint = "write `streaming: true` under `load:`; a loader that has no such parameter is not given it"
        raise InputError("the data set is a stream", hint, at=("load",))
    if load.get("streaming") and not has_streams:
        raise InputError("the loader returned no stream", "leave `streaming` out", at=("load", "streaming"))


def _check_path(path: str) -> None:
    """Raise where a path is neither a folder nor what a name on the Hub, or of a format, can be."""
    from huggingface_hub import errors, utils

    at = ("load", "path")
    if os.path.isfile(path) and path.lower().endswith(ARCHIVES):
        raise InputError(f"{path!r} is an archive", "unpack it, and give the folder that comes of it", at=at)
    if os.path.isfile(path):
        hint = "write the format as `path` (csv, json, parquet …) and the file as `data_files`"
        raise InputError(f"{path!r} is a file", f"{hint}; a loader of your own is `module:function`", at=at)
    if os.path.isdir(path) or path.startswith(("hf://", "buckets/")):
        return
    try:
        utils.validate_repo_id(path)
    except errors.HFValidationError:
        problem = f"there is no folder {path!r}, and a data set of the Hub cannot have this name"
        hint = f"a folder is relative to {os.getcwd()}, a data set of the Hub is `owner/name`"
        raise InputError(problem, hint, at=at) from None


def _read(load: Mapping[str, Any]) -> Any:
    path = str(load["path"])
    if is_saved(path):
        saved = datasets.load_from_disk(path)
        return saved if isinstance(saved, datasets.DatasetDict) else datasets.DatasetDict({"train": saved})
    return load_folder(load) or datasets.load_dataset(**load)


def _load_dataset(load: Mapping[str, Any]) -> Any:
    from huggingface_hub import errors

    path, at = str(load["path"]), ("load", "path")
    no_folder = f"there is no folder {path!r} either; " if "/" in path and not os.path.isdir(path) else ""
    try:
        return _read(load)
    except InputError:
        raise
    except datasets.exceptions.DatasetNotFoundError as error:
        raise InputError(f"no such data set: {error}", f"{no_folder}check the name and your access", at=at) from None
    except ConnectionError as error:
        hint = f"{no_folder}check the network, or give a local folder"
        raise InputError(f"{path!r} cannot be reached: {error}", hint, at=at) from None
    except errors.HfHubHTTPError as error:
        message = str(error).partition("\n")[0]
        hint = "check `revision`, the name and your access"
        raise InputError(f"{path!r} cannot be fetched: {message}", hint, at=at) from None
    except FileNotFoundError as error:
        key = next((key for key in ("data_files", "data_dir") if key in load), "path")
        hint = "paths are relative to the folder you start in"
        folder = str(load.get("data_dir") or path)
        if "data_files" not in load and os.path.isdir(folder):
            hint = "give pictures in one folder per class, or csv, json or parquet files"
            raise InputError(f"folder {folder!r} holds no data", hint, at=("load", key)) from None
        raise InputError(f"not found: {error}", hint, at=("load", key)) from None
    except (
        datasets.exceptions.DatasetGenerationError,
        datasets.exceptions.DataFilesNotFoundError,
        ValueError,
    ) as error:
        cause = error.__cause__ or error
        hint = "is it in this format, UTF-8, and with this separator?"
        raise InputError(f"{path!r} cannot be loaded: {cause}", hint, at=("load",)) from None


def _call_loader(path: str, arguments: Mapping[str, Any]) -> Any:
    """Call the user's own loader, `package.module:function`."""
    function = find_function(path, ("load", "path"))
    parameters = inspect.signature(function).parameters
    arguments = {name: value for name, value in arguments.items() if name != "streaming" or name in parameters}
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        unknown = [name for name in arguments if name not in parameters]
        raise InputError(f"{path}: {error}", f"it takes: {', '.join(parameters)}", at=("load", *unknown[:1])) from None
    return function(**arguments)


def _check_class_folders(load: Mapping[str, Any], raw: Mapping[str, Any]) -> None:
    """Raise where a class folder of pictures holds no file: datasets 5.2 leaves the class out without a word."""
    path, data_dir = str(load["path"]), str(load.get("data_dir") or "")
    root = Path(data_dir) if path == "imagefolder" else Path(path, data_dir)
    features = next(iter(raw.values())).features or {}  # a stream may not tell them
    if "data_files" in load or load.get("drop_labels") or "image" not in features or not root.is_dir():
        return
    label = features.get("label")
    names = set(label.names) if isinstance(label, datasets.ClassLabel) else set()
    if len(features) == 1:  # one class alone is left out too
        names = {Path(folder).name for folder, _, files in os.walk(root) if files}
    empty = _find_empty_class(root, names)
    if empty is not None:
        hint = "put pictures into it or take the folder out"
        raise InputError(
            f"class folder {str(empty)!r} holds no file", hint, at=("load", "data_dir" if data_dir else "path")
        )


def _find_empty_class(folder: Path, names: Set[str]) -> Path | None:
    """Return the first folder that stands beside a class folder and holds no file; classes are not looked into."""
    with os.scandir(folder) as entries:
        inside = sorted(each.name for each in entries if each.is_dir() and _is_seen(each.name))
    others = [folder / name for name in inside if name not in names]
    if len(others) < len(inside):
        return next((each for each in others if not _holds_file(each)), None)
    return next((found for found in (_find_empty_class(each, names) for each in others) if found), None)


def _holds_file(folder: Path) -> bool:
    return any(_is_seen(name) for _, _, files in os.walk(folder) for name in files)


def _is_seen(name: str) -> bool:
    """Return whether `datasets` looks at a file or folder of this name."""
    return not name.startswith((".", "__"))
