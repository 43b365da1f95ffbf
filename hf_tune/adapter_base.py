"""The base under an adapter: loaded at its revision, and checked to be the network that the adapter was trained on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hf_tune.hub.snapshot import describe_failure
from hf_tune.input_error import InputError
from hf_tune.model.checkpoint import find_absent, fingerprint_weights, silence_load_report
from hf_tune.model.own_network import choose_class
from hf_tune.model.quantised_base import build_load_arguments, cast_to_float32, forget_quantization
from hf_tune.results.record import read_results
from hf_tune.task import Task


_OF_THE_RUN = (
    *("id2label", "label2id", "num_labels", "num_classes", "label_names", "problem_type"),
    *("_name_or_path", "architectures", "transformers_version", "pretrained_cfg", "num_features", "intensity"),
)
"""Keys of config.json that two runs on one network may differ in, beside dropout."""


def load_base(
    folder: Path, task: Task, quantization: Any, device: str | torch.device, where: Mapping[str, Any]
) -> Any:
    """Return the base of the adapter in a folder, with the head of the run's config, in float32.

    `where` is `cache_dir` and `local_files_only`. Raises `InputError` where it is not there any more, or another.
    """
    import transformers
    from huggingface_hub.errors import HTTPError
    from peft import PeftConfig

    adapter = PeftConfig.from_pretrained(folder)
    name, revision = adapter.base_model_name_or_path, adapter.revision
    config = transformers.AutoConfig.from_pretrained(folder)
    try:
        with silence_load_report():
            base, info = choose_class(getattr(transformers, task.auto_model), config).from_pretrained(
                name,
                revision=revision,
                config=config,
                dtype="auto",  # as config.json says: the precision that the base had in training
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **where,
                **build_load_arguments(quantization, device),
            )
    except (OSError, HTTPError) as error:
        told = None if Path(name).is_absolute() else describe_failure(error, f"the adapter's base {name!r}", revision)
        problem = f"the adapter's base {name!r} cannot be loaded: {error}"
        raise told or InputError(problem, "it must be at the same place, or on the Hub") from None
    _check_base(folder, adapter, base, info)
    forget_quantization(base.config)
    cast_to_float32(base)  # PEFT 0.21 would round the head to half precision
    return base


def build_outline(folder: Path, task: Task) -> Any:
    """Return the network of a run's config on the meta device: shapes without weights."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        return choose_class(getattr(transformers, task.auto_model), config).from_config(config)


def check_same_base(own: Path, other: Path, name: str) -> None:
    """Raise `InputError` where two runs of adapters do not stand on one and the same network; `name` is the other's.

    Where both say how their base's weights looked, these decide; else its id and revision.
    """
    from hf_tune.adapter.added_adapter import ALONE

    one, two = _read_base(own), _read_base(other)
    if one.get("quantization") != two.get("quantization"):
        raise InputError(f"the base of {name!r} is quantised otherwise than this one", ALONE)
    if one.get("fingerprint") and two.get("fingerprint"):
        same = one["fingerprint"] == two["fingerprint"]
    else:
        same = (one["id"], one["revision"]) == (two["id"], two["revision"])
    if not same:
        raise InputError(f"{name!r} was trained on {_tell_apart(two, one)}", ALONE)
    first, second = _read_network(own), _read_network(other)
    keys = sorted(key for key in first.keys() | second.keys() if first.get(key) != second.get(key))
    if keys:
        told = ", ".join(f"{key} {second.get(key)!r}, not {first.get(key)!r}" for key in keys[:3])
        raise InputError(f"{name!r} was trained on this base with another configuration: {told}", ALONE)


def _tell_apart(two: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    if two["id"] != one["id"]:
        return f"another base: {two['id']!r}, not {one['id']!r}"
    if two["revision"] != one["revision"]:
        return f"revision {two['revision']} of {two['id']!r}, and this one on {one['revision']}: other weights"
    return f"other weights of {two['id']!r} than this one"


def _check_base(folder: Path, adapter: Any, base: Any, info: Mapping[str, Any]) -> None:
    """Raise where the base is not the one that the adapter was trained on: transformers fills gaps at random."""
    whole = tuple(f"{name}." for name in adapter.modules_to_save or ())
    strange = sorted(name for name in find_absent(base, info) if not name.startswith(whole))
    name, hint = adapter.base_model_name_or_path, "put the checkpoint that it was trained on in its place"
    if strange:
        problem = f"{name!r} is not the base of this adapter: it holds no fitting {', '.join(strange[:3])}"
        raise InputError(f"{problem} and {len(strange) - 3} more" if len(strange) > 3 else problem, hint)
    if not (folder / "results.json").exists():  # the run proves itself before it writes them
        return
    own = read_results(folder)["base"]
    if "fingerprint" in own and own["fingerprint"] != fingerprint_weights(base, own["new_layers"]):
        raise InputError(f"{name!r} holds other weights than when this adapter was trained", hint)


def _read_base(folder: Path) -> Mapping[str, Any]:
    """Return what results.json says of the base, or the adapter's config alone: its id and revision."""
    from peft import PeftConfig

    adapter = PeftConfig.from_pretrained(folder)
    known = {"id": adapter.base_model_name_or_path, "revision": adapter.revision}
    return known | (read_results(folder)["base"] if (folder / "results.json").exists() else {})


def _read_network(folder: Path) -> dict[str, Any]:
    """Return the config of a run without what belongs to its labels, and without dropout."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder).to_dict()
    config |= {f"model_args.{key}": value for key, value in (config.pop("model_args", None) or {}).items()}
    return {key: value for key, value in config.items() if key not in _OF_THE_RUN and "drop" not in key}
