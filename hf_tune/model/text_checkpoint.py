"""Text classifiers: checkpoints of the Hub or of a folder, with their tokenizer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_tune.input_error import InputError
from hf_tune.model.checkpoint import build_outline, configure, load_weights, refuse
from hf_tune.model.checkpoint_config import AT, ModelSource, fetch_config
from hf_tune.model.text_processor import TextOptions, TextProcessor, configure_tokenizer, find_position_limit
from hf_tune.task import LoadedModel


def load_text_classifier(source: ModelSource, preprocess: TextOptions, label_names: Sequence[str]) -> LoadedModel:
    """Return the network with its weights; layers that the checkpoint does not hold start near zero.

    Raises `InputError` for a checkpoint that is not there or cannot be reached, and options that do not fit it.
    """
    from transformers import AutoModelForSequenceClassification

    outline, stored = _outline(source, preprocess, label_names)
    return load_weights(outline, AutoModelForSequenceClassification, source, stored, label_names)


def outline_text_classifier(source: ModelSource, preprocess: TextOptions, label_names: Sequence[str]) -> LoadedModel:
    """Return the same network on the meta device: configuration and tokenizer are fetched, no weight is."""
    return _outline(source, preprocess, label_names)[0]


def load_text_processor(folder: Path) -> TextProcessor:
    """Return the processor of a saved model."""
    from transformers import AutoTokenizer

    return TextProcessor(AutoTokenizer.from_pretrained(folder))


def _outline(
    source: ModelSource, preprocess: TextOptions, label_names: Sequence[str]
) -> tuple[LoadedModel, Mapping[str, Any]]:
    """Return the network on the meta device and the checkpoint's config.json."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    stored, revision = fetch_config(source)
    refuse(source, "model_args", "it is for timm checkpoints; write attributes of the config under `config:`")
    config = configure(source, revision, label_names)
    name = source.pretrained_model_name_or_path
    try:
        plain = AutoTokenizer.from_pretrained(name, revision=revision, cache_dir=source.cache_dir)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{name!r} has no tokenizer that loads: {error}", "choose another", at=AT) from None
    if len(set(plain.get_vocab()) - set(plain.all_special_tokens)) < 2:  # transformers 5.23 makes up what is missing
        raise InputError(f"{name!r} holds no tokenizer", "save the one that it was trained with there", at=AT)
    known = getattr(config.get_text_config(), "vocab_size", None)  # a network of characters has none
    if known is not None and len(plain) > known:
        problem = f"{name!r} has a tokenizer of {len(plain)} tokens, and its network knows {known}"
        raise InputError(problem, "give both from one and the same training", at=AT)
    plain = configure_tokenizer(plain, preprocess, find_position_limit(config.to_dict()))
    config.pad_token_id = plain.pad_token_id
    outline = build_outline(AutoModelForSequenceClassification, config, TextProcessor(plain), source, revision)
    return outline, stored
