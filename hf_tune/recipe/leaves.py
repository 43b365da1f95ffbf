"""The single values of a recipe, each with its path of keys; and which of them name files of this disk."""

import glob
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hf_tune.recipe.source import KeyPath


_CONFIGS = ("deepspeed", "fsdp_config", "accelerator_config")
"""Arguments of `training:` that may name a file."""


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
    """Return the files and folders that a recipe reads: of every word there that is a path which is there.

    It reads what `model:` and `data.load:` name, also as an argument of the user's own loader, and the configs of
    `training:`; of a glob, its folder and what it finds.
    """
    training = values.get("training") or {}
    read = [values.get("model"), (values.get("data") or {}).get("load"), *(training.get(name) for name in _CONFIGS)]
    words = [value for block in read for _, value in list_leaves(block)]
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
