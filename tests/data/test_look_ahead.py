"""Results of threads: in order, a few ahead and no more, an error in its turn."""

import threading

import pytest

from hf_tune.data.look_ahead import map_ahead


def test_results_come_in_order_and_from_several_threads() -> None:
    both = threading.Barrier(2)

    def call(number: int) -> int:
        both.wait(timeout=20)  # passes only where two calls are under way at once
        return number * number

    assert list(map_ahead(call, 10, ahead=4, threads=2)) == [number * number for number in range(10)]
    assert list(map_ahead(call, 0, ahead=4, threads=2)) == []


def test_no_more_is_called_than_was_asked_for() -> None:
    called: list[int] = []
    results = map_ahead(lambda number: called.append(number) or number, 100, ahead=5, threads=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    results.close()
    assert set(range(3)) <= set(called) <= set(range(8))


def test_an_error_is_raised_in_its_turn_and_ends_the_calls() -> None:
    called: list[int] = []

    def call(number: int) -> int:
        called.append(number)
        if number >= 3:
            raise ValueError(f"number {number}")
        return number

    results = map_ahead(call, 100, ahead=8, threads=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="number 3"):
        next(results)
    assert max(called) < 3 + 8
