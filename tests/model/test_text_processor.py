"""The one object for every text: where it cuts, how it pads, and what it refuses."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from hf_tune.adapter.attach import attach_adapter
from hf_tune.input_error import InputError
from hf_tune.model.checkpoint_config import ModelSource
from hf_tune.model.text_checkpoint import load_text_classifier
from hf_tune.model.text_processor import TextOptions, TextProcessor, configure_tokenizer, find_position_limit
from hf_tune.task import LoadedModel


FAMILIES = ("bert", "distilbert", "roberta", "gpt2", "llama", "t5")
SHORT, LONG = "the old rose", "the small fern is on the grass by the old sea near a ruby"

each_family = pytest.mark.parametrize("family", FAMILIES)


def load(folder: str, **options: Any) -> LoadedModel:
    source = ModelSource(pretrained_model_name_or_path=folder)
    return load_text_classifier(source, TextOptions(**options), ["a", "b", "c"])


def encode(processor: TextProcessor, *texts: str) -> list[dict[str, Any]]:
    """Return one example per text."""
    columns = processor.encode_rows([{"text": text} for text in texts])
    return [{name: rows[row] for name, rows in columns.items() if name != "num_tokens"} for row in range(len(texts))]


def widen_head(model: Any) -> Any:
    """Give a head that starts near zero weights at which differences are seen, and return the model."""
    torch.manual_seed(1)
    for name, value in model.named_parameters():
        if "score" in name or "classif" in name:
            torch.nn.init.normal_(value)
    return model.eval()


@each_family
def test_a_batch_is_padded_on_the_right_to_its_longest_row(family: str, tiny_text_checkpoints: dict[str, str]) -> None:
    processor = load(tiny_text_checkpoints[family]).processor
    short, long = encode(processor, SHORT, LONG)
    batch = processor.pad([short, long])
    count, longest = len(short["input_ids"]), len(long["input_ids"])
    assert count < longest and batch["input_ids"].shape == (2, longest)
    assert all(value.dtype == torch.int64 for value in batch.values())
    assert batch["input_ids"][0].tolist() == short["input_ids"] + [processor.plain.pad_token_id] * (longest - count)
    assert batch["input_ids"][1].tolist() == long["input_ids"]
    assert batch["attention_mask"].tolist() == [[1] * count + [0] * (longest - count), [1] * longest]
    assert ("token_type_ids" in batch) == (family == "bert")
    assert processor.pad([short])["input_ids"].shape == (1, count)  # no longer than its own batch


def test_rows_may_be_arrays_too(tiny_text_checkpoints: dict[str, str]) -> None:
    processor = load(tiny_text_checkpoints["bert"]).processor
    rows = encode(processor, SHORT, LONG)
    arrays = [{name: np.asarray(ids, dtype=np.int32) for name, ids in row.items()} for row in rows]
    for name, value in processor.pad(rows).items():
        assert torch.equal(value, processor.pad(arrays)[name])


@each_family
def test_the_outputs_of_a_row_do_not_depend_on_padding(family: str, tiny_text_checkpoints: dict[str, str]) -> None:
    """GPT-2 and Llama pad with the token that ends a text, and read the last token before the padding."""
    loaded = load(tiny_text_checkpoints[family])
    model = widen_head(loaded.model)
    short, long = encode(loaded.processor, SHORT, LONG)
    with torch.no_grad():
        alone = [model(**loaded.processor.pad([each])).logits for each in (short, long)]
        together = model(**loaded.processor.pad([short, long])).logits
    assert torch.allclose(torch.cat(alone), together, atol=1e-5)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


@pytest.mark.parametrize("method", ["lora", "prefix", "bottleneck", "PROMPT_TUNING", "P_TUNING"])
@each_family
def test_they_do_not_under_an_adapter_either_or_it_is_refused(
    family: str, method: str, tiny_text_checkpoints: dict[str, str]
) -> None:
    """Prompts reach a network as embeddings: decoders of transformers 5.23 then read the padding."""
    loaded = load(tiny_text_checkpoints[family])
    block = method if method.islower() else {"peft_type": method, "num_virtual_tokens": 4}
    refused = {"prefix": ("distilbert", "t5")}.get(method, ("t5", "gpt2", "llama") if method.isupper() else ())
    if family in refused:
        with pytest.raises(InputError, match=f"does not work on {family} models"):
            attach_adapter(loaded, block, None, "SEQ_CLS")
        return
    model = attach_adapter(loaded, block, None, "SEQ_CLS").eval()
    torch.manual_seed(1)
    for value in model.parameters():
        if value.requires_grad:
            torch.nn.init.normal_(value, std=0.5)
    rows = encode(loaded.processor, SHORT, LONG)
    with torch.no_grad():
        alone = [model(**loaded.processor.pad([each])).logits for each in rows]
        together = model(**loaded.processor.pad(rows)).logits
    assert torch.allclose(torch.cat(alone), together, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(together[0], together[1], atol=1e-2)


@each_family
def test_tokens_are_those_of_the_plain_tokenizer(family: str, tiny_text_checkpoints: dict[str, str]) -> None:
    plain = AutoTokenizer.from_pretrained(tiny_text_checkpoints[family])
    processor = load(tiny_text_checkpoints[family]).processor
    assert [row["input_ids"] for row in encode(processor, SHORT, LONG)] == plain([SHORT, LONG])["input_ids"]
    pair = processor.encode_rows([{"text": SHORT, "text_pair": LONG}])
    expected = plain([SHORT], [LONG])
    assert {name: pair[name] for name in pair if name != "num_tokens"} == {
        name: rows for name, rows in expected.items() if name != "attention_mask"
    }
    assert pair["num_tokens"] == [len(expected["input_ids"][0])]


def test_a_pair_is_told_apart_by_its_types(tiny_text_checkpoints: dict[str, str]) -> None:
    processor = load(tiny_text_checkpoints["bert"]).processor
    pair = processor.encode_rows([{"text": SHORT, "text_pair": "a sea"}])
    first = len(processor.plain(SHORT)["input_ids"])
    assert pair["token_type_ids"][0] == [0] * first + [1] * (pair["num_tokens"][0] - first)
    padded = processor.pad(
        [{name: pair[name][0] for name in ("input_ids", "token_type_ids")}, *encode(processor, LONG)]
    )
    assert padded["token_type_ids"][0].tolist() == pair["token_type_ids"][0] + [0] * (
        padded["input_ids"].shape[1] - pair["num_tokens"][0]
    )


@each_family
def test_a_long_row_is_cut_and_its_whole_length_kept(family: str, tiny_text_checkpoints: dict[str, str]) -> None:
    processor = load(tiny_text_checkpoints[family], max_length=7).processor
    plain = AutoTokenizer.from_pretrained(tiny_text_checkpoints[family])
    found = processor.encode_rows([{"text": LONG}, {"text": "sea"}, {"text": LONG}])
    whole = [len(ids) for ids in plain([LONG, "sea", LONG])["input_ids"]]
    assert found["num_tokens"] == whole and whole[0] > 7 > whole[1]
    expected = plain([LONG, "sea", LONG], truncation=True, max_length=7)
    for name, rows in found.items():
        if name != "num_tokens":
            assert rows == expected[name], name
    assert [len(ids) for ids in found["input_ids"]] == [7, whole[1], 7]


def test_a_row_of_just_the_limit_is_not_cut(tiny_text_checkpoints: dict[str, str]) -> None:
    whole = load(tiny_text_checkpoints["bert"]).processor.encode_rows([{"text": SHORT}])
    length = whole["num_tokens"][0]
    assert load(tiny_text_checkpoints["bert"], max_length=length).processor.encode_rows([{"text": SHORT}]) == whole


def test_a_text_is_cut_where_the_recipe_says(tiny_text_checkpoints: dict[str, str]) -> None:
    rows = {
        side: load(tiny_text_checkpoints["bert"], max_length=6, truncation_side=side).processor.encode_rows(
            [{"text": LONG}]
        )["input_ids"][0]
        for side in ("left", "right", None)
    }
    whole = AutoTokenizer.from_pretrained(tiny_text_checkpoints["bert"])(LONG)["input_ids"]
    assert rows["right"] == rows[None] == [*whole[:5], whole[-1]]
    assert rows["left"] == [whole[0], *whole[-5:]]


def test_of_a_pair_the_longer_text_is_cut(tiny_text_checkpoints: dict[str, str]) -> None:
    processor = load(tiny_text_checkpoints["bert"], max_length=10).processor
    ids = processor.encode_rows([{"text": LONG, "text_pair": "sea"}, {"text": "sea", "text_pair": LONG}])["input_ids"]
    separator = processor.plain.sep_token_id
    second = processor.plain("sea", add_special_tokens=False)["input_ids"]
    assert [len(row) for row in ids] == [10, 10]
    assert ids[0][-len(second) - 2 :] == [separator, *second, separator]
    assert ids[1][: len(second) + 2] == [processor.plain.cls_token_id, *second, separator]


@pytest.mark.parametrize(("given", "used"), [(None, 64), (64, 64), (9, 9)])
def test_the_length_is_the_models_or_less(given: int | None, used: int, tiny_text_checkpoints: dict[str, str]) -> None:
    assert load(tiny_text_checkpoints["bert"], max_length=given).processor.plain.model_max_length == used


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "gpt2", "llama"])
def test_a_length_beyond_the_models_is_refused(family: str, tiny_text_checkpoints: dict[str, str]) -> None:
    """RoBERTa's table of 66 positions starts behind its padding token and holds 64."""
    with pytest.raises(InputError, match=r"the model takes at most 64 tokens, not \d+; write 64 or less") as caught:
        load(tiny_text_checkpoints[family], max_length=2048 if family == "llama" else 65)
    assert caught.value.at == ("preprocess", "max_length")


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "gpt2", "llama", "t5"])
def test_the_longest_row_that_is_allowed_goes_through(family: str, tiny_text_checkpoints: dict[str, str]) -> None:
    loaded = load(tiny_text_checkpoints[family])
    longest = encode(loaded.processor, "sea " * 600)[0]
    assert len(longest["input_ids"]) == (512 if family == "t5" else 64)
    with torch.no_grad():
        assert loaded.model.eval()(**loaded.processor.pad([longest])).logits.isfinite().all()


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "bert", "max_position_embeddings": 512, "pad_token_id": 0}, 512),
        ({"model_type": "gpt2", "n_positions": 1024, "pad_token_id": None}, 1024),
        ({"model_type": "t5", "n_positions": 512}, None),
        ({"model_type": "xlnet"}, None),
    ],
    ids=lambda value: value["model_type"] if isinstance(value, dict) else "",
)
def test_the_limit_is_that_of_the_table_of_positions(config: dict, limit: int | None) -> None:
    assert find_position_limit(config) == limit


@pytest.mark.parametrize(
    "model_type",
    ["bert", "camembert", "data2vec-text", "gpt2", "ibert", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta"],
)
def test_the_limit_is_the_one_beyond_which_the_network_fails(model_type: str) -> None:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    config = AutoConfig.for_model(model_type, **sizes, vocab_size=20, max_position_embeddings=14, pad_token_id=1)
    limit = find_position_limit(config.to_dict())
    assert limit == (14 if model_type in ("bert", "gpt2") else 12)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    with torch.no_grad():
        model(input_ids=torch.full((1, limit), 9))
        with pytest.raises((IndexError, RuntimeError)):
            model(input_ids=torch.full((1, limit + 1), 9))


@pytest.mark.parametrize("length", [0, 3, -1])
def test_a_length_below_four_is_refused(length: int) -> None:
    with pytest.raises(InputError, match=f"{length} is too short") as caught:
        TextOptions(max_length=length)
    assert caught.value.at == ("max_length",)


def test_a_tokenizer_without_any_token_to_pad_with_is_told(tiny_text_checkpoints: dict[str, str]) -> None:
    plain = AutoTokenizer.from_pretrained(tiny_text_checkpoints["llama"])
    plain.eos_token = plain.unk_token = None
    with pytest.raises(
        InputError, match="the tokenizer has no padding token; give its tokenizer a pad_token"
    ) as caught:
        configure_tokenizer(plain, TextOptions(), None)
    assert caught.value.at == ("pretrained_model_name_or_path",)


def test_a_padding_token_that_is_there_is_kept(tiny_text_checkpoints: dict[str, str]) -> None:
    plain = AutoTokenizer.from_pretrained(tiny_text_checkpoints["llama"])
    plain.pad_token = plain.unk_token
    plain.padding_side = "left"
    configured = configure_tokenizer(plain, TextOptions(), None)
    assert configured.pad_token == "<unk>" and configured.padding_side == "right"


def test_a_slow_tokenizer_is_told() -> None:
    with pytest.raises(InputError, match="SimpleNamespace is a slow tokenizer"):
        configure_tokenizer(SimpleNamespace(is_fast=False), TextOptions(), None)


def test_threads_that_encode_at_once_cut_as_one_does(tiny_text_checkpoints: dict[str, str]) -> None:
    """The Rust tokenizer keeps the last call's truncation: of two threads one cut nothing, or counted what was cut."""
    plain = AutoTokenizer.from_pretrained(tiny_text_checkpoints["bert"])
    processor = TextProcessor(configure_tokenizer(plain, TextOptions(max_length=6), 64))
    rows = [{"text": " ".join(["rose", "sky"] * (1 + number % 7))} for number in range(400)]
    alone = [processor.encode_rows([row]) for row in rows]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda row: processor.encode_rows([row]), rows))
    assert together == alone
    assert pickle.loads(pickle.dumps(processor)).encode_rows(rows[:3]) == processor.encode_rows(rows[:3])
