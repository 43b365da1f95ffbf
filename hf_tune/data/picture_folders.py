"""Folders that `datasets` would read in part: DICOM, archives, and kinds of pictures that it leaves out."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import datasets

from hf_tune.data.dicom_pictures import is_dicom
from hf_tune.data.picture_kinds import ARCHIVES, READ_ENDINGS, UNREAD_ENDINGS
from hf_tune.input_error import InputError


_OF_THE_CALL = ("keep_in_memory", "num_proc", "save_infos", "split", "streaming", "verification_mode")
"""Arguments of `load_dataset` that `load_dataset_builder` does not take."""


def load_folder(load: Mapping[str, Any]) -> Any:
    """Return the data set of a local folder of pictures that needs more than `load_dataset`, else None.

    Raises `InputError` where it holds archives, or pictures that would be left out without a word.
    """
    from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder

    files = list(_list_files(load))
    endings = Counter(_get_ending(file) for file in files)
    if not _is_picture_folder(load, endings):
        return None
    _check_archives(load, files)
    _check_unread(load, files)
    if not any(endings[ending] for ending in READ_ENDINGS if ending not in ImageFolder.EXTENSIONS):
        return None
    return _load_with_added_endings(load)


def _load_with_added_endings(load: Mapping[str, Any]) -> Any:
    """Return what `load_dataset` returns, of a builder that takes more files for pictures than that of datasets 5.2.

    Its name parts its cache from that of the same folder as `load_dataset` reads it.
    """
    arguments = {name: value for name, value in load.items() if name not in _OF_THE_CALL}
    if os.path.isdir(str(load["path"])):
        folder = str(Path(arguments.pop("path"), arguments.pop("data_dir", None) or ""))
        arguments |= {"path": "imagefolder", "data_dir": folder}
    builder = datasets.load_dataset_builder(**{"name": "more_pictures", **arguments})
    builder.EXTENSIONS = list(dict.fromkeys([*builder.EXTENSIONS, *READ_ENDINGS]))
    if load.get("streaming"):
        return builder.as_streaming_dataset(split=load.get("split"))
    builder.download_and_prepare(num_proc=load.get("num_proc"), download_mode=load.get("download_mode"))
    return builder.as_dataset(split=load.get("split"))


def _list_files(load: Mapping[str, Any]) -> Iterator[str]:
    """Yield the local files that a `load:` block may stand for; nothing for a data set of the Hub."""
    path, data_dir = str(load["path"]), str(load.get("data_dir") or "")
    if path != "imagefolder" and not os.path.isdir(path):
        return
    root = data_dir if path == "imagefolder" else os.path.join(path, data_dir)
    if load.get("data_files"):
        for pattern in _list_patterns(load["data_files"]):
            yield from sorted(filter(os.path.isfile, glob.glob(os.path.join(root, pattern), recursive=True)))
    elif os.path.isfile(root):
        yield root
    elif root:
        for folder, inside, names in os.walk(root):
            inside[:] = sorted(name for name in inside if not name.startswith((".", "__")))
            yield from (os.path.join(folder, name) for name in sorted(names) if not name.startswith((".", "__")))


def _list_patterns(value: Any) -> list[str]:
    """Return the words in a list or mapping of them."""
    if isinstance(value, Mapping):
        value = list(value.values())
    return [word for each in value for word in _list_patterns(each)] if isinstance(value, list) else [str(value)]


def _get_ending(file: str) -> str:
    """Return the ending of a file's name, in small letters; both of them where the last one is `.gz`."""
    stem, ending = os.path.splitext(file.lower())
    return os.path.splitext(stem)[1] + ending if ending == ".gz" else ending


def _is_picture_folder(load: Mapping[str, Any], endings: Counter) -> bool:
    """Return whether half of the files or more are pictures, read or not."""
    from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder

    if str(load["path"]) == "imagefolder":
        return True
    pictures = {*ImageFolder.EXTENSIONS, *READ_ENDINGS, *UNREAD_ENDINGS}
    found = sum(endings[ending] for ending in pictures)
    return found > 0 and 2 * found >= sum(endings.values())


def _check_archives(load: Mapping[str, Any], files: list[str]) -> None:
    """Raise where an archive is among the files: datasets 5.2 loses the labels of all pictures, or fails."""
    archive = next((file for file in files if _get_ending(file) in ARCHIVES), None)
    if archive is not None:
        raise InputError(f"{archive!r} is an archive", "unpack it, and give the folder that comes of it", _blame(load))


def _check_unread(load: Mapping[str, Any], files: list[str]) -> None:
    """Raise where pictures are of kinds that are not read: datasets 5.2 leaves them out without a word."""
    unread = [file for file in files if _get_ending(file) in UNREAD_ENDINGS]
    if unread:
        ending = _get_ending(unread[0])
        count = sum(_get_ending(file) == ending for file in unread)
        problem = f"{unread[0]!r} is a picture of a kind that is not read ({count} of {len(files)} files are {ending})"
        raise InputError(problem, f"{UNREAD_ENDINGS[ending]}, or take them out", _blame(load))
    for file in files:
        if not _get_ending(file) and is_dicom(_read_start(file)):
            raise InputError(f"{file!r} is a DICOM file without an ending", "name it and its like .dcm", _blame(load))


def _read_start(file: str) -> bytes:
    try:
        with open(file, "rb") as stream:
            return stream.read(132)
    except OSError:
        return b""


def _blame(load: Mapping[str, Any]) -> tuple[str, str]:
    """Return the key that names the files."""
    return "load", next((key for key in ("data_files", "data_dir") if load.get(key)), "path")
