"""Names of what is cached on disk: they change with everything that the cached content depends on."""

import functools
import hashlib
import importlib.metadata
import inspect
import os
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import datasets
import xxhash


_HASHED_ROWS = 100
"""Rows that are in memory at once while they are hashed."""


def name_content(content: str, modules: Set[str], processor: Any, packages: Sequence[str]) -> str:
    """Return 64 hexadecimal digits; a change of content, code, processor or version gives other ones.

    Raises `OSError` or `TypeError` where there is no source of a module, such as of a cell in a notebook.
    """
    code = _read_code(modules | {type(processor).__module__, __name__})
    versions = [importlib.metadata.version(name) for name in packages]
    return hashlib.sha256(repr((content, code, processor.fingerprint(), versions)).encode()).hexdigest()


def is_named_by_source(function: Callable[..., Any]) -> bool:
    """Return whether a function is what its module's source says: no closure, no object with values of its own."""
    return isinstance(function, types.FunctionType) and function.__closure__ is None


def hash_rows(rows: datasets.Dataset) -> str:
    """Return a hash of the cells in the order of the rows; of a cell that names a file, of the file's content too."""
    digest = xxhash.xxh3_128()
    for table in rows.with_format("arrow").iter(batch_size=_HASHED_ROWS):
        for name in table.column_names:
            _feed(digest, name)
            for cell in table.column(name).to_pylist():
                _feed(digest, cell)
    return digest.hexdigest()


def _feed(digest: Any, cell: Any) -> None:
    """Put a cell into a hash, with its kind and length, so that no two rows of cells give the same bytes."""
    if isinstance(cell, Mapping):
        cell = list(cell.items())
    if isinstance(cell, bytes):
        digest.update(f"bytes {len(cell)}:".encode())
        digest.update(cell)
    elif isinstance(cell, str):
        text = cell.encode("utf-8", "surrogatepass")
        digest.update(f"str {len(text)}:".encode())
        digest.update(text)
        if os.path.isfile(cell):
            _feed(digest, _read_file(cell))
    elif isinstance(cell, (list, tuple)) and any(isinstance(each, (bytes, str, list, tuple, dict)) for each in cell):
        digest.update(f"list {len(cell)}:".encode())
        for each in cell:
            _feed(digest, each)
    else:
        text = repr(cell).encode()
        digest.update(f"value {len(text)}:".encode())
        digest.update(text)


def _read_file(path: str) -> bytes | None:
    """Return the content of a file; None where it cannot be read, which `encode` will say with the row."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return None


def _read_code(names: Set[str]) -> list[str]:
    """Return the source of modules, of those that their imported functions are defined in, and of all that these use.

    Modules of the user's, and those that read data here, are followed as far as they import each other; a library's
    are named by its version.
    """
    imported = {value.__module__ for value in _list_values(names) if isinstance(value, types.FunctionType)}
    found = names | (imported & sys.modules.keys())
    fresh = found
    while fresh:
        fresh = {name for name in _list_origins(fresh) if _is_users(name) or _reads_data(name)} - found
        found = found | fresh
    return [inspect.getsource(sys.modules[name]) for name in sorted(found)]


def _list_values(names: Set[str]) -> Iterator[Any]:
    return (value for name in names for value in vars(sys.modules[name]).values())


def _list_origins(names: Set[str]) -> Iterator[str]:
    """Yield the modules that the functions, classes and modules in some modules come from."""
    for value in _list_values(names):
        if isinstance(value, types.ModuleType):
            yield value.__name__
        elif isinstance(value, (types.FunctionType, type)):
            yield value.__module__


def _reads_data(name: str) -> bool:
    return name.startswith("hf_tune.data.") and name in sys.modules


def _is_users(name: str) -> bool:
    """Return whether a module is a file of the user's own: of no library, and not of this one."""
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return file.endswith(".py") and not file.startswith(_find_libraries()) and name.partition(".")[0] != "hf_tune"


@functools.cache
def _find_libraries() -> tuple[str, ...]:
    """Return the folders of installed packages; Python puts them together anew at each call, which takes 0.1 ms."""
    return tuple(sysconfig.get_paths()[place] for place in ("stdlib", "purelib", "platlib"))
