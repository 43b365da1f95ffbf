"""How many processes read rows where the recipe does not say."""

import os

import numpy as np
import pytest

from hf_tune.training.loader_workers import MOST_WORKERS, choose_workers


class Decoded:
    """Rows that are decoded each time."""

    def __len__(self) -> int:
        return 10


class Ready(Decoded):
    """Rows that lie ready."""

    def __getitems__(self, indices: list[int]) -> dict:
        return {}


class Texts(Decoded):
    """Rows of tokens."""

    lengths = np.ones(10)


@pytest.mark.parametrize(
    ("cores", "processes", "workers"),
    [(1, 1, 0), (2, 1, 0), (4, 1, 3), (8, 2, 3), (8, 4, 0), (64, 1, MOST_WORKERS), (64, 8, 7)],
)
def test_decoding_gets_the_cores_that_are_left(
    cores: int, processes: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    assert choose_workers(Decoded(), {"LOCAL_WORLD_SIZE": str(processes)}) == workers


@pytest.mark.parametrize("rows", [Ready(), Texts(), object()], ids=["ready", "texts", "stream"])
def test_rows_that_need_no_decoding_are_read_by_the_process_that_trains(
    rows: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    assert choose_workers(rows, {}) == 0
