"""The model and processor files that a run saves: never half written in their place, and known by their hashes."""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hf_tune.file_hashes import hash_file
from hf_tune.input_error import InputError


ASIDE = "saved.tmp"
"""The folder inside a run's in which its files are written before they are moved to their places."""
_LAST = ("adapter_config.json", "config.json")
"""Without them a folder holds no model; they come when all else is there."""


def save_files(folder: Path, save: Callable[[Path], Any]) -> dict[str, dict[str, Any]]:
    """Let `save` write into a fresh folder, move each file to its place, and return what `hash_files` says of them.

    A README.md, which PEFT writes, is left out.
    """
    aside = folder / ASIDE
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    save(aside)
    (aside / "README.md").unlink(missing_ok=True)
    names = [path.relative_to(aside).as_posix() for path in sorted(aside.rglob("*")) if path.is_file()]
    for name in sorted(names, key=lambda name: name in _LAST):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(aside / name, folder / name)
    shutil.rmtree(aside)
    return hash_files(folder, names)


def hash_files(folder: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return name → `bytes` and `sha256` of files in a folder."""
    return {name: {"bytes": (folder / name).stat().st_size, "sha256": hash_file(folder / name)} for name in names}


def check_files(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise `InputError` where a file that a run saved is gone or has changed; `files` as `hash_files` gives."""
    for name, known in files.items():
        file, hint = folder / name, "put back the file that the run saved, or run it again"
        if not file.is_file():
            raise InputError(f"{file}, which the run saved, is not there", hint)
        if file.stat().st_size != known["bytes"] or hash_file(file) != known["sha256"]:
            raise InputError(f"{file} has changed since the run ended", hint)
