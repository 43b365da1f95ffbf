"""One object for every text that meets the model: training, evaluation, `predict` and what is saved."""

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from hf_tune.input_error import InputError
from hf_tune.task import Batch, Example


DEFAULT_MAX_LENGTH = 512

_START_BEHIND_PADDING = (
    *("camembert", "data2vec-text", "ibert", "lilt", "longformer", "luke", "markuplm", "mpnet", "roberta"),
    *("roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"),
)
"""Types of networks whose first position is the one behind the number of their padding token (transformers 5.23)."""

MIN_LENGTH = 4
"""Shortest input in tokens: special ones alone take 2 or 3."""


@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """What a recipe may say about tokens."""

    max_length: int | None = None
    """Longest input in tokens, special ones included; None: what the checkpoint takes, at most 512."""
    truncation_side: Literal["left", "right"] | None = None
    """Where a longer input is cut; None: as the tokenizer has it (right). Of a pair the longer text is cut."""

    def __post_init__(self) -> None:
        """Check the length."""
        if self.max_length is not None and self.max_length < MIN_LENGTH:
            raise InputError(f"{self.max_length} is too short", "special tokens alone take 2 or 3", at=("max_length",))


class TextProcessor:
    """A fast tokenizer that cuts at its own `model_max_length`, and pads each batch to its longest row."""

    def __init__(self, plain: Any) -> None:
        """Keep the tokenizer; its settings are what is saved."""
        self.plain = plain
        self.turn = threading.Lock()
        """The Rust tokenizer keeps how the last call cut, and rows are encoded in threads."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave the lock behind: it belongs to the threads of one process."""
        return type(self), (self.plain,)

    def encode_rows(self, examples: Sequence[Example]) -> dict[str, list[Any]]:
        """Return one list per tokenizer output, and `num_tokens`: the length of each row before it was cut."""
        with self.turn:
            return self._encode_rows(examples)

    def _encode_rows(self, examples: Sequence[Example]) -> dict[str, list[Any]]:
        texts = [example["text"] for example in examples]
        pairs = [example["text_pair"] for example in examples] if "text_pair" in examples[0] else None
        limit = self.plain.model_max_length
        found = dict(self.plain(texts, pairs, return_attention_mask=False, verbose=False))
        lengths = [len(ids) for ids in found["input_ids"]]
        long = [row for row, length in enumerate(lengths) if length > limit]
        if long:
            cut = self.plain(
                [texts[row] for row in long],
                [pairs[row] for row in long] if pairs else None,
                truncation=True,
                max_length=limit,
                return_attention_mask=False,
            )
            for name, rows in found.items():
                for row, ids in zip(long, cut[name], strict=True):
                    rows[row] = ids
        return {**found, "num_tokens": lengths}

    def pad(self, examples: Sequence[Example]) -> Batch:
        """Return int64 tensors of shape (rows, longest) padded on the right, with their `attention_mask`."""
        longest = max(len(example["input_ids"]) for example in examples)
        padded: Batch = {}
        for name in ("input_ids", "token_type_ids"):
            if name in examples[0]:
                fill = self.plain.pad_token_id if name == "input_ids" else self.plain.pad_token_type_id
                rows = np.full((len(examples), longest), fill, dtype=np.int64)
                for row, example in enumerate(examples):
                    rows[row, : len(example[name])] = example[name]
                padded[name] = torch.from_numpy(rows)
        lengths = torch.tensor([len(example["input_ids"]) for example in examples])
        padded["attention_mask"] = (torch.arange(longest)[None] < lengths[:, None]).long()
        return padded

    def fingerprint(self) -> str:
        """Return a hash of everything that `encode_rows` depends on: vocabulary, rules and limits."""
        import tokenizers

        backend = json.loads(self.plain.backend_tokenizer.to_str())
        backend = {
            name: rule for name, rule in backend.items() if name not in ("truncation", "padding")
        }  # last call's
        settings = (self.plain.model_max_length, self.plain.truncation_side, self.plain.model_input_names)
        text = f"{backend}{settings}{type(self.plain).__name__}{tokenizers.__version__}"
        return hashlib.sha256(text.encode()).hexdigest()


def configure_tokenizer(plain: Any, options: TextOptions, limit: int | None) -> Any:
    """Return a tokenizer with the options in its own settings, and a padding token.

    `limit` is the longest input that the network takes. Raises `InputError` for a `max_length` beyond it, a tokenizer
    without a padding token, and one that is not fast.
    """
    if not plain.is_fast:
        problem = f"{type(plain).__name__} is a slow tokenizer"
        raise InputError(problem, "choose a checkpoint with a tokenizer.json", at=("pretrained_model_name_or_path",))
    own = plain.model_max_length if plain.model_max_length < 10**9 else None
    limits = [each for each in (own, limit) if each]
    if options.max_length and limit and options.max_length > limit:
        problem = f"the model takes at most {limit} tokens, not {options.max_length}"
        raise InputError(problem, f"write {limit} or less", at=("preprocess", "max_length"))
    plain.model_max_length = options.max_length or min([*limits, DEFAULT_MAX_LENGTH])
    plain.truncation_side = options.truncation_side or plain.truncation_side
    plain.padding_side = "right"
    if plain.pad_token is None:  # GPT-2 and Llama: masked positions hold any known token
        plain.pad_token = plain.eos_token or plain.unk_token
    if plain.pad_token is None:
        hint = "give its tokenizer a pad_token and save it, or choose another checkpoint"
        raise InputError("the tokenizer has no padding token", hint, at=("pretrained_model_name_or_path",))
    return plain


def find_position_limit(config: Mapping[str, Any]) -> int | None:
    """Return the longest input of a network with learned positions, in tokens; None where positions are relative.

    RoBERTa's table of 514 starts behind its padding token and so holds 512.
    """
    length = config.get("max_position_embeddings") or config.get("n_positions")
    if length is None or config.get("model_type") in ("t5", "mt5", "umt5"):
        return None
    starts_behind_padding = config.get("model_type") in _START_BEHIND_PADDING
    return int(length) - (int(config["pad_token_id"]) + 1 if starts_behind_padding else 0)
