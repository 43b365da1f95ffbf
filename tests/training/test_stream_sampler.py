"""Which positions of a stream a process takes, and that workers, processes and a resumed loader take the same ones."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from accelerate import skip_first_batches

from hf_tune.data.splits import Split
from hf_tune.data.stream_labels import LabelReader
from hf_tune.data.streamed import EncodedStream, StreamedSplit
from hf_tune.training.batch_sampler import Share, TrainingSampler, build_loader
from hf_tune.training.stream_sampler import StreamSampler, build_training_sampler


READ: list[int] = []


def encode(example: Any, processor: Any) -> dict[str, torch.Tensor]:
    READ.append(example["number"])
    return {"number": torch.tensor(example["number"])}


TASK: Any = SimpleNamespace(check_example=lambda example, processor: None, encode=encode)


def stream(num_rows: int = 30, files: int = 4) -> EncodedStream:
    table = datasets.Dataset.from_dict({"number": range(num_rows)})
    split = StreamedSplit(
        head=Split(name="train", rows=table.select(range(2))),
        stream=table.to_iterable_dataset(num_shards=files),
        columns={"number": "number"},
        labels=LabelReader(problem_type="regression", feature=None, label_names=(), known_from="validation"),
        known_labels={},
        shuffle_buffer=10,
    )
    return EncodedStream(split, TASK, None, 5)


def collate(examples: Sequence[Any]) -> dict[str, torch.Tensor]:
    return {name: torch.stack([example[name] for example in examples]) for name in examples[0]}


def loader(share: Share, steps: int = 6, workers: int = 0, method: str | None = None) -> Any:
    arguments = SimpleNamespace(
        dataloader_num_workers=workers,
        dataloader_pin_memory=False,
        dataloader_persistent_workers=False,
        dataloader_prefetch_factor=None,
        dataloader_multiprocessing_context=method,
    )
    return build_loader(stream(), StreamSampler(share, steps), collate, arguments)


def numbers(batches: Any) -> list[list[int]]:
    return [batch["number"].tolist() for batch in batches]


def test_every_micro_batch_of_a_run_is_full_and_every_row_comes_once_a_pass() -> None:
    share = Share(batch_size=4, accumulation=2)
    batches = list(loader(share))
    assert len(batches) == len(loader(share)) == 12 and {len(batch["row"]) for batch in batches} == {4}
    assert torch.cat([batch["row"] for batch in batches]).tolist() == list(range(48))
    assert {int(epoch) for batch in batches for epoch in batch["epoch"]} == {0}
    order = np.concatenate(numbers(batches)).tolist()
    assert sorted(order[:30]) == list(range(30)) and len(set(order[30:])) == 18 and order[:18] != order[30:]


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_gives_the_same_batches(workers: int) -> None:
    """An `IterableDataset` leaves out rows in a worker by itself, and a forked one shares its parent's open files."""
    share = Share(batch_size=4)
    alone = numbers(loader(share, 20))
    with_workers = loader(share, 20, workers)
    assert len(with_workers.dataset[0]) == 3  # the parent has a file open
    assert numbers(with_workers) == alone


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_processes_see_the_rows_of_one_process_in_the_same_steps(processes: int, accumulation: int) -> None:
    parts = [
        numbers(loader(Share(batch_size=2, accumulation=accumulation, processes=processes, rank=rank)))
        for rank in range(processes)
    ]
    together = [[row for part in each for row in part] for each in zip(*parts, strict=True)]
    assert together == numbers(loader(Share(batch_size=2 * processes, accumulation=accumulation)))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_loader_gives_what_was_left_and_encodes_nothing_before(workers: int) -> None:
    share = Share(batch_size=4)
    whole = numbers(loader(share, 20))
    READ.clear()
    assert numbers(skip_first_batches(loader(share, 20, workers), 17)) == whole[17:]
    assert len(READ) == (0 if workers else 12)


def test_the_sampler_follows_the_rows() -> None:
    arguments = SimpleNamespace(max_steps=7, train_sampling_strategy="random", seed=1, data_seed=None)
    share = Share(batch_size=2)
    assert isinstance(build_training_sampler(stream(), share, arguments), StreamSampler)
    table = build_training_sampler([1, 2, 3], share, arguments)
    assert isinstance(table, TrainingSampler) and list(table) == list(TrainingSampler(3, 1, share))
