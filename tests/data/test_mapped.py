"""Splits encoded by `datasets.map`: what a row holds, and that the cache is used and never stale."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import datasets
import numpy as np
import pytest
import torch

from hf_tune.data.mapped import MappedSplit, _name_cache
from hf_tune.data.splits import Split
from hf_tune.input_error import InputError
from hf_tune.model.text_processor import TextOptions, TextProcessor, configure_tokenizer
from hf_tune.tasks.text_classification import TASK


TEXTS = ["the old rose", "a sea", "the small fern is on the grass by the sea", "ruby"]


def processor(folder: str, **options: Any) -> TextProcessor:
    from transformers import AutoTokenizer

    plain = AutoTokenizer.from_pretrained(folder)
    return TextProcessor(configure_tokenizer(plain, TextOptions(**options), None))


def split(rows: datasets.Dataset, name: str = "train", labels: Any = None) -> Split:
    return Split(name=name, rows=rows, label_role="label", labels=labels)


@pytest.fixture
def on_disk(tmp_path: Path) -> Callable[..., datasets.Dataset]:
    """Return a function that gives rows backed by a file, as those of a data set of the Hub are: only they are cached.

    The same texts come from the same file, however often they are loaded.
    """

    def load(texts: list[str]) -> datasets.Dataset:
        folder = tmp_path / "-".join(texts).replace(" ", "_")
        if not folder.exists():
            datasets.Dataset.from_dict({"text": texts}).save_to_disk(folder)
        return datasets.load_from_disk(folder)

    return load


@pytest.fixture
def encoded_rows(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the texts that reach the tokenizer from now on; what is read from the cache is not among them."""
    seen: list[str] = []
    encode = TextProcessor.encode_rows

    def note(self: TextProcessor, examples: Any) -> Any:
        seen.extend(each["text"] for each in examples)
        return encode(self, examples)

    monkeypatch.setattr(TextProcessor, "encode_rows", note)
    return seen


def test_a_row_holds_its_tokens_label_number_and_epoch(tiny_text_checkpoints: dict[str, str]) -> None:
    own = processor(tiny_text_checkpoints["bert"])
    labels = np.asarray([1, 0, 2, 1])
    rows = MappedSplit(split(datasets.Dataset.from_dict({"text": TEXTS}), labels=labels), TASK, own)
    row = rows[3 * 4 + 2]  # the fourth epoch's row 2
    assert row["input_ids"].tolist() == own.plain(TEXTS[2])["input_ids"]
    assert row["token_type_ids"].tolist() == [0] * len(row["input_ids"])
    assert (int(row["labels"]), int(row["row"]), int(row["epoch"])) == (2, 2, 3)
    assert row["labels"].dtype == torch.int64 and len(rows) == 4
    assert set(row) == {"input_ids", "token_type_ids", "labels", "row", "epoch"}


def test_lengths_are_those_of_the_inputs_and_facts_those_of_the_rows(tiny_text_checkpoints: dict[str, str]) -> None:
    own = processor(tiny_text_checkpoints["bert"], max_length=6)
    rows = MappedSplit(split(datasets.Dataset.from_dict({"text": TEXTS})), TASK, own)
    whole = [len(ids) for ids in own.plain(TEXTS, verbose=False)["input_ids"]]
    assert max(whole) > 6 > min(whole)
    assert rows.facts["num_tokens"].tolist() == whole
    assert rows.lengths.dtype == np.int64 and rows.lengths.tolist() == [min(length, 6) for length in whole]
    assert [len(rows[row]["input_ids"]) for row in range(4)] == rows.lengths.tolist()
    assert "labels" not in rows[0]


def test_more_rows_than_one_chunk_holds_come_back_in_order(tiny_text_checkpoints: dict[str, str]) -> None:
    """datasets 5.2 encodes 1000 rows at a time."""
    texts = [" ".join(["sea"] * (1 + row % 7)) for row in range(2300)]
    rows = datasets.Dataset.from_dict({"text": texts})
    mapped = MappedSplit(split(rows), TASK, processor(tiny_text_checkpoints["gpt2"]))
    one = len(mapped[0]["input_ids"])
    assert np.array_equal(np.diff(mapped.lengths[:7]), [mapped.lengths[1] - one] * 6)
    assert np.array_equal(mapped.lengths, np.resize(mapped.lengths[:7], 2300))
    assert np.array_equal(mapped[2299]["input_ids"], mapped[2299 % 7]["input_ids"])


def test_rows_that_were_selected_are_the_ones_encoded(
    on_disk: Callable[..., datasets.Dataset], tiny_text_checkpoints: dict[str, str]
) -> None:
    own = processor(tiny_text_checkpoints["bert"])
    whole = split(on_disk(TEXTS), labels=np.arange(4))
    part = MappedSplit(whole.select([2, 0]), TASK, own)
    assert [part[row]["input_ids"].tolist() for row in range(2)] == own.plain([TEXTS[2], TEXTS[0]])["input_ids"]
    assert [int(part[row]["labels"]) for row in range(2)] == [2, 0]


@pytest.mark.parametrize("bad", ["  ", None])
def test_a_bad_row_names_itself_and_its_split(bad: str | None, tiny_text_checkpoints: dict[str, str]) -> None:
    texts = [*["a sea"] * 1200, bad, "ruby"]
    rows = split(datasets.Dataset.from_dict({"text": texts}), "validation")
    with pytest.raises(InputError, match="row 1200 of split 'validation': `text` ") as caught:
        MappedSplit(rows, TASK, processor(tiny_text_checkpoints["bert"]))
    assert caught.value.at == ("load",)


def test_a_bad_row_that_was_cut_off_is_named_as_the_data_has_it(tiny_text_checkpoints: dict[str, str]) -> None:
    rows = split(datasets.Dataset.from_dict({"text": ["a sea", "", "ruby", " "]})).select([2, 3])
    with pytest.raises(InputError, match="row 3 of split 'train': `text` is empty"):
        MappedSplit(rows, TASK, processor(tiny_text_checkpoints["bert"]))


def test_what_was_encoded_before_is_read_again(
    on_disk: Callable[..., datasets.Dataset], encoded_rows: list[str], tiny_text_checkpoints: dict[str, str]
) -> None:
    first = MappedSplit(split(on_disk(TEXTS)), TASK, processor(tiny_text_checkpoints["bert"]))
    assert encoded_rows == TEXTS
    encoded_rows.clear()
    again = MappedSplit(split(on_disk(TEXTS)), TASK, processor(tiny_text_checkpoints["bert"]))
    assert encoded_rows == []
    assert again.lengths.tolist() == first.lengths.tolist()
    assert again.facts["num_tokens"].tolist() == first.facts["num_tokens"].tolist()
    assert all(np.array_equal(again[row]["input_ids"], first[row]["input_ids"]) for row in range(4))


def test_a_tokenizer_that_has_cut_rows_still_finds_what_it_encoded(
    on_disk: Callable[..., datasets.Dataset], encoded_rows: list[str], tiny_text_checkpoints: dict[str, str]
) -> None:
    """tokenizers keeps the truncation of its last call in its own state, which is no part of what rows depend on."""
    for _ in range(2):
        own = processor(tiny_text_checkpoints["bert"], max_length=6)
        MappedSplit(split(on_disk(TEXTS)), TASK, own)
        MappedSplit(split(on_disk(["a sea"]), "validation"), TASK, own)
    assert encoded_rows == [*TEXTS, "a sea"]


def test_another_length_tokenizer_or_row_is_encoded_anew(
    on_disk: Callable[..., datasets.Dataset], encoded_rows: list[str], tiny_text_checkpoints: dict[str, str]
) -> None:
    texts = TEXTS[:3]
    changes: list[tuple[list[str], TextProcessor]] = [
        (texts, processor(tiny_text_checkpoints["bert"])),
        (texts, processor(tiny_text_checkpoints["bert"], max_length=6)),
        (texts, processor(tiny_text_checkpoints["bert"], max_length=6, truncation_side="left")),
        (texts, processor(tiny_text_checkpoints["roberta"])),
        (texts, processor(tiny_text_checkpoints["distilbert"])),  # as BERT's, without token_type_ids
        ([*texts[:2], "the small fern is on the moss by the sea"], processor(tiny_text_checkpoints["bert"])),
    ]
    for rows, own in changes:
        encoded_rows.clear()
        mapped = MappedSplit(split(on_disk(rows)), TASK, own)
        assert encoded_rows[:3] == rows
        expected = own.plain(rows, truncation=True)["input_ids"]
        assert [mapped[row]["input_ids"].tolist() for row in range(3)] == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: plain.add_tokens(["ruby sea"]),
        lambda plain: plain.add_special_tokens({"additional_special_tokens": ["[TURN]"]}),
        lambda plain: setattr(plain, "model_max_length", 7),
        lambda plain: setattr(plain.backend_tokenizer, "normalizer", _lowercase()),
    ],
    ids=["token", "special token", "length", "normaliser"],
)
def test_a_change_of_the_tokenizer_changes_its_fingerprint(
    change: Callable[[Any], Any], tiny_text_checkpoints: dict[str, str]
) -> None:
    own = processor(tiny_text_checkpoints["bert"])
    before = own.fingerprint()
    assert processor(tiny_text_checkpoints["bert"]).fingerprint() == before
    change(own.plain)
    assert own.fingerprint() != before


def _lowercase() -> Any:
    import tokenizers

    return tokenizers.normalizers.Lowercase()


class Marked:
    """A processor that says what it depends on, and nothing else."""

    def fingerprint(self) -> str:
        """Return a constant."""
        return "same"


OWN = "from own_helper import split\n\n\ndef encode_rows(examples, processor):\n    return split(examples)\n"
HELPER = "def split(examples):\n    return {'input_ids': [each['text'].split() for each in examples]}\n"


def test_a_change_of_the_code_changes_the_name_of_the_cache(write_modules: Callable[..., ModuleType]) -> None:
    names = [
        _name_cache("rows", write_modules(own_helper=helper, own_encoding=task).encode_rows, Marked())
        for task, helper in (
            (OWN, HELPER),
            (OWN, HELPER),
            (OWN.replace("(examples)\n", "(list(examples))\n"), HELPER),
            (OWN, HELPER.replace("split()", "split(' ')")),
        )
    ]
    assert names[0] == names[1] and len(set(names)) == 3
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in names)


def test_other_rows_and_another_processor_change_the_name_of_the_cache() -> None:
    encode_rows = TASK.encode_rows
    assert encode_rows is not None
    first = _name_cache("rows", encode_rows, Marked())
    other = dataclasses.make_dataclass("Other", [], bases=(Marked,), namespace={"fingerprint": lambda self: "other"})
    other.__module__ = __name__
    assert _name_cache("other rows", encode_rows, Marked()) != first
    assert _name_cache("rows", encode_rows, other()) != first
