"""The regression beside a run: when it runs, what it reads, and that nothing of the run is moved by it."""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import sklearn.linear_model  # importing it draws from `random`
import sklearn.pipeline  # noqa: F401
import torch

import hf_tune.proof
from hf_tune.commands import evaluate_run, info, merge
from hf_tune.data.splits import load_splits
from hf_tune.finetuned import load_finetuned
from hf_tune.hub.hub_block import Hub
from hf_tune.hub_folder import build_hub_folder
from hf_tune.recipe.error import RecipeError
from hf_tune.recipe.reader import load_recipe
from hf_tune.recipe.source import read_yaml
from hf_tune.run import finetune
from hf_tune.small_data import _base_of, _read_features, fit_beside
from hf_tune.tasks import get_task


@pytest.mark.parametrize(
    ("name", "methods"), [("bert", ("lora", "prefix", "bottleneck", "probe")), ("resnet", ("lora", "bottleneck"))]
)
def test_the_features_are_those_of_the_checkpoint_whatever_is_trained(
    name: str, methods: tuple[str, ...], build_tiny_run: Callable[..., Any]
) -> None:
    _, full = build_tiny_run(name, "peft=full")
    expected = _read_features(full, full.model, full.data.validation)
    for method in methods:
        _, trainer = build_tiny_run(name, f"peft={method}")
        trained = {key for key, value in trainer.model.named_parameters() if value.requires_grad}
        for key, value in trainer.model.named_parameters():
            if key in trained and method != "probe":
                torch.nn.init.normal_(value)  # an adapter that has learnt something
        with _base_of(trainer.model) as base:
            found = _read_features(trainer, base, trainer.data.validation)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert {key for key, value in trainer.model.named_parameters() if value.requires_grad} == trained


def test_weights_statistics_and_randomness_stay_as_they_were(build_tiny_run: Callable[..., Any]) -> None:
    recipe, trainer = build_tiny_run("resnet", "linear_baseline=true")
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    first, second = fit_beside(recipe, trainer), fit_beside(recipe, trainer)
    assert first is not None and second is not None and first.strength == second.strength
    for name, value in first.kept["test"].items():
        np.testing.assert_array_equal(value, second.kept["test"][name])
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[2]
    assert np.random.get_state()[1].tolist() == states[1]


@pytest.mark.parametrize(
    ("overrides", "runs"),
    [
        ((), True),  # 24 rows, three times; one pass more is over 24 + 9 + 11
        (("training.num_train_epochs=1",), False),
        (("training.num_train_epochs=1", "linear_baseline=true"), True),
        (("linear_baseline=false",), False),
        (("data.load={path: 'tiny_texts:load', kind: number}",), False),
    ],
    ids=str,
)
def test_it_runs_where_rows_are_few_and_the_run_is_long_enough(
    overrides: tuple[str, ...], runs: bool, build_tiny_run: Callable[..., Any]
) -> None:
    assert (fit_beside(*build_tiny_run("bert", *overrides)) is not None) == runs


def test_it_does_not_run_where_rows_are_many(
    build_tiny_run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, trainer = build_tiny_run("bert")
    monkeypatch.setattr("hf_tune.small_data.FEW_ROWS", 24)
    assert fit_beside(recipe, trainer) is not None  # 8 rows a class
    monkeypatch.setattr("hf_tune.small_data.FEW_ROWS_PER_CLASS", 8)
    assert fit_beside(recipe, trainer) is None
    monkeypatch.undo()
    monkeypatch.setattr("hf_tune.small_data.MOST_WORK", 24 * 16 * 3 - 1)
    assert fit_beside(recipe, trainer) is None


def test_what_cannot_run_beside_is_told_before_training_where_it_is_asked_for(
    write_text_recipe: Callable[..., Path], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    sets = ["linear_baseline=true", "data.load={path: 'tiny_texts:load', kind: set}"]
    with pytest.raises(RecipeError, match="linear_baseline: logistic regression cannot run beside: the labels are no"):
        finetune(load_recipe(write_text_recipe(), sets))
    with pytest.raises(RecipeError, match="with `pretrained: false` the features are random"):
        finetune(load_recipe(write_recipe(), ["linear_baseline=true"]))
    assert not (tmp_path / "run").exists()
    with pytest.raises(RecipeError, match="linear_baseline: expected true or false, got 'no'"):
        load_recipe(write_recipe(), ["linear_baseline=no"])


def test_a_run_of_two_classes_decides_as_it_chose_and_says_so(
    write_recipe: Callable[..., Path],
    tiny_checkpoints: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(hf_tune.proof, "_run_child", hf_tune.proof.main)
    monkeypatch.setenv("COLUMNS", "200")
    file = write_recipe(tiny_checkpoints["resnet"])
    overrides = ["data.load={path: 'tiny_pictures:load', classes: 2}", "data.positive=red", "training.max_steps=2"]
    overrides += ["decision={threshold: {sensitivity: 1}}", "linear_baseline=true", "peft=lora"]
    results = finetune(load_recipe(file, overrides))
    told = " ".join(capsys.readouterr().out.split())
    folder = file.parent / "run"

    decision, scores = results["decision"], results["splits"]
    assert results["label_names"] == ["green", "red"] and results["positive"] == decision["positive"] == "red"
    assert decision["sensitivity"] == scores["validation"]["sensitivity"]["value"] == 1.0
    assert "; positive: red" in told and "'red' is answered where its probability is at least" in told
    assert "accuracy of logistic regression on frozen features" in told and "Only 11 test rows were scored" in told

    rows = pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict()
    is_red = [row[1] >= decision["value"] for row in rows["probabilities"]]
    assert rows["prediction"] == ["red" if each else "green" for each in is_red]
    true = [label == "red" for label in rows["label"]]
    assert scores["test"]["sensitivity"]["value"] == sum(np.logical_and(is_red, true)) / sum(true)
    saved = json.loads((folder / "results.json").read_text())
    assert saved["linear_baseline"]["splits"]["test"]["accuracy"]["value"] > 0.9  # of colours one can tell apart
    assert "decision.json" in saved["files"] and "two_classes.png" in saved["plots"]

    card = (folder / "README.md").read_text()
    assert "`red` is the positive class" in card and "transformers, PEFT and timm do not" in card
    assert "Logistic regression on the frozen features of the same checkpoint (24 training rows, 16 features" in card

    task = get_task("image_classification")
    test = load_splits(load_recipe(folder / "recipe.yaml").data, task).test
    assert test is not None
    finetuned = load_finetuned(folder)
    assert finetuned.threshold is not None and finetuned.threshold.value == decision["value"]
    found = finetuned.predict([test[row]["image"]["bytes"] for row in range(len(test))])
    assert [each.label for each in found] == rows["prediction"]
    assert evaluate_run.main([str(folder)]) == 0 and info.main([str(folder)]) == 0
    told = capsys.readouterr().out
    shown = f"{scores['test']['specificity']['value']:.3f}"
    assert shown in told and told.count("'red' is answered") == 2 and "positive class: red" in told

    merged = file.parent / "merged"
    assert merge.main([str(folder), "--output", str(merged)]) == 0
    assert load_finetuned(merged).threshold == finetuned.threshold
    values = {**read_yaml(folder / "recipe.yaml")[0], "card": {"license": "mit"}}
    pushed = build_hub_folder(folder, values, Hub(repo_id="alice/red"), task)
    assert load_finetuned(pushed).threshold == finetuned.threshold
    sys.modules.pop("tiny_pictures", None)


def test_a_threshold_for_three_classes_is_told_before_training(write_recipe: Callable[..., Path]) -> None:
    file = write_recipe()
    with pytest.raises(
        RecipeError, match=r"decision\.threshold: a threshold is for two classes, and the labels are red"
    ):
        finetune(load_recipe(file, ["decision.threshold=youden"]))
    assert not (file.parent / "run").exists()
