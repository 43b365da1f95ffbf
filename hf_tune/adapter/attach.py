"""Decide which weights train: full, probe, or any method of PEFT."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch

from hf_tune.adapter.batch_norm import find_batch_norms, freeze_batch_norms
from hf_tune.adapter.frozen_layers import rest_frozen_layers
from hf_tune.adapter.method_targets import check_quantised, find_reason, find_targets
from hf_tune.adapter.method_values import check_values
from hf_tune.adapter.method_words import get_block
from hf_tune.input_error import InputError, find_key
from hf_tune.task import LoadedModel


Method: TypeAlias = str | Mapping[str, Any]
"""One word of `WORDS`, or the fields of a PEFT config with its `peft_type`."""
BatchNorm: TypeAlias = Literal["frozen", "trained", "synced"]
"""Running statistics stay, move, or move and are those of the rows of all processes together."""


def attach_adapter(loaded: LoadedModel, method: Method, batch_norm: BatchNorm | None, task_type: str | None) -> Any:
    """Return the model with the right weights trainable, in float32, and BatchNorm statistics frozen or not.

    New layers always train. `batch_norm` None means trained for `full` and frozen for every other method. Raises
    `InputError` where nothing is pretrained to be kept, or targets match nothing.
    """
    model = loaded.model
    if method != "full" and not loaded.pretrained:
        problem = f"{name_method(method)} keeps the base as it is, and with `pretrained: false` that base is random"
        raise InputError(problem, "write `peft: full`, or start from a checkpoint")
    choice = choose_batch_norm(batch_norm, method)
    if method == "probe":
        _train_only(model, loaded, choice)
    elif method != "full":
        model = _attach_peft(loaded, method, choice, task_type)
    if choice == "frozen":
        freeze_batch_norms(model)
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype in (torch.float16, torch.bfloat16) and method != "full":
            parameter.data = parameter.data.float()
    return model


def choose_batch_norm(batch_norm: BatchNorm | None, method: Method) -> BatchNorm:
    """Return what happens to running statistics: what was asked for, else trained for `full` and frozen elsewhere."""
    return batch_norm or ("trained" if method == "full" else "frozen")


def name_method(method: Method) -> str:
    """Return the method's name as the recipe writes it."""
    return method if isinstance(method, str) else str(method["peft_type"]).lower()


def count_parameters(model: Any) -> tuple[int, int]:
    """Return the numbers of trainable and of all parameters, those packed into bits counted one by one."""
    if hasattr(model, "get_nb_trainable_parameters"):  # of PEFT, which knows how bits are packed
        trainable, total = model.get_nb_trainable_parameters()
        return trainable, total
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, trains in sizes if trains), sum(size for size, _ in sizes)


def _train_only(model: Any, loaded: LoadedModel, choice: BatchNorm) -> None:
    kept = set(loaded.new_layers) | (set(find_batch_norms(model)) if choice != "frozen" else set())
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.rpartition(".")[0] in kept
    rest_frozen_layers(model)


def _attach_peft(loaded: LoadedModel, method: Method, choice: BatchNorm, task_type: str | None) -> Any:
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING, get_peft_model

    block = get_block(method)
    peft_type = block.pop("peft_type")
    reason = find_reason(peft_type, loaded.model, loaded.new_layers)
    if reason:
        problem = f"{name_method(method)} does not work on {loaded.model.config.model_type} models"
        raise InputError(problem, reason)
    if loaded.quantization is not None:
        check_quantised(peft_type)
    check_values(block, loaded.model, loaded.new_layers)
    config_class = PEFT_TYPE_TO_CONFIG_MAPPING[peft_type]
    if "target_modules" in config_class.__dataclass_fields__ and block.get("target_modules") in (None, "all-linear"):
        block |= find_targets(peft_type, block, loaded.model, loaded.new_layers)
    if "init_lora_weights" in block and next(loaded.model.parameters()).is_meta:
        block["init_lora_weights"] = True  # an outline has no weights to start from
    whole = _save_whole(loaded, block.pop("modules_to_save", None) or (), task_type)
    if choice != "frozen":
        whole |= set(find_batch_norms(loaded.model))  # copied with their statistics into the adapter's file
    _fill_prompt(block, config_class, loaded.model)
    try:
        config = config_class(
            **block,
            modules_to_save=sorted(whole),
            task_type=task_type,
            base_model_name_or_path=loaded.base_id,
            revision=loaded.revision,
        )
        return get_peft_model(loaded.model, config)
    except (ValueError, TypeError, NotImplementedError) as error:
        problem = f"PEFT cannot attach {peft_type} to this model: {error}"
        raise InputError(problem, at=find_key(str(error), block)) from error


def _save_whole(loaded: LoadedModel, wanted: Sequence[str], task_type: str | None) -> set[str]:
    """Return the layers that train and are saved whole.

    With a task type PEFT 0.21 adds the modules `classifier` and `score` itself; a layer inside one of them must not be
    named beside it, or it is wrapped twice.
    """
    whole = set(wanted) | loaded.new_layers
    outer = {name for name in ("classifier", "score") if task_type and hasattr(loaded.model, name)}
    return {name for name in whole if not any(name.startswith(f"{each}.") for each in outer)} | outer


def _fill_prompt(block: dict[str, Any], config_class: Any, model: Any) -> None:
    """Give a prompt method its length, and the sizes that PEFT 0.21 does not find in the config of DistilBERT."""
    if "num_virtual_tokens" in config_class.__dataclass_fields__:
        block.setdefault("num_virtual_tokens", 16)
    names = (
        ("token_dim", "hidden_size"),
        ("num_layers", "num_hidden_layers"),
        ("num_attention_heads", "num_attention_heads"),
    )
    stored = model.config.to_dict()
    for name, attribute in names:
        if name in config_class.__dataclass_fields__ and attribute not in stored and hasattr(model.config, attribute):
            block.setdefault(name, getattr(model.config, attribute))
