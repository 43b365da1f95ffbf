"""What the libraries' calls accept: their fields, with the choices, ranges and old names that they do not check."""

import dataclasses
import importlib
import importlib.util
import inspect
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from hf_tune.recipe.build import Accepted, accepted_by_call, accepted_by_dataclass


_ANY = float("inf")

# TrainingArguments of transformers 5.23 accepts a batch size of 0 and a seed of -1; these are the sane limits.
_TRAINING_RANGES = MappingProxyType(
    {
        "per_device_train_batch_size": (1, _ANY),
        "per_device_eval_batch_size": (1, _ANY),
        "gradient_accumulation_steps": (1, _ANY),
        "num_train_epochs": (1e-6, _ANY),
        "max_steps": (-1, _ANY),
        "learning_rate": (0, _ANY),
        "weight_decay": (0, _ANY),
        "adam_beta1": (0, 1),
        "adam_beta2": (0, 1),
        "adam_epsilon": (0, _ANY),
        "max_grad_norm": (0, _ANY),
        "warmup_steps": (0, _ANY),
        "label_smoothing_factor": (0, 1),
        "seed": (0, 2**32 - 1),
        "data_seed": (0, 2**32 - 1),
        "logging_steps": (1e-9, _ANY),
        "eval_steps": (1e-9, _ANY),
        "save_steps": (1e-9, _ANY),
        "save_total_limit": (1, _ANY),
        "dataloader_num_workers": (0, _ANY),
        "eval_delay": (0, _ANY),
    }
)

_SET_BY_HF_TUNE = "hf_tune sets it itself; leave it out"
_OWN_LOADER = "hf_tune cuts the rows into batches itself, each row once; leave it out"
_UNUSED = "the Trainer never reads it; leave it out"

_TRAINING_REFUSED = MappingProxyType(
    {
        # Removed from transformers by release 5.23.
        "evaluation_strategy": "it is called `eval_strategy` now",
        "no_cuda": "it is called `use_cpu` now",
        "overwrite_output_dir": "give `--overwrite` on the command line",
        "group_by_length": "write `train_sampling_strategy: group_by_length`",
        "warmup_ratio": "write it as a fraction: `warmup_steps: 0.05`",
        "logging_dir": "set the environment variable TENSORBOARD_LOGGING_DIR",
        "save_safetensors": "safetensors is the only format now; leave it out",
        "include_inputs_for_metrics": "it is called `include_for_metrics` now",
        "push_to_hub_model_id": "write a block `hub: {repo_id: owner/name}`",
        "per_gpu_train_batch_size": "it is called `per_device_train_batch_size` now",
        "per_gpu_eval_batch_size": "it is called `per_device_eval_batch_size` now",
        "gradient_checkpointing": "it is called `activation_checkpointing` now",
        "past_index": "it has no successor; leave it out",
        "use_ipex": "it has no successor; leave it out",
        "jit_mode_eval": "it has no successor; leave it out",
        "fp16_backend": "it has no successor; leave it out",
        "tokenizer": "the processor comes from the checkpoint; leave it out",
        # What hf_tune decides, because another value gives wrong numbers.
        "remove_unused_columns": _SET_BY_HF_TUNE,
        "label_names": _SET_BY_HF_TUNE,
        "restore_callback_states_from_checkpoint": _SET_BY_HF_TUNE,
        "include_for_metrics": _SET_BY_HF_TUNE,
        "batch_eval_metrics": _SET_BY_HF_TUNE,
        "prediction_loss_only": _SET_BY_HF_TUNE,
        "eval_do_concat_batches": _SET_BY_HF_TUNE,
        "logging_nan_inf_filter": "a loss that is not finite ends the run; leave it out",
        "ddp_broadcast_buffers": _SET_BY_HF_TUNE,
        "average_tokens_across_devices": _SET_BY_HF_TUNE,
        "ignore_data_skip": "a resumed run would see other rows; leave it out",
        "accelerator_config": _OWN_LOADER,
        "dataloader_in_order": _OWN_LOADER,
        "eval_accumulation_steps": "what is kept of a row leaves the device at once; leave it out",
        "eval_use_gather_object": _OWN_LOADER,
        "fsdp": "ask for it in the launcher's config: accelerate_configs/fsdp2.yaml",
        "fsdp_config": "write it into the launcher's config: accelerate_configs/fsdp2.yaml",
        "push_to_hub": "write a block `hub: {repo_id: owner/name}`",
        "hub_model_id": "write a block `hub: {repo_id: owner/name}`",
        "hub_strategy": "write `hub: {every: end}`, or best, or epoch",
        "hub_private_repo": "write `hub: {private: true}`",
        "hub_revision": "write `hub: {revision: …}`",
        "hub_always_push": "a push waits for nothing; leave it out",
        "hub_token": "never write a token into a recipe: run `hf auth login` or set HF_TOKEN",
        "local_rank": "the launcher sets it; leave it out",
        "fp16_full_eval": "it rounds the weights off before they are saved; write `fp16: true`",
        "bf16_full_eval": "it rounds the weights off before they are saved; write `bf16: true`",
        "dataloader_drop_last": "it would drop rows of the evaluation too; leave it out",
        "do_train": _UNUSED,
        "do_eval": _UNUSED,
        "do_predict": _UNUSED,
    }
)

_PEFT_REFUSED = MappingProxyType(
    {
        "base_model_name_or_path": "it is taken from `model:`; leave it out",
        "revision": "it is taken from `model:`; leave it out",
        "inference_mode": _SET_BY_HF_TUNE,
        "auto_mapping": _SET_BY_HF_TUNE,
        "task_type": "it is taken from `task:`; leave it out",
        "megatron_config": "hf_tune does not train with Megatron; leave it out",
        **dict.fromkeys(
            ("eva_config", "corda_config", "lora_ga_config", "loftq_config"),
            "it belongs to a start that hf_tune does not make; `init_lora_weights` takes `pissa` or `olora`",
        ),
    }
)

_LOAD_REFUSED = MappingProxyType(
    {
        "split": "write it under `data.splits`, such as `train: train[:80%]`",
        "task": "loading scripts and tasks are gone from datasets; name roles under `data.columns`",
        "use_auth_token": "it is called `token` now; better: run `hf auth login` and leave it out",
        "features": "cast inside a loader of your own: `path: module:function`",
        "ignore_verifications": "it is called `verification_mode` now",
        "token": "never write a token into a recipe: run `hf auth login` or set HF_TOKEN",
    }
)


_QUANTIZATION_CHOICES = MappingProxyType(
    {
        "bnb_4bit_quant_type": ["fp4", "nf4"],
        "bnb_4bit_compute_dtype": ["float32", "bfloat16", "float16"],
        "bnb_4bit_quant_storage": ["uint8", "float32", "bfloat16", "float16"],
        # transformers 5.23 trains on 8 bits of torchao only; through activations in 8 bits no gradient passes.
        "quant_type": ["Int8WeightOnlyConfig"],
    }
)


def accepted_by_training() -> Accepted:
    """Return what the `training:` block accepts: the fields of `TrainingArguments`."""
    from transformers import TrainingArguments

    known = accepted_by_dataclass(
        TrainingArguments,
        ranges=_TRAINING_RANGES,
        refused=_TRAINING_REFUSED,
        choices={
            "report_to": _reporters(),
            "train_sampling_strategy": ["random", "group_by_length"],
            "optim": ["adam", *_optimizers()],
        },
    )
    required = frozenset({"output_dir"})  # its default, "trainer_output", would mix runs
    hints = {**known.hints, "resume_from_checkpoint": bool}  # the run's own newest one; `--resume` says the same
    return dataclasses.replace(known, hints=hints, required=required)


def find_missing_trackers(names: Sequence[str]) -> dict[str, str]:
    """Return the trackers of `report_to` that are not installed → the command that installs them."""
    modules = {"azure_ml": ("azureml",), "flyte": ("flytekit",), "tensorboard": ("tensorboard", "tensorboardX")}
    packages = {"azure_ml": "azureml-mlflow", "flyte": "flytekit"}
    packages |= {name: f"'hf_tune[{name}]'" for name in ("tensorboard", "wandb", "trackio")}
    known = set(_reporters()) - {"none"}
    missing = [each for each in names if each in known and not any(map(_is_there, modules.get(each, (each,))))]
    return {name: f"pip install {packages.get(name, name)}" for name in missing}


def accepted_by_peft(peft_type: str) -> Accepted:
    """Return what a `peft:` block accepts beside `peft_type`: the fields of that method's config."""
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING

    ranges = {
        "r": (0 if peft_type == "OFT" else 1, _ANY),  # of OFT 0 means: by the size of a block
        "lora_alpha": (1e-9, _ANY),
        "lora_dropout": (0, 1),
        "num_virtual_tokens": (1, _ANY),
    }
    config = PEFT_TYPE_TO_CONFIG_MAPPING[peft_type]
    known = accepted_by_dataclass(config, ranges=ranges, refused=_PEFT_REFUSED)
    own = {"peft_type": str, **({"init_lora_weights": bool | str} if "init_lora_weights" in known.hints else {})}
    return dataclasses.replace(known, hints={**known.hints, **own}, required=frozenset())


def peft_types() -> list[str]:
    """Return the values of `peft_type` that PEFT has a config for."""
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING

    return sorted(str(getattr(name, "value", name)) for name in PEFT_TYPE_TO_CONFIG_MAPPING)


def accepted_by_quantization(quant_method: str) -> Accepted:
    """Return what a `model.quantization_config:` block accepts: `quant_method` and the arguments of its config.

    transformers 5.23 gives them no types; a default that is there says what is meant.
    """
    from transformers import BitsAndBytesConfig, TorchAoConfig

    config = {"bitsandbytes": BitsAndBytesConfig, "torchao": TorchAoConfig}[quant_method]
    parameters = inspect.signature(config).parameters.values()
    named = [each for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    types = {each.name: type(each.default) for each in named if isinstance(each.default, (bool, float, str))}
    return Accepted(
        owner=config.__name__,
        hints={"quant_method": str, **{each.name: types.get(each.name, Any) for each in named}},
        required=frozenset(each.name for each in named if each.default is each.empty),
        choices=_QUANTIZATION_CHOICES,
        refused={"llm_int8_enable_fp32_cpu_offload": "the whole model stands on one device; leave it out"},
    )


def accepted_by_load(path: str) -> Accepted:
    """Return what `data.load` accepts: `datasets.load_dataset` and, for a file format, that format's own options."""
    import datasets
    from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES

    known = accepted_by_call(datasets.load_dataset, refused=_LOAD_REFUSED)
    formats = [path] if path in _PACKAGED_DATASETS_MODULES else ["csv", "json", "parquet", "imagefolder"]
    options: dict[str, Any] = {}
    for name in formats:
        module = importlib.import_module(_PACKAGED_DATASETS_MODULES[name][0])
        for config in vars(module).values():
            if isinstance(config, type) and issubclass(config, datasets.BuilderConfig):
                options |= {each.name: Any for each in dataclasses.fields(config)}
    hints = {name: Any if name in ("data_files", "features") else hint for name, hint in known.hints.items()}
    return dataclasses.replace(known, hints={**options, **hints})


def accepted_by_card() -> Accepted:
    """Return what the `card:` block accepts: the arguments of `huggingface_hub.ModelCardData`."""
    from huggingface_hub import ModelCardData

    refused = dict.fromkeys(("eval_results", "model_name", "base_model"), "it is filled from the run's results")
    known = accepted_by_call(ModelCardData.__init__, refused=refused)
    hints = {name: hint for name, hint in known.hints.items() if name != "self"}
    return dataclasses.replace(known, owner="ModelCardData", hints=hints, required=frozenset())


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _optimizers() -> list[str]:
    from transformers.training_args import OptimizerNames

    return [each.value for each in OptimizerNames]


def _reporters() -> list[str]:
    """Return the trackers of transformers, installed or not."""
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    return ["none", *sorted(INTEGRATION_TO_CALLBACK)]
