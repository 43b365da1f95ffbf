"""Functions of the user's own, named `package.module:function` in a recipe: beside it, or in an installed package."""

import contextlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

from hf_tune.input_error import InputError


@contextlib.contextmanager
def without_bytecode() -> Iterator[None]:
    """Let imports write no `__pycache__`: a module of the user's own may stand in a run, which stays as it is."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def find_function(name: str, at: tuple[str | int, ...]) -> Callable[..., Any]:
    """Return the function `package.module:function`; raises `InputError` where there is no such module or function.

    `at` is the key that names it. The recipe's folder is on `sys.path`.
    """
    module_name, _, function_name = name.partition(":")
    try:
        with without_bytecode():  # of a dotted name the packages are imported here
            found = importlib.util.find_spec(module_name)
    except (ImportError, ValueError):
        found = None
    if found is None:
        hint = "it is looked for beside the recipe and among the installed packages"
        raise InputError(f"no module {module_name!r}", hint, at=at)
    with without_bytecode():
        module = importlib.import_module(module_name)
    function = getattr(module, function_name, None)
    if not callable(function):
        names = ", ".join(sorted(name for name, value in vars(module).items() if inspect.isfunction(value)))
        raise InputError(f"module {module_name!r} has no function {function_name!r}", f"known: {names}", at=at)
    return function
