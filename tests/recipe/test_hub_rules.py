"""What a recipe with a `hub:` block must say, each told at its line."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hf_tune.recipe.error import RecipeError
from hf_tune.recipe.reader import load_recipe


HUB = ("hub.repo_id=alice/pictures", "card.license=mit")


def told(recipe: Path, *overrides: str) -> str:
    with pytest.raises(RecipeError) as error:
        load_recipe(recipe, overrides)
    return str(error.value)


def test_a_card_without_a_licence_is_refused(write_recipe: Callable[..., Path]) -> None:
    assert "card.license: the card of a run that is pushed names its licence" in told(write_recipe(), HUB[0])
    load_recipe(write_recipe(), HUB)
    load_recipe(write_recipe(), ["hub.offline=true"])


def test_an_adapter_of_a_local_base_needs_the_bases_name(
    write_recipe: Callable[..., Path], tiny_checkpoints: dict[str, str]
) -> None:
    recipe = write_recipe(tiny_checkpoints["vit"])
    line = recipe.read_text().splitlines().index(f"  pretrained_model_name_or_path: {tiny_checkpoints['vit']}") + 1
    problem = told(recipe, *HUB, "peft=lora")
    assert f"recipe.yaml:{line}: model.pretrained_model_name_or_path: the adapter's base" in problem
    load_recipe(recipe, HUB)  # full
    loaded = load_recipe(recipe, [*HUB, "peft=lora", "hub.base_model={id: some/base, revision: abc}"])
    assert loaded.hub is not None and loaded.hub.base_model is not None and loaded.hub.base_model.id == "some/base"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["hub.every=best"], "hub.every: no checkpoint is the best one"),
        (["hub.every=epoch", "training.save_strategy=no"], "hub.every: no checkpoint is saved at the end of an epoch"),
        (["hub.every=sometimes"], "hub.every: expected one of"),
        (["hub.token=hf_x"], "hub.token: not accepted by Hub; never write a token into a recipe"),
        (["hub.repo=a/b"], "hub.repo: unknown key of Hub; did you mean `repo_id`?"),
        (["training.push_to_hub=true"], "training.push_to_hub: not accepted by TrainingArguments; write a block"),
        (["card.tags=[jane@clinic.org]"], "card.tags.0: 'jane@clinic.org' looks like an e-mail address"),
    ],
)
def test_what_cannot_be_pushed_is_told(write_recipe: Callable[..., Path], overrides: list[str], words: str) -> None:
    assert words in told(write_recipe(), *HUB, *overrides)


def test_what_everyone_may_read_is_allowed(write_recipe: Callable[..., Path]) -> None:
    tags = "card.tags=[jane@clinic.org]"
    load_recipe(write_recipe(), [*HUB, tags, "hub.allow_text=[jane@clinic.org]"])
    load_recipe(write_recipe(), [tags])  # no hub: nothing is pushed


def test_a_base_that_is_no_longer_there_is_no_local_base(
    write_recipe: Callable[..., Path], tiny_checkpoints: dict[str, str], tmp_path: Path
) -> None:
    recipe = write_recipe(tiny_checkpoints["vit"])
    base = shutil.copytree(tiny_checkpoints["vit"], tmp_path / "gone")
    shutil.rmtree(base)
    load_recipe(recipe, [*HUB, "peft=lora", "model.pretrained_model_name_or_path=some/base"])
