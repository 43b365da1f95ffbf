"""The order of the rows."""

import itertools

import numpy as np
import pytest

from hf_tune.training.epoch_sampler import CHUNK_BATCHES, EpochSampler, LengthSampler


def test_every_epoch_is_another_permutation_and_carries_its_number() -> None:
    sampler = EpochSampler(10, seed=3)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(first) == list(range(10)) and sorted(second) == list(range(10, 20))
    assert [index - 10 for index in second] != first
    again = EpochSampler(10, seed=3)
    again.set_epoch(1)
    assert list(again) == second and list(EpochSampler(10, seed=4)) != first


def draw_lengths(rows: int) -> np.ndarray:
    return np.random.default_rng(rows).integers(3, 200, rows)


@pytest.mark.parametrize("rows", [1, 7, 8, 64, 1003])
def test_rows_grouped_by_length_are_still_a_permutation_that_changes(rows: int) -> None:
    sampler = EpochSampler(rows, 3, draw_lengths(rows), batch_size=8)
    first = list(sampler)
    sampler.set_epoch(2)
    second = list(sampler)
    assert len(sampler) == rows
    assert sorted(first) == list(range(rows)) and sorted(second) == list(range(2 * rows, 3 * rows))
    assert first == list(EpochSampler(rows, 3, draw_lengths(rows), batch_size=8))
    if rows > 8:
        assert [index - 2 * rows for index in second] != first
        assert list(EpochSampler(rows, 4, draw_lengths(rows), batch_size=8)) != first


def test_each_batch_holds_rows_of_about_one_length() -> None:
    """Within one chunk no batch reaches into the lengths of another."""
    lengths = draw_lengths(203)
    order = list(EpochSampler(203, 0, lengths, batch_size=8))
    batches = [sorted(lengths[order[start : start + 8]]) for start in range(0, 203, 8)]
    assert [len(batch) for batch in batches] == [8] * 25 + [3]  # the one that is not full comes last
    ordered = sorted(batches)
    assert all(one[-1] <= other[0] for one, other in itertools.pairwise(ordered))
    assert ordered != batches  # and they come in shuffled order


def test_grouping_saves_most_of_the_padding_and_batches_differ_every_epoch() -> None:
    rows, size = 40 * CHUNK_BATCHES, 8
    lengths = draw_lengths(rows)

    def read(sampler: EpochSampler) -> np.ndarray:
        return np.asarray(list(sampler)).reshape(-1, size) % rows

    def padding(batches: np.ndarray) -> float:
        return 1 - lengths.sum() / (lengths[batches].max(1) * size).sum()

    grouped, plain = EpochSampler(rows, 0, lengths, size), EpochSampler(rows, 0)
    first = read(grouped)
    assert padding(first) < 0.05 and padding(read(plain)) > 0.3
    grouped.set_epoch(1)
    together = {frozenset(batch) for batch in first.tolist()} & {frozenset(batch) for batch in read(grouped).tolist()}
    assert len(together) < 3  # of 250


def test_rows_of_one_length_stay_in_drawn_order() -> None:
    same = EpochSampler(24, 5, np.full(24, 9), batch_size=4)
    batches = np.asarray(list(same)).reshape(-1, 4).tolist()
    drawn = np.asarray(list(EpochSampler(24, 5))).reshape(-1, 4).tolist()
    assert sorted(batches) == sorted(drawn)


def test_an_evaluation_reads_the_longest_rows_first_and_equal_ones_in_order() -> None:
    sampler = LengthSampler(np.asarray([3, 9, 3, 12, 9], dtype=np.int32))
    assert list(sampler) == [3, 1, 4, 0, 2] and len(sampler) == 5
    assert list(sampler) == [3, 1, 4, 0, 2]
