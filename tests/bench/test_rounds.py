"""Rounds: order, slow processes, ratios, and that every figure has its contestants."""

import math
from typing import Any

import pytest

from tests.bench.measures import list_contestants, list_figures
from tests.bench.rounds import Contestant, Figure, Result, compare, find_failed, find_slow, leave_out, order_round


RATIO = Figure(measure="P1", title="rate", quantity="rows_per_second", above="ours", below=("theirs",), at_least=0.9)


def rounds(*rates: float | None) -> list[dict[str, Any] | None]:
    return [None if rate is None else {"rows_per_second": rate, "seconds": 100 / rate} for rate in rates]


def test_each_round_starts_the_contestants_of_a_file_with_another_one() -> None:
    files = {"a": "one.x", "b": "one.y", "c": "one.z", "d": "two.x", "e": "two.y"}
    contestants = [Contestant(name=name, run=run) for name, run in files.items()]
    assert ["".join(order_round(contestants, number)) for number in range(4)] == ["abcde", "bcaed", "cabde", "abced"]
    assert order_round([], 3) == []


def test_a_process_that_took_more_than_two_and_a_half_times_its_median_is_slow() -> None:
    outcomes = {"ours": rounds(10, 10, 10, 2), "theirs": rounds(10, 10, 4.1, 10)}
    slow = find_slow(outcomes)
    assert slow == [("ours", 3, pytest.approx(5.0))]
    assert leave_out(outcomes, slow)["ours"] == [*outcomes["ours"][:3], None]
    assert leave_out(outcomes, slow)["theirs"] == outcomes["theirs"]


def test_two_rounds_do_not_tell_which_one_is_slow() -> None:
    assert find_slow({"ours": rounds(10, 1), "theirs": rounds(10, None, 1)}) == []


def test_a_ratio_is_taken_within_each_round() -> None:
    result = compare(RATIO, {"ours": rounds(1, 20, 300), "theirs": rounds(2, 10, 300)})
    assert result.values == (0.5, 2.0, 1.0)
    assert result.median == 1.0 and result.is_met is True


def test_a_round_in_which_one_contestant_is_missing_does_not_count() -> None:
    result = compare(RATIO, {"ours": rounds(1, None, 3), "theirs": rounds(2, 10, 5)})
    assert result.values == (0.5, 0.6) and result.is_met is False


def test_a_process_that_failed_once_does_not_spoil_the_other_rounds() -> None:
    outcomes = {"ours": [{"not_measured": "the process failed"}, *rounds(2)], "theirs": rounds(4, 4)}
    assert compare(RATIO, outcomes).values == (0.5,)


def test_of_several_opponents_the_best_one_counts() -> None:
    figure = Figure(measure="P2", title="rate", quantity="rows_per_second", above="ours", below=("slow", "quick"))
    result = compare(figure, {"ours": rounds(10), "slow": rounds(2), "quick": rounds(5)})
    assert (result.values, result.opponent, result.is_met) == ((2.0,), "quick", None)
    memory = Figure(measure="P6", title="peak", quantity="peak_mib", above="ours", below=("large", "little"))
    peaks = {"ours": [{"peak_mib": 10}], "large": [{"peak_mib": 20}], "little": [{"peak_mib": 5}]}
    assert compare(memory, peaks).opponent == "little"


@pytest.mark.parametrize(("kind", "expected"), [("difference", -1.5), ("distance", 1.5), ("value", 0.5)])
def test_a_figure_may_be_a_difference_a_distance_or_a_value(kind: str, expected: float) -> None:
    figure = Figure(measure="P9", title="ms", quantity="ms", above="ours", below=("theirs",), kind=kind)
    assert compare(figure, {"ours": [{"ms": 0.5}], "theirs": [{"ms": 2.0}]}).values == (expected,)


def test_what_could_not_be_measured_gives_the_reason_and_no_number() -> None:
    outcomes = {"ours": [{"not_measured": "the recipe is refused"}], "theirs": rounds(1)}
    result = compare(RATIO, outcomes)
    assert result.problem == "not measured: ours: the recipe is refused"
    assert math.isnan(result.median) and result.is_met is None
    assert find_failed(outcomes) == [("ours", 0, "the recipe is refused")]
    assert "no round" in str(compare(RATIO, {"ours": rounds(1), "theirs": []}).problem)


def test_a_target_may_be_an_upper_bound() -> None:
    figure = Figure(measure="P5", title="seconds", quantity="seconds", above="ours", kind="value", at_most=0.3)
    assert Result(figure=figure, values=(0.2, 0.3, 0.9)).is_met is True
    assert Result(figure=figure, values=(0.2, 0.4, 0.9)).is_met is False


def test_every_figure_names_contestants_that_are_there_and_all_measures_are_covered() -> None:
    contestants, figures = list_contestants(), list_figures()
    assert {name for figure in figures for name in figure.contestants} == set(contestants)
    assert {figure.measure for figure in figures} == {"P2b", *(f"P{number}" for number in range(1, 12))}
    assert all(isinstance(each, Contestant) and each.run.count(".") == 1 for each in contestants.values())
