"""Encoded splits: a file of pixels gives what encoding anew gives, and no file is taken for other pictures."""

import dataclasses
import io
import pickle
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import PIL.Image
import pytest
import torch
from torch.utils.data import DataLoader

from hf_tune import array_files
from hf_tune.data.encoded import DecodedSplit, EncodedSplit, describe_decoded, encode_split
from hf_tune.data.splits import Split
from hf_tune.input_error import InputError
from hf_tune.model.image_processor import PictureOptions, PictureProcessor, configure_timm_settings
from hf_tune.task import Example
from hf_tune.tasks.image_classification import TASK


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that the files lie in."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache" / "hf_tune"


@pytest.fixture
def encoded_pictures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the pictures that are resized from now on."""
    seen: list[Any] = []
    encode = PictureProcessor.encode
    monkeypatch.setattr(PictureProcessor, "encode", lambda self, each: seen.append(each) or encode(self, each))
    return seen


def processor(image_size: int = 32, **options: Any) -> PictureProcessor:
    import timm
    from transformers import TimmWrapperImageProcessor

    settings = timm.get_pretrained_cfg("test_resnet").to_dict()
    settings = configure_timm_settings(settings, PictureOptions(image_size=image_size, **options))
    return PictureProcessor(TimmWrapperImageProcessor(settings, architecture="test_resnet"))


def to_bytes(picture: PIL.Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def split(cells: list[Any], labels: np.ndarray | None = None) -> Split:
    rows = datasets.Dataset.from_dict({"image": cells})
    labels = np.arange(len(cells)) if labels is None else labels
    return Split(name="train", rows=rows, label_role="label", labels=labels)


@pytest.fixture
def cells(pictures: list[PIL.Image.Image]) -> list[Any]:
    return [{"bytes": to_bytes(each), "path": None} for each in [*pictures, *pictures[::-1], pictures[1]]]


def numbers(values: list[int]) -> Split:
    rows = datasets.Dataset.from_dict({"value": values})
    return Split(name="train", rows=rows, label_role="label", labels=np.arange(len(values)))


def encode_number(example: Example, processor: Any = None) -> Example:
    if example["value"] < 0:
        raise InputError("a negative value", "mend it")
    return {"value": torch.tensor(example["value"]), "labels": torch.tensor(example["label"])}


NUMBERS = dataclasses.replace(TASK, encode=encode_number, check_example=encode_number)


@pytest.mark.parametrize("cached", [True, False])
def test_an_index_carries_row_and_epoch(cached: bool) -> None:
    rows = encode_split(numbers([5, 6, 7]), NUMBERS, None, decoded_cache=cached)
    assert isinstance(rows, DecodedSplit if cached else EncodedSplit)
    example = rows[2 * 3 + 1]
    assert {name: int(value) for name, value in example.items()} == {"value": 6, "labels": 1, "row": 1, "epoch": 2}
    filler = rows[-2 * 3 + 1]
    assert (int(filler["value"]), int(filler["epoch"])) == (6, -2)


@pytest.mark.parametrize("cached", [True, False])
def test_a_bad_row_is_found_before_training_and_named(cached: bool) -> None:
    with pytest.raises(InputError, match="row 1 of split 'train': a negative value"):
        encode_split(numbers([5, -6, 7]), NUMBERS, None, decoded_cache=cached)


def test_a_bad_row_is_found_and_named_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_files, "LIMIT_BYTES", 0)
    with pytest.raises(InputError, match="row 1 of split 'train': a negative value"):
        encode_split(numbers([5, -6, 7]), NUMBERS, None)


def test_a_row_that_was_cut_off_is_named_as_the_data_has_it() -> None:
    """A corrupt row 2 of train was "row 1 of split 'train'" after another row had gone to validation."""
    with pytest.raises(InputError, match="row 2 of split 'train': a negative value"):
        encode_split(numbers([5, 6, -7, 8]).select([1, 2]), NUMBERS, None)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_of_the_file_are_those_of_the_collated_examples(workers: int, cells: list[Any]) -> None:
    whole, own = split(cells), processor()
    kept, fresh = encode_split(whole, TASK, own), encode_split(whole, TASK, own, decoded_cache=False)
    assert isinstance(kept, DecodedSplit) and not hasattr(fresh, "__getitems__")
    batches = [[8, 0, 3], [9 + 5, 9 + 5], [-9 + 2]]

    def load(rows: Any) -> list[Any]:
        return list(DataLoader(rows, batch_sampler=batches, collate_fn=collate, num_workers=workers))

    def collate(examples: Any) -> Any:
        return examples if isinstance(examples, dict) else TASK.collate(examples, own)

    for ours, theirs in zip(load(kept), load(fresh), strict=True):
        assert list(ours) == list(theirs) == ["pixel_values", "labels", "row", "epoch"]
        assert all(ours[name].dtype == theirs[name].dtype for name in theirs)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert all(torch.equal(kept[4][name], fresh[4][name]) for name in fresh[4])


@pytest.mark.parametrize(
    "labels", [np.linspace(0, 1, 9, dtype=np.float32), np.eye(9, dtype=np.float32), np.arange(9)[::-1].copy()]
)
def test_labels_are_those_of_the_split_whatever_the_file_was_written_with(labels: Any, cells: list[Any]) -> None:
    encode_split(split(cells), TASK, processor())
    whole = split(cells, labels)
    kept, fresh = (encode_split(whole, TASK, processor(), decoded_cache=cached) for cached in (True, False))
    for row in range(9):
        assert torch.equal(kept[row]["labels"], fresh[row]["labels"])
        assert kept[row]["labels"].dtype == fresh[row]["labels"].dtype


def test_a_second_run_reads_the_file(cells: list[Any], encoded_pictures: list[Any], folder: Path) -> None:
    own = processor()
    encoded_pictures.clear()  # a processor tries itself out
    first = encode_split(split(cells), TASK, own)
    assert len(encoded_pictures) == 10
    second = encode_split(split(cells), TASK, processor())
    assert len(encoded_pictures) == 10 + 1
    assert all(torch.equal(first[row]["pixel_values"], second[row]["pixel_values"]) for row in range(9))
    assert len(list(folder.glob("*.npy"))) == 1


def test_other_pictures_order_size_or_code_go_to_other_files(
    cells: list[Any], pictures: list[PIL.Image.Image], folder: Path
) -> None:
    changed = [*cells[:3], {"bytes": to_bytes(pictures[0].rotate(180)), "path": None}, *cells[4:]]
    other_code = dataclasses.replace(TASK, encode=encode_with_another_code)
    variants: list[tuple[list[Any], Any, PictureProcessor]] = [
        (cells, TASK, processor()),
        (changed, TASK, processor()),
        (cells[::-1], TASK, processor()),
        (cells, TASK, processor(48)),
        (cells, TASK, processor(interpolation="nearest")),
        (cells, other_code, processor()),
    ]
    for number, (content, task, own) in enumerate(variants, start=1):
        rows = encode_split(split(content), task, own)
        assert len(list(folder.glob("*.npy"))) == number
        for row in range(9):
            pixels = task.encode(split(content)[row], own)["pixel_values"]
            assert torch.equal(rows[row]["pixel_values"], pixels)


def encode_with_another_code(example: Example, processor: PictureProcessor) -> Example:
    encoded = TASK.encode(example, processor)
    return {**encoded, "pixel_values": encoded["pixel_values"].flip(2)}


def test_another_file_under_the_same_path_is_decoded_anew(pictures: list[PIL.Image.Image], tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    found = []
    for picture in pictures[:2]:
        picture.resize((30, 30)).save(file, compress_level=0)
        found.append(encode_split(split([str(file), str(file)]), TASK, processor())[1]["pixel_values"])
    assert not torch.equal(found[0], found[1])
    assert torch.equal(found[1], TASK.encode({"image": str(file)}, processor())["pixel_values"])


def test_rows_whose_dependencies_are_unknown_go_with_the_process(cells: list[Any], folder: Path) -> None:
    """A processor without a fingerprint, and a function that is more than its source."""

    def encode(example: Example, processor: Any) -> Example:
        return TASK.encode(example, own)

    own = processor()
    for task, each in ((TASK, Plain(own)), (dataclasses.replace(TASK, encode=encode), own)):
        rows = encode_split(split(cells), task, each)
        assert isinstance(rows, DecodedSplit) and list(folder.glob("*")) == []
        assert torch.equal(rows[8]["pixel_values"], TASK.encode(split(cells)[8], own)["pixel_values"])


class Plain:
    """A processor that does not say what it depends on."""

    def __init__(self, own: PictureProcessor) -> None:
        self.encode, self.intensity = own.encode, own.intensity


def test_labels_that_the_task_makes_itself_are_not_replaced() -> None:
    rows = encode_split(numbers([5, 6]), dataclasses.replace(NUMBERS, encode=encode_squares), None)
    assert isinstance(rows, EncodedSplit) and [int(rows[row]["labels"]) for row in range(2)] == [0, 10]


def encode_squares(example: Example, processor: Any) -> Example:
    return {"value": torch.tensor(example["value"]), "labels": torch.tensor(example["label"] * 10)}


@pytest.mark.parametrize("named", [True, False])
def test_a_process_that_shares_no_memory_finds_the_rows(named: bool, cells: list[Any]) -> None:
    rows = encode_split(split(cells), TASK, processor() if named else Plain(processor()))
    assert isinstance(rows, DecodedSplit) and isinstance(rows.__getstate__()["rows"], Path) == named
    again = pickle.loads(pickle.dumps(rows))
    assert all(torch.equal(again[row]["pixel_values"], rows[row]["pixel_values"]) for row in range(9))


def test_what_would_be_kept_is_told_with_nothing_written(
    cells: list[Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = describe_decoded(split(cells), TASK, processor())
    assert facts is not None and not folder.parent.exists()
    assert (facts.num_bytes, facts.is_there, facts.refusal) == (9 * 3 * 32 * 32, False, None)
    encode_split(split(cells), TASK, processor())
    assert [facts.file] == list(folder.glob("*.npy"))
    monkeypatch.setattr(array_files, "LIMIT_BYTES", 0)
    again = describe_decoded(split(cells), TASK, processor())
    assert again == dataclasses.replace(facts, is_there=True)
    other = describe_decoded(split(cells), TASK, processor(48))
    assert other is not None and not other.is_there and other.refusal is not None
    unnamed = describe_decoded(numbers([5, 6]), NUMBERS, None)
    assert unnamed is not None and (unnamed.file, unnamed.num_bytes) == (None, 16)
    squares = dataclasses.replace(NUMBERS, encode=lambda example, processor: {"text": "a", "labels": torch.tensor(0)})
    assert describe_decoded(numbers([5]), squares, None) is None


def test_a_range_of_grey_values_gives_other_rows_under_another_name() -> None:
    stream = io.BytesIO()
    PIL.Image.fromarray(np.linspace(0, 4095, 1024).astype(np.uint16).reshape(32, 32)).save(stream, "png")
    rows = datasets.Dataset.from_dict({"image": [{"bytes": stream.getvalue(), "path": None}] * 2})
    split = Split(name="train", rows=rows)
    plain = processor(interpolation="nearest", crop_pct=1.0).plain
    brightest = {}
    for intensity in ("dtype", "file", [0, 8190]):
        encoded = encode_split(split, TASK, PictureProcessor(plain, intensity))
        assert isinstance(encoded, DecodedSplit)
        brightest[encoded.fingerprint] = int(encoded[0]["pixel_values"].max())
    assert list(brightest.values()) == [16, 255, 128]  # 4095 / 257 = 15.9; 127.5, to even
