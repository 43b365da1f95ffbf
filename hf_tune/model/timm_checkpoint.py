"""What differs for timm checkpoints: their config, their own initialisation, and files that timm reads back.

Seen with transformers 5.23 and timm 1.0.31: the wrapper re-initialises a model from scratch to N(0, 0.02); a folder of
timm's has `model_args.num_classes`, on which the wrapper fails, and a folder of the wrapper's has `model_args: null`
and prefixed weights, on which timm fails.
"""

import difflib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hf_tune.input_error import InputError
from hf_tune.model.own_network import HiddenHead, read_own_parts, set_head


PREFIX = "timm_model."


def is_timm(config: Mapping[str, Any]) -> bool:
    """Return whether a config.json describes a timm architecture, as timm or as transformers writes it."""
    return config.get("model_type", "timm_wrapper") == "timm_wrapper" and "architecture" in config


def read_timm_architecture(name: str) -> dict[str, Any]:
    """Return the config of `timm/<architecture>[.<tag>]` from timm's own table, without the network."""
    import timm

    try:
        settings = timm.get_pretrained_cfg(name.removeprefix("timm/"), allow_unregistered=False)
    except RuntimeError:
        architecture = name.removeprefix("timm/").partition(".")[0]
        known = timm.list_models()
        close = difflib.get_close_matches(architecture, known, n=3)
        hint = f"did you mean {', '.join(f'timm/{each}' for each in close)}?" if close else "see timm.list_models()"
        raise InputError(f"timm has no model {name!r}", hint, at=("pretrained_model_name_or_path",)) from None
    return {"architecture": settings.architecture, "pretrained_cfg": settings.to_dict()}


def build_timm_config(
    config: Mapping[str, Any],
    settings: Mapping[str, Any],
    model_args: Mapping[str, Any],
    label_names: Any,
    head: HiddenHead | str | None = None,
) -> Any:
    """Return the `TimmWrapperConfig` of an architecture with these labels, preprocessing settings and arguments."""
    from transformers import TimmWrapperConfig

    for name, why in (("num_classes", "the labels come from the data"), ("in_chans", "pictures are read as RGB")):
        if name in model_args:
            raise InputError(f"`{name}` is not yours to set: {why}", "leave it out", at=("model_args", name))
    known = {name: value for name, value in (config.get("model_args") or {}).items() if name != "num_classes"}
    built = TimmWrapperConfig(
        architecture=config["architecture"],
        model_args={**known, **model_args},
        pretrained_cfg={name: value for name, value in settings.items() if name not in ("num_classes", "label_names")},
    )
    built.id2label = dict(enumerate(label_names))
    built.label2id = {name: number for number, name in enumerate(label_names)}
    set_head(built, head, read_own_parts(config))
    return built


def get_timm_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return `pretrained_cfg` of a config.json, or timm's own for its architecture where it has none."""
    settings = config.get("pretrained_cfg")
    if not settings:
        settings = read_timm_architecture(config["architecture"])["pretrained_cfg"]
    return dict(settings)


def initialise_timm_model(build: Callable[[Any], Any], config: Any) -> Any:
    """Return the wrapper around a model with timm's own initialisation; `build` makes the wrapper of a config."""
    import timm

    own = timm.create_model(config.architecture, num_classes=config.num_labels, **config.model_args)
    wrapper = build(config)
    hidden = read_own_parts(config).mlp_head is not None  # which timm does not make
    wrapper.load_state_dict(own.state_dict(), strict=not hidden)  # the wrapper adds its prefix itself
    return wrapper


def mend_timm_folder(folder: Path) -> None:
    """Rewrite what `save_pretrained` of the wrapper wrote, so that timm and transformers both read it."""
    from safetensors.torch import load_file, save_file

    config = json.loads((folder / "config.json").read_text())
    config["model_args"] = config.get("model_args") or {}
    config["num_features"] = config.get("num_features", 0) or None
    config["pretrained_cfg"] = {**config["pretrained_cfg"], "num_classes": config["num_classes"]}
    if config["num_features"] is None:
        del config["num_features"]
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = folder / "model.safetensors"
    if weights.exists():
        tensors = {name.removeprefix(PREFIX): value for name, value in load_file(weights).items()}
        aside = weights.with_suffix(".tmp")  # the file may be a hard link to that of a checkpoint
        save_file(tensors, aside, metadata={"format": "pt"})
        os.replace(aside, weights)
