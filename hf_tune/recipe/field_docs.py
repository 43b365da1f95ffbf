"""What the fields of a dataclass and the arguments of a call mean, as whoever wrote them says it."""

import ast
import dataclasses
import inspect
import itertools
import re
import textwrap
from collections.abc import Callable
from typing import Any


_LONGEST = 220
_ARGUMENT = re.compile(r"^(?P<indent> *)(?P<name>\w+) ?\(.*\):\s*$")


def read_field_docs(cls: type) -> dict[str, str]:
    """Return field → the docstring under it, here or in a parent; of a library's field its `help` where it has one.

    A class whose source is not at hand has none.
    """
    docs: dict[str, str] = {}
    for parent in reversed(cls.__mro__):
        if dataclasses.is_dataclass(parent):
            docs |= _read_class(parent)
    for each in dataclasses.fields(cls):
        told = each.metadata.get("help")
        if told:  # in PEFT 0.21 a comma behind some makes them a tuple
            docs[each.name] = told if isinstance(told, str) else " ".join(map(str, told))
    return {name: _shorten(text) for name, text in docs.items()}


def read_call_docs(call: Callable[..., Any]) -> dict[str, str]:
    """Return argument → what the docstring says of it, in the form `name (type): text` of the Hub's libraries."""
    found: dict[str, list[str]] = {}
    name, indent = "", 0
    for line in textwrap.dedent(f"    {inspect.getdoc(call) or ''}").splitlines():
        match = _ARGUMENT.match(line)
        own = len(line) - len(line.lstrip())
        if match:
            name, indent = match["name"], len(match["indent"])
            found[name] = []
        elif line.strip() and own <= indent:
            name = ""
        elif name:
            found[name].append(line.strip())
    return {name: _shorten(" ".join(lines)) for name, lines in found.items() if lines}


def _read_class(cls: type) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    except (OSError, TypeError):
        return {}
    docs = {}
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    for before, after in itertools.pairwise(body):
        text = after.value if isinstance(after, ast.Expr) else None
        if (
            isinstance(before, ast.AnnAssign)
            and isinstance(before.target, ast.Name)
            and isinstance(text, ast.Constant)
        ):
            docs[before.target.id] = str(text.value)
    return docs


def _shorten(text: str) -> str:
    """Return a text in one line, of so many sentences as fit."""
    text = " ".join(text.split())
    if len(text) <= _LONGEST:
        return text
    end = text.rfind(". ", 0, _LONGEST)
    return text[: end + 1] if end > 0 else f"{text[:_LONGEST]} …"
