"""Load the weights of a checkpoint under a head that fits the labels, and save what was trained; any kind of input."""

import dataclasses
import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from hf_tune.input_error import InputError
from hf_tune.model import new_layers, timm_checkpoint
from hf_tune.model.checkpoint_config import AT, ModelSource, read_stored_labels
from hf_tune.model.own_network import choose_class, read_own_parts, set_head
from hf_tune.model.quantised_base import build_load_arguments, forget_quantization, resolve_quantization
from hf_tune.task import LoadedModel


logger = logging.getLogger(__name__)

_KEPT = MappingProxyType({"mobilenet_v1": 0.999, "mobilenet_v2": 0.8})
"""What TensorFlow's MobileNets keep before their head; transformers 5.23 takes it for the part that is dropped."""


def configure(source: ModelSource, revision: str | None, label_names: Sequence[str]) -> Any:
    """Return the transformers config of a checkpoint with the recipe's attributes and the labels of the data."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    name, where = source.pretrained_model_name_or_path, {"revision": revision, "cache_dir": source.cache_dir}
    try:
        config = AutoConfig.from_pretrained(name, **where)
    except ValueError as error:
        raise InputError(f"{name!r} is no model of transformers: {error}", "choose another", at=AT) from None
    _mend_dropout(config)
    for attribute, value in source.config.items():
        if not hasattr(config, attribute):
            known = ", ".join(sorted(config.to_diff_dict()))
            raise InputError(
                f"{type(config).__name__} has no {attribute!r}", f"it has: {known}", at=("config", attribute)
            )
        try:
            setattr(config, attribute, value)
        except StrictDataclassError as error:
            problem = f"{value!r} is refused: {' '.join(str(error).split())}"
            raise InputError(problem, at=("config", attribute)) from None
    config.id2label = dict(enumerate(label_names))
    config.label2id = {label: number for number, label in enumerate(label_names)}
    config.problem_type = source.problem_type
    set_head(config, source.head, read_own_parts(config))
    return config


def _mend_dropout(config: Any) -> None:
    """Give a head the dropout that the checkpoint was trained with: under 0.999 of it a head learns nothing."""
    kept = _KEPT.get(config.model_type)
    if kept is not None and config.classifier_dropout_prob == kept:
        config.classifier_dropout_prob = round(1 - kept, 6)
        told = "%s drops %g of the features before its head: the checkpoint names %g, which is what its authors keep"
        logger.warning(told, config.model_type, config.classifier_dropout_prob, kept)


def build_outline(auto_class: Any, config: Any, processor: Any, source: ModelSource, revision: str | None) -> Any:
    """Return the network of a config on the meta device as a `LoadedModel`."""
    network_class = choose_class(auto_class, config)
    try:
        label_parameters = new_layers.find_label_parameters(network_class.from_config, config)
    except TypeError as error:
        raise InputError(f"the architecture does not take these: {error}", at=("model_args",)) from None
    except ValueError as error:  # the auto class knows no head of this kind for it
        problem = f"{config.model_type} has no head for this task: {str(error).partition(chr(10))[0]}"
        raise InputError(problem, "choose a checkpoint of another architecture", at=AT) from None
    with torch.device("meta"):
        model = network_class.from_config(config, dtype=getattr(torch, source.dtype))  # not that of the file
    model.name_or_path = source.pretrained_model_name_or_path  # as loading does; PEFT 0.21 warns where it is not set
    if getattr(config, "quantization_config", None):
        hint = "start from the checkpoint that it was made of, with `model.quantization_config`"
        raise InputError("the checkpoint is stored quantised", hint, at=AT)
    head = new_layers.find_head_parameters(model, label_parameters)
    new = head if source.pretrained else {name for name, _ in model.named_parameters()}
    outline = LoadedModel(
        model=model,
        processor=processor,
        new_layers=new_layers.name_layers(new),
        base_id=source.pretrained_model_name_or_path,
        revision=revision,
        pretrained=source.pretrained,
    )
    return dataclasses.replace(outline, quantization=resolve_quantization(source.quantization_config, outline))


def load_weights(
    outline: LoadedModel, auto_class: Any, source: ModelSource, stored: Mapping[str, Any], label_names: Sequence[str]
) -> LoadedModel:
    """Return an outline with its weights; layers that the checkpoint does not hold are new, and heads start near zero.

    `stored` is the checkpoint's config.json, which knows the labels that its head was made for.
    """
    config = outline.model.config
    if not source.pretrained:
        return dataclasses.replace(outline, model=_initialise(auto_class, config).to(getattr(torch, source.dtype)))
    model, absent = _fetch_weights(auto_class, source, outline)
    head = {name for name, _ in model.named_parameters() if name.rpartition(".")[0] in outline.new_layers}
    inside = {name for name in absent - head if name.startswith(f"{model.base_model_prefix}.")}
    if inside:
        logger.warning("the checkpoint does not hold %s: they start at random", ", ".join(sorted(inside)))
    has_other_labels = read_stored_labels(stored) != list(label_names)
    new_layers.start_head(model, head if has_other_labels else head & absent)
    new = outline.new_layers | new_layers.name_layers(absent)
    return dataclasses.replace(outline, model=model, new_layers=new, fingerprint=fingerprint_weights(model, new))


def fingerprint_weights(model: Any, without: Iterable[str]) -> str:
    """Return 16 hexadecimal digits that change with the weights in floats, from up to 64 values of each.

    `without` are modules that do not count: those that are new.
    """
    left_out = tuple(f"{name}." for name in without)
    digest = hashlib.sha256()
    for name, value in model.named_parameters():
        if value.is_floating_point() and type(value) is torch.nn.Parameter and not name.startswith(left_out):
            sample = value.detach().flatten()[:: max(1, -(-value.numel() // 64))]
            digest.update(name.encode() + sample.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def refuse(source: ModelSource, key: str, hint: str) -> None:
    """Raise where the `model:` block gives a key that this checkpoint does not take."""
    if getattr(source, key):
        raise InputError(f"{source.pretrained_model_name_or_path!r} takes no `{key}`", hint, at=(key,))


def save_model(model: Any, processor: Any, folder: Path) -> None:
    """Write a full model and its processor, as transformers and, for timm architectures, timm read them."""
    model.save_pretrained(folder)
    save_config(model.config, processor, folder)


def save_config(config: Any, processor: Any, folder: Path) -> None:
    """Write labels and preprocessing: config.json, and the processor's own files where it has some."""
    config.save_pretrained(folder)
    if config.model_type == "timm_wrapper":
        timm_checkpoint.mend_timm_folder(folder)
    else:
        processor.plain.save_pretrained(folder)


def find_absent(model: Any, info: Mapping[str, Any]) -> set[str]:
    """Return the parameters that a checkpoint does not hold in this shape, from transformers' loading info.

    Buffers do not count: old files lack BatchNorm's `num_batches_tracked`.
    """
    absent = {*info["missing_keys"], *(entry[0] for entry in info["mismatched_keys"])}
    return absent & {name for name, _ in model.named_parameters()}


@contextmanager
def silence_load_report() -> Iterator[None]:
    """Keep transformers from printing its table of layers that are new: they are asked for."""
    from transformers import logging as library_logging

    verbosity = library_logging.get_verbosity()
    library_logging.set_verbosity_error()
    try:
        yield
    finally:
        library_logging.set_verbosity(verbosity)


def _initialise(auto_class: Any, config: Any) -> Any:
    """Return the network with its architecture's own initialisation."""
    build = choose_class(auto_class, config).from_config
    return (
        timm_checkpoint.initialise_timm_model(build, config) if config.model_type == "timm_wrapper" else build(config)
    )


def _fetch_weights(auto_class: Any, source: ModelSource, outline: LoadedModel) -> tuple[Any, set[str]]:
    """Return the model and the parameters that the checkpoint does not hold in this shape."""
    from safetensors import SafetensorError

    extra = build_load_arguments(outline.quantization)
    if source.attn_implementation:
        extra["attn_implementation"] = source.attn_implementation
    try:
        with silence_load_report():
            model, info = choose_class(auto_class, outline.model.config).from_pretrained(
                source.pretrained_model_name_or_path,
                config=outline.model.config,
                revision=outline.revision,
                cache_dir=source.cache_dir,
                local_files_only=source.local_files_only,
                dtype=getattr(torch, source.dtype),
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **extra,
            )
    except OSError as error:
        raise InputError(f"the weights cannot be loaded: {error}", "check the name and the network", at=AT) from None
    except SafetensorError as error:
        raise InputError(f"the file of the weights is damaged: {error}", "fetch or save it again", at=AT) from None
    except (ImportError, ValueError) as error:
        if not source.attn_implementation:
            raise
        hint = "take it out: transformers then chooses what is installed"
        raise InputError(f"this attention is not there: {error}", hint, at=("attn_implementation",)) from None
    forget_quantization(model.config)
    return model, find_absent(model, info)
