"""Whether features are kept, said before the first step."""

from collections.abc import Callable
from typing import Any

import pytest

from hf_tune import array_files
from hf_tune.adapter.attach import attach_adapter
from hf_tune.data.splits import load_splits
from hf_tune.input_error import InputError
from hf_tune.recipe.reader import load_recipe
from hf_tune.tasks import get_task
from hf_tune.training.feature_plan import FeaturePlan, outline_features


@pytest.fixture
def plan(build_tiny_run: Callable[..., tuple[Any, Any]]) -> Callable[..., FeaturePlan]:
    """Return a function that returns the plan of a recipe; the words are overrides."""
    return lambda *words: build_tiny_run(*words)[1].feature_plan


def test_a_probe_keeps_one_vector_of_each_row(plan: Callable[..., FeaturePlan]) -> None:
    found = plan("bert", "peft=probe")
    assert found.body is not None and (found.size, found.num_views, found.reason) == (16, 0, "")


@pytest.mark.parametrize("peft", ["full", "lora", "prefix", "bottleneck"])
def test_where_layers_below_the_head_train_nothing_is_kept_and_nothing_said(
    peft: str, plan: Callable[..., FeaturePlan], caplog: pytest.LogCaptureFixture
) -> None:
    assert plan("bert", f"peft={peft}") == FeaturePlan()
    assert "features" not in caplog.text


@pytest.mark.parametrize(
    "override", ["speed.feature_cache=off", "training.num_train_epochs=1", "training.max_steps=3"], ids=str
)
def test_what_is_switched_off_or_passed_once_is_not_kept(override: str, plan: Callable[..., FeaturePlan]) -> None:
    assert plan("bert", "peft=probe", override) == FeaturePlan()


def test_an_adapter_of_the_head_alone_is_on_top_of_a_frozen_body(plan: Callable[..., FeaturePlan]) -> None:
    lora = "peft={peft_type: LORA, target_modules: [pooler.dense], lora_dropout: 0.0}"
    still = "model.config={hidden_dropout_prob: 0.0, attention_probs_dropout_prob: 0.0}"
    assert plan("bert", lora, still).body is not None
    assert "dropout or moving statistics" in plan("bert", lora).reason


def test_augmented_rows_are_told_with_the_key_that_keeps_views_of_them(
    plan: Callable[..., FeaturePlan], caplog: pytest.LogCaptureFixture
) -> None:
    augment = "preprocess.augment=[random_crop]"
    assert plan("timm", "peft=probe", augment).body is None
    assert "`speed.feature_cache: augmented(8)` keeps 8 views of each" in caplog.text
    assert plan("timm", "peft=probe", augment, "speed.feature_cache=augmented(8)").num_views == 8


def test_mixed_rows_are_not_kept(plan: Callable[..., FeaturePlan], caplog: pytest.LogCaptureFixture) -> None:
    assert plan("timm", "peft=probe", "preprocess.mixup={alpha: 0.2}").body is None
    assert "every epoch passes the frozen layers: rows are mixed with others in every epoch" in caplog.text


def test_too_little_room_is_told(plan: Callable[..., FeaturePlan], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_files, "LIMIT_BYTES", 0)
    assert "0.0 GiB are more than the 0.0 GiB of the disk" in plan("bert", "peft=probe").reason


def test_views_that_cannot_be_kept_are_refused_with_their_line(plan: Callable[..., FeaturePlan]) -> None:
    with pytest.raises(InputError, match="features cannot be kept: what comes below the head is trained"):
        plan("bert", "peft=full", "speed.feature_cache=augmented(2)")


@pytest.mark.parametrize(("name", "size"), [("bert", 16), ("gpt2", 16), ("timm", 96), ("resnet", 16), ("vit", 16)])
def test_check_knows_the_size_without_weights(
    name: str, size: int, write_text_recipe: Any, write_recipe: Any, tiny_checkpoints: Any
) -> None:
    file = write_recipe(tiny_checkpoints[name]) if name in tiny_checkpoints else write_text_recipe(name)
    for peft, expected in (("probe", size), ("full", None)):
        recipe = load_recipe(file, [f"peft={peft}"])
        task = get_task(recipe.task)
        splits = load_splits(recipe.data, task, recipe.model.problem_type)
        outline = task.outline_model(recipe.model, recipe.preprocess, splits.label_names)
        model = attach_adapter(outline, recipe.peft, recipe.batch_norm, task.peft_task_type)
        batch = task.collate([task.encode(splits.train[row], outline.processor) for row in (0, 1)], outline.processor)
        assert outline_features(task, model, outline.processor, batch) == expected
