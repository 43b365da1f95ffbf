"""Image classifiers: checkpoints of the Hub, of timm or of a folder, with their image processor."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from hf_tune.input_error import InputError
from hf_tune.model import timm_checkpoint
from hf_tune.model.checkpoint import build_outline, configure, load_weights, refuse
from hf_tune.model.checkpoint_config import AT, ModelSource, fetch_config
from hf_tune.model.image_processor import (
    PictureOptions,
    PictureProcessor,
    configure_timm_settings,
    configure_transformers_processor,
    get_side,
)
from hf_tune.model.own_network import get_network_side, read_own_parts, set_tiles
from hf_tune.task import LoadedModel


def load_image_classifier(source: ModelSource, preprocess: PictureOptions, label_names: Sequence[str]) -> LoadedModel:
    """Return the network with its weights; layers that the checkpoint does not hold start near zero.

    Raises `InputError` for a checkpoint that is not there or cannot be reached, and options that do not fit it.
    """
    from transformers import AutoModelForImageClassification

    outline, stored = _outline(source, preprocess, label_names)
    loaded = load_weights(outline, AutoModelForImageClassification, source, stored, label_names)
    _check_forward(loaded.model, loaded.processor)
    return loaded


def outline_image_classifier(
    source: ModelSource, preprocess: PictureOptions, label_names: Sequence[str]
) -> LoadedModel:
    """Return the same network on the meta device: its configuration is fetched, no weight is."""
    return _outline(source, preprocess, label_names)[0]


def load_image_processor(folder: Path) -> PictureProcessor:
    """Return the processor of a saved model."""
    from transformers import AutoImageProcessor, TimmWrapperImageProcessor

    config = json.loads((folder / "config.json").read_text())
    # AutoImageProcessor finds timm's too, with a warning about a backend that does not matter (transformers 5.23).
    loader = TimmWrapperImageProcessor if timm_checkpoint.is_timm(config) else AutoImageProcessor
    return PictureProcessor(loader.from_pretrained(folder), config.get("intensity"))


def _outline(
    source: ModelSource, preprocess: PictureOptions, label_names: Sequence[str]
) -> tuple[LoadedModel, Mapping[str, Any]]:
    """Return the network on the meta device and the checkpoint's config.json."""
    from transformers import AutoModelForImageClassification

    stored, revision = fetch_config(source)
    config, plain, own_size = _configure(source, preprocess, label_names, stored, revision)
    intensity = stored.get("intensity") if preprocess.intensity is None else preprocess.intensity
    if intensity is not None:
        config.intensity = intensity  # in config.json, which every run saves: timm's have no file of a processor
    processor = PictureProcessor(plain, intensity)
    outline = build_outline(AutoModelForImageClassification, config, processor, source, revision)
    return dataclasses.replace(outline, own_size=own_size), stored


def _configure(
    source: ModelSource,
    preprocess: PictureOptions,
    label_names: Sequence[str],
    stored: Mapping[str, Any],
    revision: str | None,
) -> tuple[Any, Any, int | None]:
    """Return the config with our labels, the plain processor with our options, and the side that it had before."""
    from transformers import AutoImageProcessor, TimmWrapperImageProcessor

    if timm_checkpoint.is_timm(stored):
        refuse(source, "config", "write arguments of timm.create_model under `model_args:`")
        settings = configure_timm_settings(timm_checkpoint.get_timm_settings(stored), preprocess)
        side, own_side = settings["input_size"][-1], timm_checkpoint.get_timm_settings(stored)["input_size"][-1]
        config = timm_checkpoint.build_timm_config(stored, settings, source.model_args, label_names, source.head)
        own_side = _set_tiles(config, preprocess, stored, side, own_side)
        if settings.get("fixed_input_size") and get_network_side(config, side) != own_side:
            problem = f"{stored['architecture']} takes pictures of {own_side} pixels only"
            raise InputError(problem, "leave it out, or see pictures in `tiles`", at=("preprocess", "image_size"))
        return config, TimmWrapperImageProcessor(settings, architecture=config.architecture), own_side
    refuse(source, "model_args", "it is for timm checkpoints; write attributes of the config under `config:`")
    config = configure(source, revision, label_names)
    where = {"revision": revision, "cache_dir": source.cache_dir}
    try:
        plain = AutoImageProcessor.from_pretrained(source.pretrained_model_name_or_path, **where)
    except (OSError, ValueError) as error:
        first_line = str(error).partition("\n")[0]
        problem = f"{source.pretrained_model_name_or_path!r} has no image processor: {first_line}"
        raise InputError(problem, "choose a checkpoint for pictures", at=AT) from None
    own_side = get_side(plain)
    plain = configure_transformers_processor(plain, preprocess)
    return config, plain, _set_tiles(config, preprocess, stored, get_side(plain) or 0, own_side)


def _set_tiles(
    config: Any, preprocess: PictureOptions, stored: Mapping[str, Any], side: int, own_side: int | None
) -> int | None:
    """Write into a config how its network sees pictures of `side` pixels; return the side that it was trained on."""
    parts = read_own_parts(stored)
    own_side = parts.tiles["size"] if parts.tiles else own_side
    set_tiles(config, preprocess.tiles, parts, side, own_side)
    return own_side


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
