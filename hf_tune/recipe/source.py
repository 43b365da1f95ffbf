"""Read YAML 1.2 into plain values and the line of every key, so that an error can point at it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from hf_tune.recipe.error import Problem, RecipeError


KeyPath = tuple[str | int, ...]

BLOCKS = (
    "task",
    "model",
    "data",
    "preprocess",
    "peft",
    "batch_norm",
    "objective",
    "decision",
    "linear_baseline",
    "early_stopping",
    "training",
    "speed",
    "hub",
    "card",
)
"""The blocks of a recipe, in the order that recipes have."""


@dataclass(frozen=True)
class Source:
    """Where a recipe's values came from."""

    file: str
    lines: Mapping[KeyPath, int]
    """Line (1-based) of every key in the file."""
    overrides: Mapping[KeyPath, str] = field(default_factory=dict)
    """Text of the command-line override that set a key."""

    def problem(self, path: KeyPath, problem: str, hint: str = "") -> Problem:
        """Return the mistake at `path`: at the override that set it, its own line, or that of its nearest parent."""
        key = ".".join(str(part) for part in path)
        return Problem(place=self._find_place(path), key=key, problem=problem, hint=hint)

    def _find_place(self, path: KeyPath) -> str:
        parents = [path[:length] for length in range(len(path), 0, -1)]
        for parent in parents:
            if parent in self.overrides:
                return f"command line: {self.overrides[parent]}"
        for parent in parents:
            if parent in self.lines:
                return f"{self.file}:{self.lines[parent]}"
            inside = (text for other, text in self.overrides.items() if other[: len(parent)] == parent)
            for text in inside:  # a block that only the command line gave
                return f"command line: {text}"
        return f"{self.file}:1"


def read_yaml(file: Path) -> tuple[dict[str, Any], Source]:
    """Return the plain values of a YAML 1.2 file and the lines of its keys.

    Raises `RecipeError` for a file that is missing, unreadable, not YAML, not a mapping, or that gives a key twice.
    """
    text = _read_text(file)
    try:
        root = YAML(typ="rt").load(text)
    except DuplicateKeyError as error:
        raise _duplicate_error(file, error) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _file_error(file, mark.line + 1 if mark else 1, f"not valid YAML: {error.problem}") from None
    except YAMLError as error:  # a character that YAML does not allow
        raise _file_error(file, 1, f"not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(root, CommentedMap):
        raise _file_error(file, 1, "not a recipe: expected blocks such as `task:`, `model:`, `data:`, `training:`")
    return _plain(root), Source(str(file), dict(_lines(root, ())))


def read_value(text: str) -> Any:
    """Return the plain value that `text` has in YAML 1.2: `1e-4` is a number, `no` a word."""
    return _plain(YAML(typ="rt").load(text))


def _file_error(file: Path, line: int, problem: str, hint: str = "") -> RecipeError:
    return RecipeError([Problem(place=f"{file}:{line}", key="", problem=problem, hint=hint)])


def _nearby(file: Path) -> str:
    names = sorted(path.name for path in file.parent.glob("*.yaml")) if file.parent.is_dir() else []
    return f"recipes in {file.parent}/: {', '.join(names)}" if names else f"no recipe stands in {file.parent}/"


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise _file_error(file, 1, "no such file", _nearby(file)) from None
    except IsADirectoryError:
        raise _file_error(file, 1, "is a folder, not a recipe", _nearby(file / "recipe.yaml")) from None
    except OSError as error:
        raise _file_error(file, 1, f"cannot be read: {error.strerror}", "check its permissions") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problem = f"byte 0x{error.object[error.start]:02x} is not UTF-8"
        raise _file_error(file, line, problem, "save the file as UTF-8") from None


def _duplicate_error(file: Path, error: DuplicateKeyError) -> RecipeError:
    again = error.problem_mark.line + 1
    key = str(error.problem).split('"')[1]
    lines = file.read_text(encoding="utf-8").splitlines()
    column = error.problem_mark.column
    start = error.context_mark.line + 1  # where the mapping that holds both begins
    prefixes = (f"{key}:", f'"{key}":', f"'{key}':")
    first = next(
        (number for number in range(start, again) if lines[number - 1][column:].startswith(prefixes)),
        start,
    )
    return _file_error(file, again, f"key {key!r} is given twice, first on line {first}", "keep one of the two")


def _lines(node: Any, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    if isinstance(node, CommentedMap):
        for key, value in node.items():
            yield (*path, key), node.lc.key(key)[0] + 1
            yield from _lines(value, (*path, key))
    elif isinstance(node, CommentedSeq):
        for index, value in enumerate(node):
            yield (*path, index), node.lc.item(index)[0] + 1
            yield from _lines(value, (*path, index))


def _plain(node: Any) -> Any:
    """Return ruamel's round-trip objects as plain Python values."""
    if isinstance(node, CommentedMap):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node
