"""Which rows of a streamed data set are read before it trains."""

from collections.abc import Iterator
from typing import Any

import datasets
import PIL.Image
import pytest

from hf_tune.data.stream_heads import HEAD_ROWS, leave_encoded, read_tables
from hf_tune.input_error import InputError


def stream(count: int, taken: list[int]) -> datasets.IterableDataset:
    """Return a stream that notes each row that is read."""

    def generate() -> Iterator[dict[str, int]]:
        for number in range(count):
            taken.append(number)
            yield {"number": number}

    return datasets.IterableDataset.from_generator(generate)


@pytest.mark.parametrize(
    ("plan", "read"),
    [
        ({"validation": "test[:20]"}, 20),
        ({"validation": "test[:20]", "test": "test[20:50]"}, 50),
        ({"validation": "test[:5]", "test": "test[10%:]"}, 60),
        ({"validation": "test"}, 60),
    ],
)
def test_of_train_the_head_is_read_and_of_others_what_their_expressions_ask_for(plan: dict, read: int) -> None:
    taken: dict[str, list[int]] = {"train": [], "test": [], "extra": []}
    raw = {name: stream(300 if name == "train" else 60, each) for name, each in taken.items()}
    tables = read_tables(raw, {"train": "train", **plan})
    assert tables["train"]["number"][:] == list(range(HEAD_ROWS)) and len(taken["train"]) <= HEAD_ROWS + 1
    assert tables["test"]["number"][:] == list(range(read)) and len(taken["test"]) <= read + 1
    assert "extra" not in tables and not taken["extra"]


@pytest.mark.parametrize(
    ("plan", "problem"),
    [
        ({"validation": 0.1}, r"no validation split can be cut; name another split under `data.splits.validation`"),
        ({"validation": "train[:10]"}, r"no validation split \(train\[:10\]\) can be cut"),
        ({"validation": "valid"}, r"no such split: .*; the data has: train, test"),
        ({"train": "train[:50%]", "validation": "test"}, r"train takes one whole split, and 'train\[:50%\]' is none"),
    ],
)
def test_what_a_stream_cannot_give_is_refused_unread(plan: dict[str, Any], problem: str) -> None:
    taken: list[int] = []
    with pytest.raises(InputError, match=problem):
        read_tables({name: stream(30, taken) for name in ("train", "test")}, {"train": "train", **plan})
    assert len(taken) <= 31


def test_a_split_that_cannot_be_read_is_named() -> None:
    def generate() -> Iterator[dict[str, int]]:
        yield {"number": 1}
        raise OSError("no route to host")

    raw = {"train": stream(3, []), "test": datasets.IterableDataset.from_generator(generate)}
    with pytest.raises(InputError, match="split 'test' cannot be read: no route to host"):
        read_tables(raw, {"train": "train", "validation": "test"})


def test_tables_are_left_as_they_are() -> None:
    table = datasets.Dataset.from_dict({"number": [1, 2]})
    assert read_tables({"train": table}, {"train": "train[:1]", "validation": 0.5})["train"] is table


def test_pictures_of_a_stream_stay_encoded() -> None:
    picture = PIL.Image.new("RGB", (4, 4), (200, 0, 0))
    table = datasets.Dataset.from_dict({"image": [picture]}, features=datasets.Features({"image": datasets.Image()}))
    row = next(iter(leave_encoded(table.to_iterable_dataset())))
    assert row["image"]["bytes"].startswith(b"\x89PNG")
