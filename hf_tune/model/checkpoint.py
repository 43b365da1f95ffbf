"""Load a checkpoint of the Hub, of timm or of a folder, with a head that fits the labels."""

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from hf_tune.input_error import InputError
from hf_tune.model import new_layers, timm_checkpoint
from hf_tune.model.checkpoint_config import AT, ModelSource, fetch_config, read_stored_labels
from hf_tune.model.image_processor import (
    PictureOptions,
    PictureProcessor,
    configure_timm_settings,
    configure_transformers_processor,
    get_side,
)
from hf_tune.task import LoadedModel


logger = logging.getLogger(__name__)


def load_image_classifier(source: ModelSource, preprocess: PictureOptions, label_names: Sequence[str]) -> LoadedModel:
    """Return the network with its weights; layers that the checkpoint does not hold start near zero.

    Raises `InputError` for a checkpoint that is not there or cannot be reached, and options that do not fit it.
    """
    outline, stored = _outline(source, preprocess, label_names)
    config = outline.model.config
    if not source.pretrained:
        model = _initialise(config).to(getattr(torch, source.dtype))
        new = outline.new_layers
    else:
        model, absent = _load_weights(source, config, outline.revision)
        head = {name for name, _ in model.named_parameters() if name.rpartition(".")[0] in outline.new_layers}
        if absent - head:
            logger.warning("the checkpoint does not hold %s: they start at random", ", ".join(sorted(absent - head)))
        has_other_labels = read_stored_labels(stored) != list(label_names)
        new_layers.start_near_zero(model, head if has_other_labels else head & absent)
        new = outline.new_layers | new_layers.name_layers(absent)
    _check_forward(model, outline.processor)
    return dataclasses.replace(outline, model=model, new_layers=new)


def outline_image_classifier(
    source: ModelSource, preprocess: PictureOptions, label_names: Sequence[str]
) -> LoadedModel:
    """Return the same network on the meta device: its configuration is fetched, no weight is."""
    return _outline(source, preprocess, label_names)[0]


def save_model(model: Any, processor: PictureProcessor, folder: Path) -> None:
    """Write a full model and its processor, as transformers and, for timm architectures, timm read them."""
    model.save_pretrained(folder)
    save_config(model.config, processor, folder)


def save_config(config: Any, processor: PictureProcessor, folder: Path) -> None:
    """Write labels and preprocessing: config.json, and preprocessor_config.json where the processor has one."""
    config.save_pretrained(folder)
    if config.model_type == "timm_wrapper":
        timm_checkpoint.mend_timm_folder(folder)
    else:
        processor.plain.save_pretrained(folder)


def load_processor(folder: Path) -> PictureProcessor:
    """Return the processor of a saved model."""
    from transformers import AutoImageProcessor, TimmWrapperImageProcessor

    own = timm_checkpoint.is_timm(json.loads((folder / "config.json").read_text()))
    # AutoImageProcessor finds timm's too, with a warning about a backend that does not matter (transformers 5.23).
    return PictureProcessor((TimmWrapperImageProcessor if own else AutoImageProcessor).from_pretrained(folder))


def _outline(
    source: ModelSource, preprocess: PictureOptions, label_names: Sequence[str]
) -> tuple[LoadedModel, Mapping[str, Any]]:
    """Return the network on the meta device and the checkpoint's config.json."""
    from transformers import AutoModelForImageClassification

    stored, revision = fetch_config(source)
    config, plain, own_size = _configure(source, preprocess, label_names, stored, revision)
    label_parameters = _find_label_parameters(config)
    with torch.device("meta"):
        model = AutoModelForImageClassification.from_config(config)
    new = label_parameters if source.pretrained else {name for name, _ in model.named_parameters()}
    outline = LoadedModel(
        model=model,
        processor=PictureProcessor(plain),
        new_layers=new_layers.name_layers(new),
        base_id=source.pretrained_model_name_or_path,
        revision=revision,
        pretrained=source.pretrained,
        own_size=own_size,
    )
    return outline, stored


def _initialise(config: Any) -> Any:
    """Return the network with its architecture's own initialisation."""
    from transformers import AutoModelForImageClassification

    if config.model_type == "timm_wrapper":
        return timm_checkpoint.initialise_timm_model(config)
    return AutoModelForImageClassification.from_config(config)


def _configure(
    source: ModelSource,
    preprocess: PictureOptions,
    label_names: Sequence[str],
    stored: Mapping[str, Any],
    revision: str | None,
) -> tuple[Any, Any, int | None]:
    """Return the config with our labels, the plain processor with our options, and the side that it had before."""
    from transformers import AutoConfig, AutoImageProcessor, TimmWrapperImageProcessor

    if timm_checkpoint.is_timm(stored):
        _refuse(source, "config", "write arguments of timm.create_model under `model_args:`")
        settings = configure_timm_settings(timm_checkpoint.get_timm_settings(stored), preprocess)
        size = list(timm_checkpoint.get_timm_settings(stored)["input_size"])
        if settings.get("fixed_input_size") and list(settings["input_size"]) != size:
            problem = f"{stored['architecture']} takes pictures of {size[-1]} pixels only"
            raise InputError(problem, "leave it out", at=("preprocess", "image_size"))
        config = timm_checkpoint.build_timm_config(stored, settings, source.model_args, label_names)
        return config, TimmWrapperImageProcessor(settings, architecture=config.architecture), size[-1]
    _refuse(source, "model_args", "it is for timm checkpoints; write attributes of the config under `config:`")
    name, where = source.pretrained_model_name_or_path, {"revision": revision, "cache_dir": source.cache_dir}
    config = AutoConfig.from_pretrained(name, **where)
    for attribute, value in source.config.items():
        if not hasattr(config, attribute):
            known = ", ".join(sorted(config.to_diff_dict()))
            raise InputError(
                f"{type(config).__name__} has no {attribute!r}", f"it has: {known}", at=("config", attribute)
            )
        setattr(config, attribute, value)
    config.id2label = dict(enumerate(label_names))
    config.label2id = {label: number for number, label in enumerate(label_names)}
    plain = AutoImageProcessor.from_pretrained(name, **where)
    own_size = get_side(plain)
    return config, configure_transformers_processor(plain, preprocess), own_size


def _find_label_parameters(config: Any) -> set[str]:
    from transformers import AutoModelForImageClassification

    try:
        return new_layers.find_label_parameters(AutoModelForImageClassification.from_config, config)
    except TypeError as error:
        raise InputError(f"the architecture does not take these: {error}", at=("model_args",)) from None


def _refuse(source: ModelSource, key: str, hint: str) -> None:
    if getattr(source, key):
        raise InputError(f"{source.pretrained_model_name_or_path!r} takes no `{key}`", hint, at=(key,))


def _load_weights(source: ModelSource, config: Any, revision: str | None) -> tuple[Any, set[str]]:
    """Return the model and the parameters that the checkpoint does not hold in this shape."""
    from transformers import AutoModelForImageClassification
    from transformers import logging as library_logging

    verbosity = library_logging.get_verbosity()
    library_logging.set_verbosity_error()  # its table of a mismatched head repeats what is asked for here
    extra = {"attn_implementation": source.attn_implementation} if source.attn_implementation else {}
    try:
        model, info = AutoModelForImageClassification.from_pretrained(
            source.pretrained_model_name_or_path,
            config=config,
            revision=revision,
            cache_dir=source.cache_dir,
            local_files_only=source.local_files_only,
            dtype=getattr(torch, source.dtype),
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **extra,
        )
    except OSError as error:
        raise InputError(f"the weights cannot be loaded: {error}", "check the name and the network", at=AT) from None
    finally:
        library_logging.set_verbosity(verbosity)
    absent = set(info["missing_keys"]) | {entry[0] for entry in info["mismatched_keys"]}
    return model, absent & {name for name, _ in model.named_parameters()}


@torch.no_grad()
def _check_forward(model: Any, processor: PictureProcessor) -> None:
    """Raise where the network cannot take a picture of the size that the processor makes."""
    import PIL.Image

    pixels = processor.normalise(processor.encode(PIL.Image.new("RGB", (64, 64)))[None])
    training = model.training
    try:
        model.eval()(pixel_values=pixels.to(model.dtype))
    except (ValueError, AssertionError, RuntimeError) as error:
        problem = f"the model cannot take pictures of {tuple(pixels.shape[2:])} pixels: {error}"
        raise InputError(problem, "give the checkpoint's own size", at=("preprocess", "image_size")) from None
    model.train(training)
