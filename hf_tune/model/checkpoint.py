"""Load a checkpoint of the Hub, of timm or of a folder, with a head that fits the labels."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import torch

from hf_tune.input_error import InputError
from hf_tune.model import new_layers, timm_checkpoint
from hf_tune.model.image_processor import (
    PictureOptions,
    PictureProcessor,
    configure_timm_settings,
    configure_transformers_processor,
)
from hf_tune.task import LoadedModel


logger = logging.getLogger(__name__)

_AT = ("pretrained_model_name_or_path",)


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """The `model:` block: arguments of `from_pretrained`."""

    REFUSED = MappingProxyType(
        {
            "torch_dtype": "it is called `dtype` now",
            "num_labels": "the labels come from the data; leave it out",
            "id2label": "the labels come from the data; leave it out",
            "label2id": "the labels come from the data; leave it out",
            "ignore_mismatched_sizes": "hf_tune sets it itself; leave it out",
            "token": "never write a token into a recipe: run `hf auth login` or set HF_TOKEN",
            "use_auth_token": "never write a token into a recipe: run `hf auth login` or set HF_TOKEN",
            "trust_remote_code": "hf_tune runs no code from a checkpoint; leave it out",
            "drop_rate": "write it under `model_args:`, the arguments of timm.create_model",
            "drop_path_rate": "write it under `model_args:`, the arguments of timm.create_model",
        }
    )

    pretrained_model_name_or_path: str
    """Hub id (`timm/…` too) or local folder."""
    revision: str | None = None
    pretrained: bool = True
    """False: the architecture's own initialisation; a `timm/…` name then needs no network."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Stored precision of the weights; from_pretrained's own default follows the file, which may be half precision."""
    attn_implementation: str | None = None
    cache_dir: str | None = None
    local_files_only: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of the transformers config, such as `{hidden_dropout_prob: 0.1}`."""
    model_args: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of `timm.create_model`, such as `{drop_rate: 0.1, drop_path_rate: 0.1}`; timm checkpoints only."""


def load_image_classifier(source: ModelSource, preprocess: PictureOptions, label_names: Sequence[str]) -> LoadedModel:
    """Return the network with its weights; layers that the checkpoint does not hold start near zero.

    Raises `InputError` for a checkpoint that is not there or cannot be reached, and options that do not fit it.
    """
    from transformers import AutoModelForImageClassification

    stored, revision = _fetch_config(source)
    config, plain = _configure(source, preprocess, label_names, stored, revision)
    label_parameters = _find_label_parameters(config)
    if not source.pretrained:
        own = timm_checkpoint.is_timm(stored)
        model = (
            timm_checkpoint.initialise_timm_model(config)
            if own
            else AutoModelForImageClassification.from_config(config)
        )
        model = model.to(getattr(torch, source.dtype))
        new = set(name for name, _ in model.named_parameters())
    else:
        model, new = _load_weights(source, config, revision)
        if _stored_labels(stored) != list(label_names):
            new |= label_parameters
        others = new - label_parameters
        if others:
            logger.warning("the checkpoint does not hold %s: they start at random", ", ".join(sorted(others)))
        new_layers.start_near_zero(model, new & label_parameters)
        new |= label_parameters
    _check_forward(model, PictureProcessor(plain))
    return LoadedModel(
        model=model,
        processor=PictureProcessor(plain),
        new_layers=new_layers.name_layers(new),
        base_id=source.pretrained_model_name_or_path,
        revision=revision,
        pretrained=source.pretrained,
        own_size=_own_size(stored),
    )


def outline_image_classifier(
    source: ModelSource, preprocess: PictureOptions, label_names: Sequence[str]
) -> LoadedModel:
    """Return the same network on the meta device: its configuration is fetched, no weight is."""
    from transformers import AutoModelForImageClassification

    stored, revision = _fetch_config(source)
    config, plain = _configure(source, preprocess, label_names, stored, revision)
    label_parameters = _find_label_parameters(config)
    with torch.device("meta"):
        model = AutoModelForImageClassification.from_config(config)
    new = label_parameters if source.pretrained else {name for name, _ in model.named_parameters()}
    return LoadedModel(
        model=model,
        processor=PictureProcessor(plain),
        new_layers=new_layers.name_layers(new),
        base_id=source.pretrained_model_name_or_path,
        revision=revision,
        pretrained=source.pretrained,
        own_size=_own_size(stored),
    )


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


def _fetch_config(source: ModelSource) -> tuple[dict[str, Any], str | None]:
    """Return config.json and the commit that it is from (None for a folder or an architecture's name)."""
    name = source.pretrained_model_name_or_path
    if Path(name).is_dir():
        file = Path(name, "config.json")
        if not file.exists():
            raise InputError(f"folder {name!r} holds no config.json", "is it a saved model?", at=_AT)
        return json.loads(file.read_text()), None
    if not source.pretrained and name.startswith("timm/"):
        return timm_checkpoint.read_timm_architecture(name), None
    file = _download_config(source)
    return json.loads(file.read_text()), file.parent.name


def _download_config(source: ModelSource) -> Path:
    from huggingface_hub import errors, hf_hub_download

    name = source.pretrained_model_name_or_path
    try:
        path = hf_hub_download(
            name,
            "config.json",
            revision=source.revision,
            cache_dir=source.cache_dir,
            local_files_only=source.local_files_only,
        )
    except errors.HFValidationError:
        raise InputError(
            f"{name!r} is neither a folder nor a Hub id", "as in `google/vit-base-patch16-224`", at=_AT
        ) from None
    except errors.GatedRepoError:
        raise InputError(f"{name!r} is gated", "accept its terms on the Hub and run `hf auth login`", at=_AT) from None
    except errors.RepositoryNotFoundError:
        hint = "check the spelling; a private one needs `hf auth login`"
        raise InputError(f"the Hub has no model {name!r}", hint, at=_AT) from None
    except errors.RevisionNotFoundError:
        raise InputError(
            f"{name!r} has no revision {source.revision!r}", "see its commits", at=("revision",)
        ) from None
    except errors.LocalEntryNotFoundError:
        hint = "connect, set HF_ENDPOINT, or give a local folder"
        raise InputError(f"the Hub cannot be reached and {name!r} is not in the cache", hint, at=_AT) from None
    except errors.EntryNotFoundError:
        raise InputError(f"{name!r} holds no config.json", "is it a model of transformers or timm?", at=_AT) from None
    except OSError as error:  # HfHubHTTPError is one
        raise InputError(f"{name!r} cannot be fetched: {error}", "try again, or give a local folder", at=_AT) from None
    return Path(path)


def _configure(
    source: ModelSource,
    preprocess: PictureOptions,
    label_names: Sequence[str],
    stored: Mapping[str, Any],
    revision: str | None,
) -> tuple[Any, Any]:
    """Return the config with our labels and the plain processor with our options."""
    from transformers import AutoConfig, AutoImageProcessor, TimmWrapperImageProcessor

    if timm_checkpoint.is_timm(stored):
        _refuse(source, "config", "write arguments of timm.create_model under `model_args:`")
        settings = configure_timm_settings(timm_checkpoint.get_timm_settings(stored), preprocess)
        size = timm_checkpoint.get_timm_settings(stored)["input_size"]
        if settings.get("fixed_input_size") and list(settings["input_size"]) != list(size):
            problem = f"{stored['architecture']} takes pictures of {size[-1]} pixels only"
            raise InputError(problem, "leave it out", at=("preprocess", "image_size"))
        config = timm_checkpoint.build_timm_config(stored, settings, source.model_args, label_names)
        return config, TimmWrapperImageProcessor(settings, architecture=config.architecture)
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
    return config, configure_transformers_processor(AutoImageProcessor.from_pretrained(name, **where), preprocess)


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
        raise InputError(f"the weights cannot be loaded: {error}", "check the name and the network", at=_AT) from None
    finally:
        library_logging.set_verbosity(verbosity)
    absent = set(info["missing_keys"]) | {entry[0] for entry in info["mismatched_keys"]}
    return model, absent & {name for name, _ in model.named_parameters()}


def _stored_labels(stored: Mapping[str, Any]) -> list[str]:
    """Return the label names of a checkpoint, in the order of their numbers."""
    if stored.get("label_names"):
        return list(stored["label_names"])
    return [name for _, name in sorted((int(number), name) for number, name in (stored.get("id2label") or {}).items())]


def _own_size(stored: Mapping[str, Any]) -> int | None:
    """Return the side of the pictures that a checkpoint knows, from its config.json."""
    if timm_checkpoint.is_timm(stored):
        return int(timm_checkpoint.get_timm_settings(stored)["input_size"][-1])
    size = stored.get("image_size")
    return int(size) if isinstance(size, int) else None


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
