"""Modules of the user's own, whose source is part of the names of caches."""

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def write_modules(tmp_path: Path) -> Iterator[Callable[..., ModuleType]]:
    """Return a function that writes modules of the user's own, loads them anew, and returns the last."""
    written: list[str] = []

    def write(**texts: str) -> ModuleType:
        for name, text in texts.items():
            file = tmp_path / f"{name}.py"
            file.write_text(text)
            os.utime(file, (0, len(text)))  # a time of its own for each text: `linecache` looks at it
            spec = importlib.util.spec_from_file_location(name, file)
            assert spec is not None and spec.loader is not None
            sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[name])
            written.append(name)
        return sys.modules[written[-1]]

    yield write
    for name in written:
        sys.modules.pop(name, None)
