"""A stream of training rows: what stands at a position, whoever reads it, and what is told of a bad row."""

import itertools
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import pytest
import torch

from hf_tune.data.splits import DataSource, SplitPlan, Splits, load_splits
from hf_tune.data.streamed import EncodedStream, PassReader, StreamBroken, StreamedSplit
from hf_tune.input_error import InputError


def check(example: Any, processor: Any) -> None:
    if example["text"] == "bad":
        raise InputError("is bad", "mend it")


def encode(example: Any, processor: Any) -> dict[str, Any]:
    check(example, processor)
    return {"text": example["text"], "labels": torch.tensor(example["label"])}


TASK: Any = SimpleNamespace(
    columns={"text": "words", "label": "its class"},
    optional_columns=(),
    file_columns=(),
    label_role="label",
    problem_types=("single_label_classification", "multi_label_classification", "regression"),
    check_example=check,
    encode=encode,
)


@pytest.fixture(autouse=True)
def no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a pass end at once.

    datasets 5.2 sleeps 5 s wherever it stops reading several parquet files, for the threads of PyArrow.
    """
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Splits]:
    """Return a function that writes train in several files, validation in one, and loads them as a stream."""

    def load(train: list[dict], validation: list[dict], files: int = 1, buffer: int = 10, **plan: Any) -> Splits:
        for number, part in enumerate(np.array_split(np.arange(len(train)), files)):
            rows = datasets.Dataset.from_list([train[row] for row in part])
            rows.to_parquet(tmp_path / f"train-{number}.parquet")
        datasets.Dataset.from_list(validation).to_parquet(tmp_path / "validation.parquet")
        named = {name: str(tmp_path / f"{name}*.parquet") for name in ("train", "validation")}
        source = {"path": "parquet", "data_files": named, "streaming": True}
        return load_splits(DataSource(load=source, shuffle_buffer=buffer, splits=SplitPlan(**plan)), TASK)

    return load


def rows(count: int) -> list[dict[str, Any]]:
    return [{"text": str(number), "label": "ab"[number % 2]} for number in range(count)]


def encoded(splits: Splits, seed: int = 3) -> EncodedStream:
    assert isinstance(splits.train, StreamedSplit)
    return EncodedStream(splits.train, TASK, None, seed)


def texts(stream: EncodedStream, start: int, end: int) -> list[str]:
    return [stream[position]["text"] for position in range(start, end)]


@pytest.mark.parametrize("files", [1, 3])
def test_every_pass_is_another_order_of_all_rows(files: int, write: Callable[..., Splits]) -> None:
    splits = write(rows(30), rows(4), files)
    stream = encoded(splits)
    passes = [texts(stream, start, start + 30) for start in (0, 30, 60)]
    for each in passes:
        assert sorted(each, key=int) == [str(number) for number in range(30)]
    assert len({tuple(each) for each in passes}) == 3
    again = texts(encoded(splits), 0, 90)
    assert again == list(itertools.chain(*passes)) and texts(encoded(splits, 4), 0, 30) != passes[0]


def test_what_stands_at_a_position_does_not_depend_on_what_was_read_before(write: Callable[..., Splits]) -> None:
    splits = write(rows(30), rows(4), 3)
    order = texts(encoded(splits), 0, 100)
    for position in (77, 3, 95, 95, 30, 29):
        stream = encoded(splits)
        assert stream[position]["text"] == order[position]
    assert [stream[position]["text"] for position in (77, 3, 95, 95, 30, 29)] == [
        order[position] for position in (77, 3, 95, 95, 30, 29)
    ]
    copy = pickle.loads(pickle.dumps(stream))  # as a spawned worker gets it
    assert copy.reader.num_rows == 30 and copy[64]["text"] == order[64]


def test_an_example_carries_its_position_and_its_label(write: Callable[..., Splits]) -> None:
    stream = encoded(write(rows(30), rows(4)))
    for position in (0, 31):
        example = stream[position]
        assert (int(example["row"]), int(example["epoch"])) == (position, 0)
        assert int(example["labels"]) == int(example["text"]) % 2


def test_only_the_rows_that_are_asked_for_are_encoded(write: Callable[..., Splits]) -> None:
    train = rows(150)
    train[120]["text"] = "bad"
    stream = encoded(write(train, rows(4), buffer=1))
    assert len(texts(stream, 0, 120)) == 120 and stream[121]["text"] == "121"
    with pytest.raises(InputError, match=r"^row 120 of split 'train': is bad; mend it"):
        stream[120]


def test_a_row_that_is_no_good_ends_a_run_in_one_sentence_with_its_number_in_the_data(
    write: Callable[..., Splits],
) -> None:
    train = rows(150)
    train[140]["label"] = "pink"
    stream = encoded(write(train, rows(4), files=2, buffer=1000))
    told = "row 140 of split 'train': has label 'pink', which validation does not have; labels of validation: a, b;"
    with pytest.raises(StreamBroken, match=f"^{told}"):
        stream.__getitems__(list(range(150)))
    try:  # what torch makes of the error of a worker
        stream.__getitems__(list(range(150)))
    except StreamBroken:
        handed_on = torch._utils.ExceptionWrapper(where="in DataLoader worker process 0")
    with pytest.raises(StreamBroken, match=f"^{told}"):
        handed_on.reraise()


def test_a_fault_in_the_first_rows_is_told_before_anything_trains(write: Callable[..., Splits]) -> None:
    train = rows(40)
    train[17]["text"] = "bad"
    with pytest.raises(InputError, match=r"^row 17 of split 'train': is bad"):
        encoded(write(train, rows(4)))
    train[17] = {"text": "17", "label": "pink"}
    with pytest.raises(InputError, match=r"^row 17 of split 'train' has label 'pink', which validation does not have"):
        write(train, rows(4))


def test_the_labels_of_validation_stand_for_those_of_train(write: Callable[..., Splits]) -> None:
    splits = write(rows(40), rows(5))
    assert splits.train.get_labels()["labels"].tolist() == [0, 1, 0, 1, 0]
    assert splits.label_names == ("a", "b") and "labels of validation" in " ".join(splits.notes)


@pytest.mark.parametrize(
    ("labels", "problem_type", "expected"),
    [([0.5, 2.0], "regression", [0.5, 2.0]), ([["b"], ["a", "b"]], "multi_label_classification", [[0, 1], [1, 1]])],
)
def test_other_kinds_of_labels_are_those_of_a_table(
    labels: list, problem_type: str, expected: list, write: Callable[..., Splits]
) -> None:
    table = [{"text": str(number), "label": labels[number % 2]} for number in range(20)]
    splits = write(table, table[:4])
    assert splits.problem_type == problem_type
    found = encoded(splits)[5]
    assert found["labels"].tolist() == expected[int(found["text"]) % 2] and found["labels"].dtype == torch.float32


def test_a_pass_that_is_shorter_than_the_first_and_one_without_rows_are_told() -> None:
    def open_pass(number: int) -> Iterator[dict[str, int]]:
        return ({"row": row} for row in range(5 - number))

    reader = PassReader(open_pass)
    assert [reader.read(position)["row"] for position in range(9)] == [0, 1, 2, 3, 4, 0, 1, 2, 3]
    with pytest.raises(InputError, match="pass 1 of the stream ended after 4 rows, the first had 5"):
        reader.read(9)
    with pytest.raises(InputError, match="the stream has no row"):
        PassReader(lambda number: iter(())).read(0)


def test_a_stream_that_breaks_off_is_told(write: Callable[..., Splits], tmp_path: Path) -> None:
    stream = encoded(write(rows(30), rows(4), 3, buffer=1))
    for path in tmp_path.glob("train-*.parquet"):
        path.unlink()
    with pytest.raises(StreamBroken, match=r"split 'train' breaks off: .*; mend its file, or the connection; "):
        stream.__getitems__([0, 1])


def test_a_class_that_is_not_among_the_first_rows_is_no_rare_one(write: Callable[..., Splits]) -> None:
    late = [{"text": str(number), "label": "a"} for number in range(120)] + rows(10)
    splits = write(late, rows(4))
    assert splits.label_names == ("a", "b") and splits.findings == ()
