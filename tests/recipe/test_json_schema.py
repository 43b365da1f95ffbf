"""The JSON schema takes what the reader takes, and marks what it refuses."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from hf_tune.recipe.json_schema import build_schema, dump_schema, write_schema
from hf_tune.recipe.source import BLOCKS


ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = build_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def read(file: Path) -> dict[str, Any]:
    return YAML(typ="safe").load(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_every_shipped_recipe_is_valid_and_opens_with_the_line_for_editors(
    file: Path, validator: jsonschema.Draft202012Validator
) -> None:
    validator.validate(read(file))
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    assert first == "# yaml-language-server: $schema=recipe.schema.json"


def test_the_schema_beside_the_recipes_is_the_one_that_is_made_now(
    validator: jsonschema.Draft202012Validator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hf_tune.recipe.json_schema.build_schema", lambda: validator.schema)
    stored = (ROOT / "recipes" / "recipe.schema.json").read_text(encoding="utf-8")
    assert stored == dump_schema(), "write it again: hf-tune schema --output recipes/recipe.schema.json"
    write_schema(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text(encoding="utf-8") == stored and json.loads(stored)


VALID = (
    ("peft", {"peft_type": "LORA", "r": 4, "target_modules": ["query"], "init_lora_weights": "pissa"}),
    ("peft", {"peft_type": "BOTTLENECK", "placement": "pfeiffer", "reduction_factor": 8.0}),
    ("preprocess", {"augment": ["horizontal_flip", {"rotation": {"degrees": 10}}], "crop_mode": "squash"}),
    ("batch_norm", "synced"),
    ("objective", None),
    ("training.report_to", ["tensorboard", "wandb"]),
    ("training.eval_strategy", "steps"),
    ("training.lr_scheduler_type", "cosine"),
    ("data.load", {"path": "mine:load", "anything": 3}),
    ("data.load", {"path": "csv", "data_files": {"train": "a.csv"}, "sep": ";"}),
    ("data.splits", {"train": "train[:80%]", "validation": 0.1}),
    ("hub", {"repo_id": "a/b", "every": "best"}),
    ("card", {"license": "mit", "tags": ["x"]}),
    ("task", "my_tasks.counting"),
)

BROKEN = (
    ("task", "image_clasification"),
    ("modell", {}),
    ("model.pretrained_model_name_or_path", None),
    ("model.num_labels", 3),
    ("model.dtype", "float64"),
    ("peft", "loar"),
    ("peft", {"peft_type": "LORRA"}),
    ("peft", {"r": 4}),
    ("peft", {"peft_type": "LORA", "alpha": 3}),
    ("peft", {"peft_type": "LORA", "r": 0}),
    ("peft", {"peft_type": "LORA", "r": "eight"}),
    ("preprocess", {"max_length": 8}),
    ("preprocess", {"augment": ["flip"]}),
    ("preprocess", {"augment": [{"rotation": {"angle": 10}}]}),
    ("preprocess", {"crop_mode": "middle"}),
    ("batch_norm", "free"),
    ("early_stopping", {"metrik": "accuracy"}),
    ("training.output_dir", None),
    ("training.sede", 1),
    ("training.learning_rate", "fast"),
    ("training.per_device_train_batch_size", 0),
    ("training.eval_strategy", "epochs"),
    ("training.evaluation_strategy", "epoch"),
    ("data.load", {"data_files": "a.csv"}),
    ("data.splits", {"trian": "train"}),
    ("data.columns", {"image": 3}),
    ("hub", {"every": "step"}),
    ("speed", {"feature_caches": "off"}),
)


def change(path: str, value: Any) -> dict[str, Any]:
    """Return the recipe of the digits with one value changed."""
    values = copy.deepcopy(read(ROOT / "recipes" / "resnet_digits.yaml"))
    *blocks, last = path.split(".")
    inside = values
    for block in blocks:
        inside = inside.setdefault(block, {})
    inside[last] = value
    return values


def is_read(values: dict[str, Any]) -> bool:
    """Return whether the reader takes the values."""
    from hf_tune.recipe.error import RecipeError
    from hf_tune.recipe.reader import build_recipe
    from hf_tune.recipe.source import Source

    try:
        build_recipe(values, Source(str(ROOT / "recipes" / "x.yaml"), {}))
    except RecipeError:
        return False
    return True


@pytest.mark.parametrize(("path", "value"), VALID, ids=str)
def test_what_a_recipe_may_say_is_valid(path: str, value: Any, validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(change(path, value))


@pytest.mark.parametrize(("path", "value"), BROKEN, ids=str)
def test_what_the_reader_refuses_is_marked(path: str, value: Any, validator: jsonschema.Draft202012Validator) -> None:
    values = change(path, value)
    assert not validator.is_valid(values) and not is_read(values)


def test_a_text_recipe_has_the_options_of_texts(validator: jsonschema.Draft202012Validator) -> None:
    values = change("preprocess", {"max_length": 64}) | {"task": "text_classification"}
    assert validator.is_valid(values)
    assert not validator.is_valid(values | {"preprocess": {"image_size": 32}})


def test_nearly_every_key_says_what_it_means(validator: jsonschema.Draft202012Validator) -> None:
    properties = validator.schema["properties"]
    assert list(properties) == list(BLOCKS)
    training = properties["training"]["properties"]
    assert "learning rate" in training["learning_rate"]["description"].lower()
    assert properties["data"]["properties"]["columns"]["description"].startswith("Role → column")
    lora = validator.schema["$defs"]["LORA"]["properties"]
    assert lora["r"]["description"] and len([each for each in training.values() if "description" in each]) > 70
