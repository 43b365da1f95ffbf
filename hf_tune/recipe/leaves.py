"""The single values of a recipe, each with its path of keys; and which of them name files of this disk."""

import glob
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hf_tune.recipe.source import KeyPath


def list_leaves(values: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Yield every value inside blocks and lists; a block or list that is empty is a value itself."""
    if values and isinstance(values, Mapping):
        for name, value in values.items():
            yield from list_leaves(value, (*path, name))
    elif values and isinstance(values, list):
        for index, value in enumerate(values):
            yield from list_leaves(value, (*path, index))
    else:
        yield path, values


def list_local_paths(values: Mapping[str, Any]) -> list[Path]:
    """Return the files and folders that a recipe's values name, whatever key they stand under.

    Every word that is a path which is there counts: a checkpoint, `data_dir`, `data_files`, an argument of the user's
    own loader, a DeepSpeed config; of a glob, its folder and what it finds. `training.output_dir` is where the run
    writes, and is left out.
    """
    words = [value for path, value in list_leaves(values) if path != ("training", "output_dir")]
    parts = [part for word in words if isinstance(word, str) for part in word.split("::")]  # zip://*.csv::a.zip
    return [path for part in parts for path in _find(part.removeprefix("file://"))]


def _find(word: str) -> Iterator[Path]:
    plain = re.split(r"[*?\[{]", word, maxsplit=1)[0]
    if plain and _is_there(plain):
        yield Path(plain)
    if plain != word:
        yield from map(Path, glob.iglob(word, recursive=True))


def _is_there(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # too long for a path, or with a character that none has
        return False
