"""Which rows a process takes in which batch."""

import itertools

import numpy as np
import pytest

from hf_tune.training.batch_sampler import (
    CHUNK_STEPS,
    EvaluationSampler,
    Share,
    TrainingSampler,
    as_filler,
)


def order(rows: int, seed: int, epoch: int = 0, lengths: np.ndarray | None = None, size: int = 8) -> list[int]:
    """Return the rows of an epoch in the order of one process."""
    sampler = TrainingSampler(rows, seed, Share(batch_size=size), lengths)
    sampler.set_epoch(epoch)
    return list(itertools.chain(*sampler))


def test_every_epoch_is_another_permutation_and_carries_its_number() -> None:
    first, second = order(10, 3), order(10, 3, epoch=1)
    assert sorted(first) == list(range(10)) and sorted(second) == list(range(10, 20))
    assert [index - 10 for index in second] != first
    assert order(10, 3, epoch=1) == second and order(10, 4) != first


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 2, 7, 8, 9, 37])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_processes_share_each_step_and_take_every_row_once(processes: int, rows: int, accumulation: int) -> None:
    """TRAPS A4b: accelerate 1.15 repeats rows in the last batch."""
    epoch = 2
    samplers = [
        TrainingSampler(rows, 5, Share(batch_size=4, accumulation=accumulation, processes=processes, rank=rank))
        for rank in range(processes)
    ]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    taken = [list(sampler) for sampler in samplers]
    assert {len(batches) for batches in taken} == {len(samplers[0])}
    together = [[index for part in parts for index in part if index >= 0] for parts in zip(*taken, strict=True)]
    alone = TrainingSampler(rows, 5, Share(batch_size=4 * processes, accumulation=accumulation))
    alone.set_epoch(epoch)
    assert together == list(alone)  # the same rows in the same steps as one process
    sizes = [[sum(index >= 0 for index in part) for part in parts] for parts in zip(*taken, strict=True)]
    assert all(max(each) - min(each) <= 1 for each in sizes)
    fillers = [index for batches in taken for batch in batches for index in batch if index < 0]
    assert all(divmod(index, rows)[0] == -1 - epoch for index in fillers)


def test_a_filler_is_the_same_row_in_a_negative_epoch() -> None:
    assert [divmod(as_filler(index, 10), 10) for index in (3, 17, 20)] == [(-1, 3), (-2, 7), (-3, 0)]


def draw_lengths(rows: int) -> np.ndarray:
    return np.random.default_rng(rows).integers(3, 200, rows)


@pytest.mark.parametrize("rows", [1, 7, 8, 64, 1003])
def test_rows_grouped_by_length_are_still_a_permutation_that_changes(rows: int) -> None:
    lengths = draw_lengths(rows)
    first, second = order(rows, 3, 0, lengths), order(rows, 3, 2, lengths)
    assert sorted(first) == list(range(rows)) and sorted(second) == list(range(2 * rows, 3 * rows))
    assert first == order(rows, 3, 0, lengths)
    if rows > 8:
        assert [index - 2 * rows for index in second] != first
        assert order(rows, 4, 0, lengths) != first


def test_each_step_holds_rows_of_about_one_length() -> None:
    """Within one chunk no step reaches into the lengths of another."""
    lengths = draw_lengths(203)
    rows = order(203, 0, 0, lengths)
    batches = [sorted(lengths[rows[start : start + 8]]) for start in range(0, 203, 8)]
    assert [len(batch) for batch in batches] == [8] * 25 + [3]  # the one that is not full comes last
    ordered = sorted(batches)
    assert all(one[-1] <= other[0] for one, other in itertools.pairwise(ordered))
    assert ordered != batches  # and they come in shuffled order


@pytest.mark.parametrize(("size", "parts", "processes"), [(8, 1, 1), (4, 2, 1), (2, 2, 2), (2, 1, 4)])
def test_the_order_depends_on_the_total_batch_alone(size: int, parts: int, processes: int) -> None:
    lengths = draw_lengths(103)
    share = Share(batch_size=size, accumulation=parts, processes=processes)
    assert TrainingSampler(103, 0, share, lengths).order_rows().tolist() == order(103, 0, 0, lengths, size=8)


def test_grouping_saves_most_of_the_padding_and_batches_differ_every_epoch() -> None:
    rows, size = 40 * CHUNK_STEPS, 8
    lengths = draw_lengths(rows)

    def read(epoch: int, known: np.ndarray | None) -> np.ndarray:
        return np.asarray(order(rows, 0, epoch, known, size)).reshape(-1, size) % rows

    def padding(batches: np.ndarray) -> float:
        return 1 - lengths.sum() / (lengths[batches].max(1) * size).sum()

    first = read(0, lengths)
    assert padding(first) < 0.05 and padding(read(0, None)) > 0.3
    together = {frozenset(batch) for batch in first.tolist()} & {
        frozenset(batch) for batch in read(1, lengths).tolist()
    }
    assert len(together) < 3  # of 250


def test_rows_of_one_length_stay_in_drawn_order() -> None:
    batches = np.asarray(order(24, 5, 0, np.full(24, 9), 4)).reshape(-1, 4).tolist()
    drawn = np.asarray(order(24, 5)).reshape(-1, 4).tolist()
    assert sorted(batches) == sorted(drawn)


def test_an_evaluation_reads_the_longest_rows_first_and_equal_ones_in_order() -> None:
    sampler = EvaluationSampler(5, Share(batch_size=2), np.asarray([3, 9, 3, 12, 9], dtype=np.int32))
    assert list(sampler) == [[3, 1], [4, 0], [2]] and len(sampler) == 3
    assert list(sampler) == [[3, 1], [4, 0], [2]]


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 7, 8, 9, 37])
def test_processes_evaluate_every_row_once_in_as_many_batches_each(processes: int, rows: int) -> None:
    samplers = [EvaluationSampler(rows, Share(batch_size=4, processes=processes, rank=r)) for r in range(processes)]
    assert len({len(sampler) for sampler in samplers}) == 1
    indices = [index for sampler in samplers for batch in sampler for index in batch]
    assert sorted(index for index in indices if index >= 0) == list(range(rows))
    assert sum(index < 0 for index in indices) < processes
