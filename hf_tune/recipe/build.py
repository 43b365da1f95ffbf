"""Check plain values against the fields of a dataclass or the arguments of a call, ours or a library's."""

import dataclasses
import difflib
import enum
import inspect
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pydantic

from hf_tune.input_error import InputError
from hf_tune.recipe.error import Problem, RecipeError
from hf_tune.recipe.source import KeyPath, Source


_WORDS: Mapping[Any, str] = types.MappingProxyType(
    {
        int: "a whole number",
        float: "a number",
        str: "a word",
        bool: "true or false",
        list: "a list",
        dict: "a block of keys",
        Mapping: "a block of keys",
    }
)


@dataclass
class Report:
    """Every problem found so far in one recipe."""

    source: Source
    problems: list[Problem] = field(default_factory=list)

    def add(self, path: KeyPath, problem: str, hint: str = "") -> None:
        """Note a problem at a key path."""
        self.problems.append(self.source.problem(path, problem, hint))

    def check(self) -> None:
        """Raise `RecipeError` where a problem was noted, in the order of the file's lines."""
        if self.problems:
            raise RecipeError(sorted(dict.fromkeys(self.problems), key=_reading_order))


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """What a block may hold: the arguments of one call."""

    owner: str
    """The call's name as the reader knows it."""
    hints: Mapping[str, Any]
    """Argument → type hint."""
    required: frozenset[str] = frozenset()
    choices: Mapping[str, Iterable[str]] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Argument → smallest and largest value, both allowed."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Argument that older releases had, or that hf_tune sets itself → what to write instead."""


def accepted_by_dataclass(cls: type, **limits: Any) -> Accepted:
    """Return what a dataclass accepts: its fields that `__init__` takes."""
    fields = [each for each in dataclasses.fields(cls) if each.init]
    hints = typing.get_type_hints(cls)
    required = [each.name for each in fields if _has_no_default(each)]
    return Accepted(
        owner=cls.__name__,
        hints={each.name: hints[each.name] for each in fields},
        required=frozenset(required),
        **limits,
    )


def accepted_by_call(call: Callable[..., Any], **limits: Any) -> Accepted:
    """Return what a function accepts: its named parameters; one without a type hint takes any value."""
    parameters = inspect.signature(call).parameters.values()
    named = [each for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    hints = typing.get_type_hints(call)
    required = frozenset(each.name for each in named if each.default is each.empty)
    hints = {each.name: hints.get(each.name, Any) for each in named}
    return Accepted(owner=f"{call.__name__}()", hints=hints, required=required, **limits)


def check_block(accepted: Accepted, values: Any, path: KeyPath, report: Report) -> dict[str, Any]:
    """Return the values that are right, after noting every one that is not."""
    if not isinstance(values, Mapping):
        report.add(path, f"expected a block of keys, got {values!r}", f"keys of {accepted.owner}: {_list(accepted)}")
        return {}
    right: dict[str, Any] = {}
    for name, value in values.items():
        if value is None and name in accepted.required:
            continue  # told as missing below
        problem, hint = _check_value(accepted, str(name), value)
        if problem:
            report.add((*path, name), problem, hint)
        else:
            right[name] = value
    for name in sorted(name for name in accepted.required if values.get(name) is None):
        report.add(path, f"`{name}` is missing", f"{accepted.owner} cannot do without it")
    return right


def build_dataclass(cls: type, values: Any, path: KeyPath, report: Report) -> Any:
    """Return `cls(**values)`, or None after noting what is wrong with the values."""
    before = len(report.problems)
    accepted = accepted_by_dataclass(cls, refused=getattr(cls, "REFUSED", {}))
    right = check_block(accepted, values, path, report)
    named = {each.name: each.metadata["options"] for each in dataclasses.fields(cls) if "options" in each.metadata}
    for name in right.keys() & named.keys():
        right[name] = [
            _build_option(named[name], item, (*path, name, index), report) for index, item in enumerate(right[name])
        ]
    for name, hint in accepted.hints.items():
        inner = next((each for each in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(each)), None)
        if inner is not None and isinstance(right.get(name), Mapping):
            right[name] = build_dataclass(typing.cast(type, inner), right[name], (*path, name), report)
    if len(report.problems) > before:
        return None
    try:
        return cls(**right)
    except InputError as error:
        report.add((*path, *error.at), error.problem, error.hint)
        return None


def suggest(name: Any, known: Iterable[str]) -> str:
    """Return `did you mean …?`, or the known names."""
    names = sorted(str(each) for each in known)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.7)
    return f"did you mean `{close[0]}`?" if close else f"known: {', '.join(names)}"


def _check_value(accepted: Accepted, name: str, value: Any) -> tuple[str, str]:
    """Return the problem with one value and its cure, or two empty strings."""
    if name in accepted.refused:
        return f"not accepted by {accepted.owner}", accepted.refused[name]
    if name not in accepted.hints:
        return f"unknown key of {accepted.owner}", suggest(name, accepted.hints)
    hint = accepted.hints[name]
    choices = accepted.choices.get(name) or list_enum_values(hint)
    if choices and value is not None and not isinstance(value, bool):
        wrong = [each for each in (value if isinstance(value, list) else [value]) if each not in choices]
        return (f"{wrong[0]!r} is not one of its values", suggest(wrong[0], choices)) if wrong else ("", "")
    problem = _type_problem(hint, value)
    if problem:
        return problem, ""
    if name in accepted.ranges and isinstance(value, (int, float)):
        low, high = accepted.ranges[name]
        if not low <= value <= high:
            limit = f"at least {low:g}" + (f" and at most {high:g}" if high != float("inf") else "")
            return f"{value!r} is out of range", f"it must be {limit}"
    return "", ""


def _type_problem(hint: Any, value: Any) -> str:
    """Return what is wrong with the type of a YAML value, checked as strict JSON against a type hint.

    JSON mode, because a YAML list may stand for a tuple or a set and a word for an enum member, while `True` is still
    no integer and `"3"` no number.
    """
    nested = any(dataclasses.is_dataclass(each) for each in (hint, *typing.get_args(hint)))
    if hint is Any or (nested and isinstance(value, Mapping)):
        return ""
    try:
        text = json.dumps(value)
    except TypeError:
        return f"{value!r} ({type(value).__name__}) is not a value for this key"
    try:
        adapter = pydantic.TypeAdapter(hint, config=pydantic.ConfigDict(arbitrary_types_allowed=True))
        adapter.validate_json(text, strict=True)
    except pydantic.ValidationError:
        return f"expected {_type_name(hint)}, got {value!r}"
    return ""


def _type_name(hint: Any) -> str:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        options = [_type_name(each) for each in typing.get_args(hint) if each is not type(None)]
        return " or ".join(dict.fromkeys(options))
    if typing.get_origin(hint) is typing.Literal:
        return "one of " + ", ".join(repr(each) for each in typing.get_args(hint))
    word = "a block of keys" if dataclasses.is_dataclass(hint) else _WORDS.get(typing.get_origin(hint) or hint)
    return word or (str(hint) if typing.get_args(hint) else str(getattr(hint, "__name__", hint)))


def list_enum_values(hint: Any) -> list[str]:
    """Return the values of the enum in a hint such as `IntervalStrategy | str`, which by itself takes any word."""
    options = (hint, *typing.get_args(hint))
    enums = [each for each in options if isinstance(each, type) and issubclass(each, enum.Enum)]
    return [str(member.value) for each in enums for member in each]


def _build_option(options: Mapping[str, type], item: Any, path: KeyPath, report: Report) -> Any:
    """Build one entry of a list of named options: `horizontal_flip` or `{rotation: {degrees: 10}}`."""
    name: Any = item
    values: Any = {}
    if isinstance(item, Mapping) and len(item) == 1:
        name, values = next(iter(item.items()))
    if not isinstance(name, str) or name not in options:
        report.add(path, f"{name!r} is not known here", suggest(name, options))
        return None
    return build_dataclass(options[name], {} if values is None else values, (*path, name), report)


def _reading_order(problem: Problem) -> tuple[int, int]:
    line = problem.place.rpartition(":")[2]
    return (0, int(line)) if line.isdigit() else (1, 0)


def _list(accepted: Accepted) -> str:
    return ", ".join(sorted(accepted.hints)[:12]) + (", …" if len(accepted.hints) > 12 else "")


def _has_no_default(each: dataclasses.Field) -> bool:
    return each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
