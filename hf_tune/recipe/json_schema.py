"""A recipe as JSON schema (draft 2020-12), for editors: every key that a recipe takes, with what it means.

It is made of what the reader checks values against, so that the two say the same of names, types, words and ranges;
rules that join two blocks, and what a checkpoint or the data takes, only the reader knows.
"""

import dataclasses
import json
import typing
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pydantic
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError

from hf_tune.adapter.attach import BatchNorm
from hf_tune.adapter.method_words import WORDS
from hf_tune.data.data_source import DataSource
from hf_tune.hub.hub_block import Hub
from hf_tune.model.checkpoint_config import ModelSource
from hf_tune.recipe.build import Accepted, accepted_by_dataclass, list_enum_values
from hf_tune.recipe.field_docs import read_call_docs, read_field_docs
from hf_tune.recipe.library_arguments import (
    accepted_by_card,
    accepted_by_load,
    accepted_by_peft,
    accepted_by_training,
    peft_types,
)
from hf_tune.recipe.source import BLOCKS
from hf_tune.results.decision import Decision
from hf_tune.tasks import get_task, list_tasks
from hf_tune.training.early_stopping import EarlyStopping
from hf_tune.training.objective import Objective
from hf_tune.training.speed import Speed


REQUIRED = ("task", "model", "data", "peft", "training")
_ABOUT = MappingProxyType(
    {
        "task": "A file in hf_tune/tasks/, or a dotted module of your own.",
        "model": "Arguments of from_pretrained.",
        "data": "What is loaded, how it is cut into splits, and which column has which role.",
        "preprocess": "How inputs are made; what is left out is the checkpoint's own.",
        "peft": "Which weights train: a word, or a config of PEFT with its peft_type.",
        "batch_norm": "Whether running statistics move: trained for full, frozen for every other method.",
        "objective": "What is optimised, and at which rates.",
        "decision": "From which probability on the positive one of two classes is answered.",
        "linear_baseline": "Whether logistic regression on frozen features is scored beside; by itself for few rows.",
        "early_stopping": "The best checkpoint is what is saved and scored, and the run ends when nothing improves.",
        "training": "Fields of TrainingArguments.",
        "speed": "What is computed once instead of every epoch.",
        "hub": "Where the run is pushed; without it nothing asks the network.",
        "card": "Arguments of huggingface_hub.ModelCardData.",
    }
)


def write_schema(file: Path) -> None:
    """Write the schema as JSON."""
    file.write_text(dump_schema(), encoding="utf-8")


def dump_schema() -> str:
    """Return the schema as text, the same for the same versions of the libraries."""
    return json.dumps(build_schema(), indent=1, ensure_ascii=False) + "\n"


def build_schema() -> dict[str, Any]:
    """Return the schema of a recipe."""
    peft, methods = _describe_peft()
    preprocess, tasks = _describe_preprocess()
    blocks = {
        "task": {"anyOf": [{"enum": list_tasks()}, {"type": "string", "pattern": r"\."}]},
        "model": describe_dataclass(ModelSource),
        "data": _describe_data(),
        "preprocess": preprocess,
        "peft": peft,
        "batch_norm": _describe_hint(BatchNorm),
        "objective": describe_dataclass(Objective),
        "decision": describe_dataclass(Decision),
        "linear_baseline": {"type": "boolean"},
        "early_stopping": describe_dataclass(EarlyStopping),
        "training": _describe_training(),
        "speed": describe_dataclass(Speed),
        "hub": describe_dataclass(Hub),
        "card": _describe_card(),
    }
    properties = {name: {"description": _ABOUT[name], **_allow_nothing(name, blocks[name])} for name in BLOCKS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A recipe of hf_tune",
        "type": "object",
        "properties": properties,
        "required": list(REQUIRED),
        "additionalProperties": False,
        "allOf": tasks,
        "$defs": methods,
    }


def describe_dataclass(cls: type) -> dict[str, Any]:
    """Return the schema of a block that is a dataclass of ours, with the docstrings under its fields."""
    accepted, docs = accepted_by_dataclass(cls), read_field_docs(cls)
    named = {each.name: each.metadata["options"] for each in dataclasses.fields(cls) if "options" in each.metadata}
    options = {name: {"type": "array", "items": _describe_options(each)} for name, each in named.items()}
    return _describe_block(accepted, docs, options)


def _describe_block(accepted: Accepted, docs: Mapping[str, str], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of the arguments of one call; `known` are those that were described already."""
    properties = {}
    for name, hint in accepted.hints.items():
        if name in accepted.refused:
            continue
        found = known.get(name) or _describe_argument(accepted, name, hint)
        if name in accepted.required:
            found = {**found, "not": {"type": "null"}}
        properties[name] = {**({"description": docs[name]} if docs.get(name) else {}), **found}
    return {
        "type": "object",
        "properties": properties,
        **({"required": sorted(accepted.required)} if accepted.required else {}),
        "additionalProperties": False,
    }


def _describe_argument(accepted: Accepted, name: str, hint: Any) -> dict[str, Any]:
    words = list(accepted.choices.get(name) or list_enum_values(hint))
    if words:
        one: dict[str, Any] = {"enum": words}
        return {"anyOf": [one, {"type": "array", "items": one}, {"type": ["boolean", "null"]}]}
    found = _describe_hint(hint)
    low, high = accepted.ranges.get(name, (None, None))
    if low is not None:
        found = {**found, "minimum": low}
    return found if high in (None, float("inf")) else {**found, "maximum": high}


def _describe_hint(hint: Any) -> dict[str, Any]:
    """Return the schema of a type; `{}`, which takes everything, where JSON has no word for it."""
    inner = next((each for each in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(each)), None)
    if inner is not None and not str(inner.__module__).startswith("hf_tune."):
        return {}  # a library's object, which YAML writes as a word
    if inner is not None:
        block = describe_dataclass(typing.cast(type, inner))
        return block if inner is hint else {"anyOf": [block, {"type": "null"}]}
    try:
        adapter = pydantic.TypeAdapter(hint, config=pydantic.ConfigDict(arbitrary_types_allowed=True))
        found = adapter.json_schema()
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError):
        return {}
    return {} if "$defs" in found else found


def _describe_options(options: Mapping[str, type]) -> dict[str, Any]:
    """Return the schema of one entry of a list of named options: a name, or one key with a block."""
    blocks = {
        name: {"description": (cls.__doc__ or "").partition("\n")[0], **_allow_nothing("", describe_dataclass(cls))}
        for name, cls in options.items()
    }
    one = {"type": "object", "properties": blocks, "additionalProperties": False, "minProperties": 1}
    return {"anyOf": [{"enum": list(options)}, {**one, "maxProperties": 1}]}


def _allow_nothing(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a block that may be left empty, unless a recipe cannot do without it."""
    return schema if name in REQUIRED else {"anyOf": [schema, {"type": "null"}]}


def _describe_data() -> dict[str, Any]:
    import datasets

    known, docs = accepted_by_load("csv"), read_call_docs(datasets.load_dataset)
    properties = {
        name: {**({"description": docs[name]} if name in docs else {}), **_describe_argument(known, name, hint)}
        for name, hint in known.hints.items()
        if name in docs and name not in known.refused
    }
    about = "A Hub id, a folder, csv, json, parquet, imagefolder, or package.module:function of your own."
    properties["path"] = {"description": about, "type": "string"}
    # Formats have options of their own, and a loader of the user's own takes any.
    load = {"type": "object", "properties": properties, "required": ["path"], "additionalProperties": True}
    block = describe_dataclass(DataSource)
    block["properties"]["load"] = {"description": read_field_docs(DataSource)["load"], **load}
    return block


def _describe_preprocess() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the block's schema, and what each task says of it."""
    tasks = [
        {
            "if": {"properties": {"task": {"const": name}}, "required": ["task"]},
            "then": {
                "properties": {"preprocess": _allow_nothing("", describe_dataclass(get_task(name).preprocess))},
            },
        }
        for name in list_tasks()
    ]
    return {"type": "object"}, tasks


def _describe_peft() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the block's schema, and the config of each type."""
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING

    configs = {str(getattr(name, "value", name)): config for name, config in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    blocks = {}
    for name in peft_types():
        accepted = accepted_by_peft(name)
        block = _describe_block(accepted, read_field_docs(configs[name]), {"peft_type": {"const": name}})
        blocks[name] = block
    chosen = [
        {
            "if": {"properties": {"peft_type": {"const": name}}, "required": ["peft_type"]},
            "then": {"$ref": f"#/$defs/{name}"},
        }
        for name in blocks
    ]
    config = {
        "type": "object",
        "properties": {"peft_type": {"description": "The method, as PEFT calls it.", "enum": list(blocks)}},
        "required": ["peft_type"],
        "allOf": chosen,
    }
    return {"if": {"type": "object"}, "then": config, "else": {"enum": list(WORDS)}}, blocks


def _describe_training() -> dict[str, Any]:
    from transformers import TrainingArguments

    return _describe_block(accepted_by_training(), read_field_docs(TrainingArguments), {})


def _describe_card() -> dict[str, Any]:
    from huggingface_hub import ModelCardData

    return _describe_block(accepted_by_card(), read_call_docs(ModelCardData), {})
