"""Plain values against dataclasses and calls."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from hf_tune.input_error import InputError
from hf_tune.recipe.build import (
    Accepted,
    Report,
    accepted_by_call,
    accepted_by_dataclass,
    build_dataclass,
    check_block,
    suggest,
)
from hf_tune.recipe.error import RecipeError
from hf_tune.recipe.source import Source


class Pace(str, enum.Enum):
    SLOW = "slow"
    FAST = "fast"


@dataclass(frozen=True, kw_only=True)
class Turn:
    degrees: float = 15.0

    def __post_init__(self) -> None:
        if self.degrees > 180:
            raise InputError("too far", "at most 180", at=("degrees",))


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: int


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    count: int = 1
    rate: float | None = None
    mode: Literal["a", "b"] = "a"
    pace: Pace | str = "slow"
    pair: tuple[int, int] = (0, 0)
    inner: Inner | None = None
    turns: list[str | dict[str, Any]] = field(default_factory=list, metadata={"options": {"turn": Turn}})
    derived: int = field(default=0, init=False)


@pytest.fixture
def report() -> Report:
    return Report(Source("a.yaml", {("name",): 4, ("count",): 2, ("inner",): 3}))


def test_right_values_build_the_dataclass_with_its_nested_ones(report: Report) -> None:
    values = {
        "name": "x",
        "rate": 1,
        "pair": [3, 4],
        "inner": {"size": 2},
        "turns": ["turn", {"turn": {"degrees": 5}}],
    }
    built = build_dataclass(Outer, values, (), report)
    report.check()
    assert built.inner == Inner(size=2) and built.rate == 1 and list(built.pair) == [3, 4]
    assert built.turns == [Turn(degrees=15.0), Turn(degrees=5)]


@pytest.mark.parametrize(
    ("values", "key", "words"),
    [
        ({"name": 3}, "name", "expected a word, got 3"),
        ({"name": "x", "count": "3"}, "count", "expected a whole number, got '3'"),
        ({"name": "x", "count": True}, "count", "expected a whole number, got True"),
        ({"name": "x", "count": None}, "count", "expected a whole number, got None"),
        ({"name": "x", "rate": "high"}, "rate", "expected a number, got 'high'"),
        ({"name": "x", "mode": "c"}, "mode", "expected one of 'a', 'b', got 'c'"),
        ({"name": "x", "pace": "slwo"}, "pace", "'slwo' is not one of its values; did you mean `slow`?"),
        ({"name": "x", "pair": [1, 2, 3]}, "pair", "got [1, 2, 3]"),
        ({"name": "x", "cuont": 3}, "cuont", "unknown key of Outer; did you mean `count`?"),
        ({"name": "x", "derived": 3}, "derived", "unknown key of Outer"),
        ({"name": "x", "inner": {}}, "inner", "`size` is missing; Inner cannot do without it"),
        ({"name": "x", "inner": {"size": "big"}}, "inner.size", "expected a whole number, got 'big'"),
        ({"name": "x", "turns": ["spin"]}, "turns.0", "'spin' is not known here; known: turn"),
        ({"name": "x", "turns": [{"turn": {"degrees": 200}}]}, "turns.0.turn.degrees", "too far; at most 180"),
        ({"name": "x", "turns": [{"turn": {}, "spin": {}}]}, "turns.0", "is not known here"),
        ({"name": "x", "turns": [{"turn": 30}]}, "turns.0.turn", "expected a block of keys, got 30"),
        ({}, "", "`name` is missing; Outer cannot do without it"),
        ([1], "", "expected a block of keys, got [1]"),
    ],
)
def test_a_wrong_value_is_noted_and_nothing_is_built(values: Any, key: str, words: str, report: Report) -> None:
    assert build_dataclass(Outer, values, (), report) is None
    assert [problem.key for problem in report.problems] == [key]
    assert words in str(report.problems[0])


def test_a_zero_in_place_of_options_is_noted(report: Report) -> None:
    assert build_dataclass(Outer, {"name": "x", "turns": [{"turn": 0}]}, (), report) is None


def test_all_problems_are_raised_at_once_in_the_order_of_the_lines(report: Report) -> None:
    build_dataclass(Outer, {"name": 3, "count": "x", "inner": 4}, (), report)
    report.problems.append(report.problems[0])
    with pytest.raises(RecipeError) as caught:
        report.check()
    assert [problem.place for problem in caught.value.problems] == ["a.yaml:2", "a.yaml:3", "a.yaml:4"]


def test_problems_of_the_command_line_come_last_in_the_order_in_which_they_were_found() -> None:
    names = [f"key{number}" for number in range(20)]
    report = Report(Source("a.yaml", {("b",): 900}, {(name,): f"{name}=1" for name in names}))
    for name in (*names, "b"):
        report.add((name,), "wrong")
    with pytest.raises(RecipeError) as caught:
        report.check()
    assert caught.value.problems[0].key == "b"
    assert [problem.key for problem in caught.value.problems[1:]] == names


def test_a_report_without_problems_raises_nothing(report: Report) -> None:
    report.check()
    report.add(("name",), "wrong")
    with pytest.raises(RecipeError, match=r"^a\.yaml:4: name: wrong$"):
        report.check()


def test_a_call_accepts_its_named_parameters_and_needs_those_without_default() -> None:
    def call(first: int, second: str = "x", *rest: int, third, **others: Any) -> None:  # noqa: ANN001
        """Take arguments of every kind."""

    accepted = accepted_by_call(call)
    assert accepted.owner == "call()" and accepted.required == {"first", "third"}
    assert accepted.hints == {"first": int, "second": str, "third": Any}


def test_a_dataclass_accepts_what_its_init_takes() -> None:
    accepted = accepted_by_dataclass(Outer)
    assert accepted.required == {"name"}
    assert "derived" not in accepted.hints and accepted.hints["count"] is int


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"rate": 0.5, "kind": ["x", "y"]}, []),
        ({"rate": None}, []),
        ({"rate": 2}, ["b.rate: 2 is out of range; it must be at least 0 and at most 1"]),
        ({"steps": -1}, ["b.steps: -1 is out of range; it must be at least 0"]),
        ({"kind": ["x", "yy"]}, ["b.kind: 'yy' is not one of its values; known: x, y"]),
        ({"old": 1}, ["b.old: not accepted by f(); it is called `new` now"]),
    ],
)
def test_choices_ranges_and_old_names_are_checked(values: Mapping[str, Any], told: list[str]) -> None:
    accepted = Accepted(
        owner="f()",
        hints={"rate": float | None, "steps": int, "kind": Any},
        choices={"kind": ("x", "y")},
        ranges={"rate": (0, 1), "steps": (0, float("inf"))},
        refused={"old": "it is called `new` now"},
    )
    report = Report(Source("a.yaml", {("b",): 1}))
    right = check_block(accepted, values, ("b",), report)
    assert [str(problem).removeprefix("a.yaml:1: ") for problem in report.problems] == told
    assert right == ({} if told else values)


def test_a_close_name_is_suggested_and_else_all_are_listed() -> None:
    assert suggest("lora2", ["probe", "lora"]) == "did you mean `lora`?"
    assert suggest("zzz", ["probe", "lora"]) == "known: lora, probe"
