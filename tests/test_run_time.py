"""How long a run takes, reckoned from a few steps: the sum by hand, and that the steps are those of the recipe."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hf_tune.data.splits import load_splits
from hf_tune.recipe.reader import load_recipe
from hf_tune.run_time import (
    RunShape,
    StepTimes,
    describe_time,
    estimate_features,
    estimate_run,
    format_seconds,
    shape_run,
    time_steps,
)
from hf_tune.tasks import get_task


TIMES = StepTimes(encode=0.01, step=2.0, forward=0.1, head=0.005, timed_rows=8, device="cpu")
SHAPE = RunShape(micro_batches=30, evaluations=5, train_rows=100, validation_rows=20, test_rows=40, encodes=1)


def test_the_seconds_of_a_run_are_those_of_its_parts() -> None:
    reading, steps, scoring = 160 * 0.01, 30 * 2.0, (20 * 6 + 40) * 0.1
    assert estimate_run(TIMES, SHAPE) == pytest.approx(reading + steps + scoring)
    anew = dataclasses.replace(SHAPE, encodes=5)
    assert estimate_run(TIMES, anew) - estimate_run(TIMES, SHAPE) == pytest.approx(4 * 100 * 0.01)


def test_the_seconds_of_kept_features_count_the_frozen_layers_once() -> None:
    assert estimate_features(TIMES, SHAPE) == pytest.approx(160 * 0.01 + (100 + 2 * 20 + 40) * 0.1 + 30 * 0.005)
    assert estimate_features(dataclasses.replace(TIMES, head=None), SHAPE) == estimate_run(TIMES, SHAPE)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (99, "99 s"), (100, "2 min"), (5940, "99 min"), (5970, "1.7 h"), (36_000, "10.0 h")],
)
def test_a_time_is_said_in_its_unit(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.fixture
def load(write_recipe: Callable[..., Path], write_text_recipe: Callable[..., Path]) -> Callable[..., Any]:
    def prepare(model: str, *overrides: str) -> Any:
        write = write_text_recipe if model == "bert" else write_recipe
        recipe = load_recipe(write(model), overrides)
        task = get_task(recipe.task)
        splits = load_splits(recipe.data, task)
        source = dataclasses.replace(recipe.model, problem_type=splits.problem_type)
        return recipe, task, task.outline_model(source, recipe.preprocess, splits.label_names), splits

    return prepare


@pytest.mark.parametrize(
    ("overrides", "micro_batches", "evaluations", "rows", "encodes"),
    [
        ((), 3, 1, 24, 1),
        (("training.num_train_epochs=4", "speed.decoded_cache=false"), 12, 4, 24, 4),
        (("training.max_steps=2",), 2, 1, 16, 1),
        (("training.gradient_accumulation_steps=3", "training.num_train_epochs=2"), 6, 2, 24, 1),
        (("training.eval_strategy=no",), 3, 0, 24, 1),
        (("training.eval_strategy=steps", "training.eval_steps=2", "training.num_train_epochs=2"), 6, 3, 24, 1),
    ],
)
def test_the_shape_of_a_run_is_that_of_its_recipe(
    overrides: tuple[str, ...], micro_batches: int, evaluations: int, rows: int, encodes: int, load: Callable[..., Any]
) -> None:
    recipe, task, _, splits = load("timm/test_resnet.r160_in1k", *overrides)
    shape = shape_run(recipe, task, splits)
    assert (shape.micro_batches, shape.evaluations) == (micro_batches, evaluations)
    assert (shape.train_rows, shape.encodes, shape.validation_rows, shape.test_rows) == (rows, encodes, 9, 11)


@pytest.mark.parametrize(("model", "method"), [("timm", "full"), ("timm", "probe"), ("bert", "lora")])
def test_steps_of_every_method_are_timed_without_weights(
    model: str, method: str, load: Callable[..., Any], tiny_checkpoints: dict[str, str], tmp_path: Path
) -> None:
    recipe, task, outline, splits = load(tiny_checkpoints.get(model, model), f"peft={method}")
    source = Path(recipe.model.pretrained_model_name_or_path)
    folder = shutil.copytree(source, tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors", "*.bin"))
    assert len(list(folder.iterdir())) < len(list(source.iterdir()))  # the weights are not there
    bare = dataclasses.replace(recipe.model, pretrained_model_name_or_path=str(folder))
    recipe = dataclasses.replace(recipe, model=bare)
    times = time_steps(recipe, task, outline, splits)
    assert times.step > 0 and times.forward > 0 and times.encode > 0 and times.timed_rows == 8
    assert (times.head is not None) == (method == "probe")
    assert not (tmp_path / "run").exists()


def test_augmented_rows_pass_the_frozen_layers_in_every_epoch(
    load: Callable[..., Any], tiny_checkpoints: dict[str, str]
) -> None:
    overrides = ("peft=probe", "preprocess.augment=[horizontal_flip]")
    recipe, task, outline, splits = load(tiny_checkpoints["timm"], *overrides)
    assert time_steps(recipe, task, outline, splits).head is None
    assert "every epoch passes" not in describe_time(recipe, task, outline, splits)[0]
    kept = load(tiny_checkpoints["timm"], *overrides, "speed.feature_cache=augmented(2)")
    assert time_steps(*kept).head is not None


def test_what_cannot_be_timed_is_said(
    load: Callable[..., Any], tiny_checkpoints: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, task, outline, splits = load(tiny_checkpoints["timm"])
    quantised = dataclasses.replace(outline, quantization={"quant_method": "torchao"})
    assert describe_time(recipe, task, quantised, splits) == ["time: not known: a quantised base is not timed"]

    def fail(*parts: Any) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr("hf_tune.run_time.time_steps", fail)
    assert "does not fit this machine" in describe_time(recipe, task, outline, splits)[0]
