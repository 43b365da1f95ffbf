"""What `hf-tune check` says of what is computed once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from hf_tune import array_files
from hf_tune.adapter.attach import attach_adapter
from hf_tune.data.encoded import encode_split
from hf_tune.data.splits import load_splits
from hf_tune.recipe.reader import load_recipe
from hf_tune.speed_report import describe_speed
from hf_tune.tasks import get_task


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache" / "hf_tune"


@pytest.fixture
def describe(
    folder: Path, write_recipe: Any, write_text_recipe: Any, tiny_checkpoints: dict[str, str]
) -> Callable[..., list[str]]:
    """Return a function that describes a recipe after overrides; `encode` does first what a run would do."""

    def build(name: str, *overrides: str, encode: bool = False) -> list[str]:
        file = write_recipe(tiny_checkpoints[name]) if name in tiny_checkpoints else write_text_recipe(name)
        recipe = load_recipe(file, overrides)
        task = get_task(recipe.task)
        splits = load_splits(recipe.data, task, recipe.model.problem_type)
        outline = task.outline_model(recipe.model, recipe.preprocess, splits.label_names)
        model = attach_adapter(outline, recipe.peft, recipe.batch_norm, task.peft_task_type)
        for split in (splits.train, splits.validation, splits.test) if encode else ():
            assert split is not None
            encode_split(split, task, outline.processor)
        return describe_speed(recipe, task, outline, model, splits)

    return build


def test_pictures_are_decoded_once_and_nothing_is_written(describe: Callable[..., list[str]], folder: Path) -> None:
    """44 pictures of 3 x 32 x 32 bytes are 0.13 MiB."""
    assert describe("timm") == ["data: decoded once, 0.1 MiB in a file"]
    assert not folder.exists()
    assert describe("timm", encode=True) == ["data: decoded once, 0.1 MiB in a file, there already"]
    assert describe("timm", "speed.decoded_cache=false") == ["data: decoded in every epoch"]


def test_a_file_without_room_is_told(describe: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_files, "LIMIT_BYTES", 0)
    assert describe("timm")[0].startswith("data: decoded in every epoch: 0.0 GiB are more than the 0.0 GiB")


def test_mixed_rows_are_told_and_no_features_are_kept(describe: Callable[..., list[str]]) -> None:
    data, features = describe("timm", "peft=probe", "preprocess.augment=[random_crop]", "preprocess.cutmix={}")
    assert data.endswith("in a file; augmented and mixed on the device, a whole batch at once")
    assert features == "features: computed in every epoch: rows are mixed with others in every epoch"


def test_augmentation_runs_on_whole_batches(describe: Callable[..., list[str]]) -> None:
    data, features = describe("timm", "peft=probe", "preprocess.augment=[random_crop]")
    assert data == "data: decoded once, 0.1 MiB in a file; augmented on the device, a whole batch at once"
    assert features.startswith("features: computed in every epoch: rows are augmented anew")


def test_features_of_a_probe_are_computed_once(describe: Callable[..., list[str]]) -> None:
    """24 rows of 16 numbers of 4 bytes are 1.5 KiB; 100 views are 0.15 MiB."""
    assert describe("bert", "peft=probe") == [
        "data: encoded once, in the cache of `datasets`",
        "features: computed once, 24 x 16, 0.0 MiB in a file",
    ]
    views = describe("vit", "peft=probe", "speed.feature_cache=augmented(100)")[1]
    assert views == "features: computed once, 100 views of 24 x 16, 0.1 MiB in a file"
    off = describe("vit", "peft=probe", "speed.feature_cache=off")[1]
    assert off == "features: computed in every epoch, as `speed.feature_cache: off` says"


def test_where_layers_below_the_head_train_features_are_no_matter(describe: Callable[..., list[str]]) -> None:
    assert len(describe("bert", "peft=lora")) == 1
