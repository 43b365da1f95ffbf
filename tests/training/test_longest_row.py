"""The row by which the memory of a step is counted."""

from types import SimpleNamespace
from typing import Any

import transformers

from hf_tune.model.text_processor import TextProcessor
from hf_tune.tasks.text_classification import TASK
from hf_tune.training.longest_row import build_longest_row


def test_the_longest_text_is_found(tiny_text_checkpoints: dict[str, str]) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_text_checkpoints["bert"])
    texts = ["sea", "the old rose near the sea and the old moss", "a leaf"]
    row = build_longest_row(TASK, TextProcessor(tokenizer), [{"text": text, "label": 1} for text in texts])
    assert row["input_ids"].tolist() == [tokenizer(texts[1])["input_ids"]]
    assert row["labels"].tolist() == [1]


def test_of_many_rows_every_so_many_th_is_looked_at(tiny_text_checkpoints: dict[str, str]) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_text_checkpoints["bert"])
    rows = [{"text": "sea " * (1 + number // 1000), "label": 0} for number in range(4001)]  # the last one is longest
    row = build_longest_row(TASK, TextProcessor(tokenizer), rows)
    assert row["input_ids"].shape[1] == len(tokenizer("sea " * 4)["input_ids"])  # of 0, 3, 6 … 3999


def test_rows_of_one_size_are_stood_for_by_the_first() -> None:
    task: Any = SimpleNamespace(
        encode_rows=None, encode=lambda row, processor: row, collate=lambda rows, processor: rows
    )
    assert build_longest_row(task, None, ["first", "second"]) == ["first"]  # type: ignore[comparison-overlap]
