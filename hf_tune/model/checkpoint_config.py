"""Where a checkpoint comes from, and its config.json: the Hub, timm's own table, or a folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from hf_tune.input_error import InputError
from hf_tune.model import timm_checkpoint
from hf_tune.model.own_network import HiddenHead
from hf_tune.task import ProblemType


AT = ("pretrained_model_name_or_path",)
"""The argument that names the checkpoint."""


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
            "load_in_4bit": "write `quantization_config: {quant_method: bitsandbytes, load_in_4bit: true}`",
            "load_in_8bit": "write `quantization_config: {quant_method: bitsandbytes, load_in_8bit: true}`",
            "num_classes": "the labels come from the data; leave it out",
            "drop_rate": "write it under `model_args:`, the arguments of timm.create_model",
            "drop_path_rate": "write it under `model_args:`, the arguments of timm.create_model",
        }
    )

    pretrained_model_name_or_path: str
    """Hub id (`timm/…` too) or local folder."""
    revision: str | None = None
    pretrained: bool = True
    """False: the architecture's own initialisation; a `timm/…` name then needs no network."""
    problem_type: ProblemType | None = None
    """What a label is; None: as the label column looks (numbers with a fraction, lists, or anything else)."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Stored precision of the weights; from_pretrained's own default follows the file, which may be half precision."""
    quantization_config: Mapping[str, Any] | None = None
    """`quant_method` and the arguments of `BitsAndBytesConfig` or `TorchAoConfig`; adapters only."""
    attn_implementation: str | None = None
    cache_dir: str | None = None
    local_files_only: bool = False
    head: Literal["linear"] | HiddenHead | None = None
    """`{hidden: [256], dropout: 0.2}`: a head with hidden layers; None: the checkpoint's own, which is linear."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of the transformers config, such as `{hidden_dropout_prob: 0.1}`."""
    model_args: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of `timm.create_model`, such as `{drop_rate: 0.1, drop_path_rate: 0.1}`; timm checkpoints only."""


def fetch_config(source: ModelSource) -> tuple[dict[str, Any], str | None]:
    """Return config.json and the commit that it is from (None for a folder or an architecture's name)."""
    name = source.pretrained_model_name_or_path
    if Path(name).is_dir():
        file = Path(name, "config.json")
        if not file.exists():
            raise InputError(f"folder {name!r} holds no config.json", "is it a saved model?", at=AT)
        return _read_config(file), None
    if not source.pretrained and name.startswith("timm/"):
        return timm_checkpoint.read_timm_architecture(name), None
    file = _download_config(source)
    return _read_config(file), file.parent.name


def _read_config(file: Path) -> dict[str, Any]:
    """Return a config.json; raises `InputError` for one that is no config, and for an adapter's folder."""
    if (file.parent / "adapter_config.json").exists():
        raise InputError(f"{str(file.parent)!r} holds an adapter, not a whole model", "merge it: hf-tune merge", at=AT)
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{str(file)!r} is damaged: {error}", "fetch or save it again", at=AT) from None
    if not isinstance(stored, dict):
        raise InputError(f"{str(file)!r} is no config of a model", "choose another folder", at=AT)
    return stored


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
            f"{name!r} is neither a folder nor a Hub id", "as in `google/vit-base-patch16-224`", at=AT
        ) from None
    except errors.GatedRepoError:
        raise InputError(f"{name!r} is gated", "accept its terms on the Hub and run `hf auth login`", at=AT) from None
    except errors.RepositoryNotFoundError:
        hint = "check the spelling; a private one needs `hf auth login`"
        raise InputError(f"the Hub has no model {name!r}", hint, at=AT) from None
    except errors.RevisionNotFoundError:
        raise InputError(
            f"{name!r} has no revision {source.revision!r}", "see its commits", at=("revision",)
        ) from None
    except errors.LocalEntryNotFoundError:
        hint = "connect, set HF_ENDPOINT, or give a local folder"
        problem = f"there is no folder {name!r}, the Hub cannot be reached, and it is not in the cache"
        raise InputError(problem, hint, at=AT) from None
    except errors.EntryNotFoundError:
        raise InputError(f"{name!r} holds no config.json", "is it a model of transformers or timm?", at=AT) from None
    except OSError as error:  # HfHubHTTPError is one
        raise InputError(f"{name!r} cannot be fetched: {error}", "try again, or give a local folder", at=AT) from None
    return Path(path)


def read_stored_labels(stored: Mapping[str, Any]) -> list[str]:
    """Return the label names of a checkpoint, in the order of their numbers."""
    if stored.get("label_names"):
        return list(stored["label_names"])
    return [name for _, name in sorted((int(number), name) for number, name in (stored.get("id2label") or {}).items())]
