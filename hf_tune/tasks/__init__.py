"""Kinds of problems: one file each; the file's name is the recipe's `task:`."""

import contextlib
import importlib
import importlib.util
import pkgutil
import sys
from pathlib import Path

from hf_tune.input_error import InputError
from hf_tune.own_function import without_bytecode
from hf_tune.task import Task


def get_task(name: str) -> Task:
    """Return the task of a file in this folder, or of a dotted module of the user's own.

    Raises `InputError` for a name that is neither, or a module that has no `TASK`.
    """
    is_own = "." in name
    module_name = name if is_own else f"{__name__}.{name}"
    with without_bytecode() if is_own else contextlib.nullcontext():
        try:
            found = importlib.util.find_spec(module_name)
        except ModuleNotFoundError:
            found = None
        if found is None:
            raise InputError(f"no task {name!r}", f"known: {', '.join(list_tasks())}, or a dotted module of your own")
        task = getattr(importlib.import_module(module_name), "TASK", None)
    if not isinstance(task, Task):
        raise InputError(f"module {module_name!r} has no `TASK`", "end it with `TASK = Task(…)`")
    return task


def get_stored_task(name: str, run: Path) -> Task:
    """Return the task of a run in a folder, where one of the user's own was copied to: it is looked for there last."""
    folder = str(run.resolve())
    if "." in name and folder not in sys.path:
        sys.path.append(folder)
    return get_task(name)


def list_tasks() -> list[str]:
    """Return the names of the tasks that hf_tune brings."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))
