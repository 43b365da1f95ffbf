"""Encoded splits."""

import datasets
import numpy as np
import pytest
import torch

from hf_tune.data import encoded
from hf_tune.data.encoded import EncodedSplit
from hf_tune.data.splits import Split
from hf_tune.input_error import InputError
from hf_tune.task import Example


def split(values: list[int]) -> Split:
    return Split(
        name="train",
        rows=datasets.Dataset.from_dict({"value": values}),
        label_role="label",
        labels=np.arange(len(values)),
    )


def encode(example: Example) -> Example:
    if example["value"] < 0:
        raise InputError("a negative value", "mend it")
    return {"value": torch.tensor(example["value"]), "labels": torch.tensor(example["label"])}


def test_an_index_carries_row_and_epoch() -> None:
    rows = EncodedSplit(split([5, 6, 7]), encode, encode)
    example = rows[2 * 3 + 1]
    assert {name: int(value) for name, value in example.items()} == {"value": 6, "labels": 1, "row": 1, "epoch": 2}


@pytest.mark.parametrize("cache_bytes", [0, 1000])
def test_a_bad_row_is_found_before_training_and_named(cache_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoded, "CACHE_BYTES", cache_bytes)
    with pytest.raises(InputError, match="row 1 of split 'train': a negative value"):
        EncodedSplit(split([5, -6, 7]), encode, encode)


def test_a_row_that_was_cut_off_is_named_as_the_data_has_it() -> None:
    """A corrupt row 2 of train was "row 1 of split 'train'" after another row had gone to validation."""
    with pytest.raises(InputError, match="row 2 of split 'train': a negative value"):
        EncodedSplit(split([5, 6, -7, 8]).select([1, 2]), encode, encode)


def test_without_room_rows_are_encoded_when_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = EncodedSplit(split([5, 6]), encode, encode)
    monkeypatch.setattr(encoded, "CACHE_BYTES", 0)
    fresh = EncodedSplit(split([5, 6]), encode, encode)
    assert kept.cache is not None and fresh.cache is None
    assert all(torch.equal(kept[1][name], fresh[1][name]) for name in kept[1])
