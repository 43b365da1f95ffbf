"""What frozen layers make of every row, computed once: the same results as without."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch

import hf_tune.proof
from hf_tune.adapter.attach import attach_adapter
from hf_tune.assembly import build_trainer
from hf_tune.data.splits import load_splits
from hf_tune.recipe.reader import load_recipe
from hf_tune.run import finetune
from hf_tune.tasks import get_task
from hf_tune.training import feature_cache


TEXTS = ("bert", "roberta", "distilbert", "gpt2", "llama")
PICTURES = ("timm", "resnet", "vit")


def mark(name: str) -> Any:
    """Return a name whose test is slow: others show the same on every run of the suite."""
    return pytest.param(name, marks=pytest.mark.slow)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test files of its own."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache" / "hf_tune"


@pytest.fixture
def train(
    write_recipe: Callable[..., Path],
    write_text_recipe: Callable[..., Path],
    tiny_checkpoints: dict[str, str],
    tmp_path: Path,
) -> Callable[..., Any]:
    """Return a function that trains a probe for three epochs and returns the Trainer; the words are overrides."""

    def run(name: str, *overrides: str, word: str = "auto") -> Any:
        file = write_text_recipe(name) if name in TEXTS else write_recipe(tiny_checkpoints[name])
        settings = ("peft=probe", "training.num_train_epochs=3", f"speed.feature_cache={word}", *overrides)
        recipe = load_recipe(file, [*settings, f"training.output_dir={tmp_path / f'run-{time.time_ns()}'}"])
        task = get_task(recipe.task)
        splits = load_splits(recipe.data, task, recipe.model.problem_type)
        torch.manual_seed(0)
        loaded = task.load_model(recipe.model, recipe.preprocess, splits.label_names)
        model = attach_adapter(loaded, recipe.peft, recipe.batch_norm, task.peft_task_type)
        trainer = build_trainer(recipe, task, loaded, model, splits)
        trainer.train()
        return trainer

    return run


def read_trained(trainer: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach() for name, value in trainer.model.named_parameters() if value.requires_grad}


def read_scores(trainer: Any) -> list[float]:
    events = [event for event in trainer.state.log_history if "eval_loss" in event]
    return [event[name] for event in events for name in ("eval_loss", "eval_accuracy", "train_mean_loss")]


@pytest.mark.parametrize(
    "name", ["bert", "gpt2", "timm", "vit", *map(mark, ("roberta", "distilbert", "llama", "resnet"))]
)
def test_a_probe_learns_the_same_and_passes_the_body_once(name: str, train: Callable[..., Any]) -> None:
    with_cache, without = train(name), train(name, word="off")
    assert with_cache.feature_plan.body is not None and without.feature_plan.body is None
    expected = read_trained(without)
    for weight, value in read_trained(with_cache).items():
        assert torch.allclose(value, expected[weight], rtol=0, atol=2e-6), weight
    assert read_scores(with_cache) == pytest.approx(read_scores(without), abs=2e-6)
    assert len(read_scores(without)) == 9
    rows = with_cache.data.test
    assert np.allclose(with_cache.keep_rows(rows)["loss"], without.keep_rows(rows)["loss"], atol=1e-5)


def test_a_new_pooler_trains_above_the_cut(train: Callable[..., Any], tmp_path: Path, write_text_recipe: Any) -> None:
    """BERT without a pooler in its checkpoint: pooler and classifier are both new."""
    import transformers

    source = tmp_path / "no_pooler"
    found = load_recipe(write_text_recipe("bert")).model.pretrained_model_name_or_path
    transformers.BertModel.from_pretrained(found, add_pooling_layer=False).save_pretrained(source)
    transformers.AutoTokenizer.from_pretrained(found).save_pretrained(source)
    with_cache, without = (
        train("bert", f"model.pretrained_model_name_or_path={source}", word=w) for w in ("auto", "off")
    )
    assert with_cache.feature_plan.body is not None
    expected = read_trained(without)
    assert any("pooler" in weight for weight in expected)
    for weight, value in read_trained(with_cache).items():
        assert torch.allclose(value, expected[weight], rtol=0, atol=2e-6), weight


def watch_filling(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of rows of each split whose features are computed."""
    seen: list[int] = []
    real = feature_cache._fill

    def fill(trainer: Any, plan: Any, rows: Any, *rest: Any) -> None:
        seen.append(len(rows))
        real(trainer, plan, rows, *rest)

    monkeypatch.setattr(feature_cache, "_fill", fill)
    return seen


def test_the_next_run_reads_what_the_first_computed(
    train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    filled = watch_filling(monkeypatch)
    first = train("bert")
    assert filled == [24, 9]
    second = train("bert", "training.learning_rate=1e-3")
    assert filled == [24, 9] and len(list(cache.glob("features-*"))) == 2
    assert first.train_dataset is first.data.train and second.eval_dataset is second.data.validation


@pytest.mark.parametrize(
    "change",
    [
        "data.load.rows=18",
        "preprocess.max_length=8",
        "model.pretrained_model_name_or_path=",
        "training.bf16=true",
        "training.per_device_eval_batch_size=3",
    ],
)
def test_other_rows_weights_or_ways_to_compute_give_another_file(
    change: str, train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = train("bert")
    filled = watch_filling(monkeypatch)
    if change.endswith("path="):  # one weight below the head differs by a little
        network = first.model
        with torch.no_grad():
            network.bert.encoder.layer[0].output.dense.bias[3] += 1e-3
        network.save_pretrained(tmp_path / "other")
        first.encoder.plain.save_pretrained(tmp_path / "other")
        change += str(tmp_path / "other")
    assert train("bert", change).feature_plan.body is not None
    assert len(filled) == 2


@pytest.mark.parametrize("name", ["timm", mark("vit")])
def test_as_many_views_as_epochs_learn_what_augmentation_would(name: str, train: Callable[..., Any]) -> None:
    augment = "preprocess.augment=[random_crop, horizontal_flip]"
    kept, fresh = train(name, augment, word="augmented(3)"), train(name, augment)
    assert kept.feature_plan.num_views == 3 and fresh.feature_plan.body is None
    expected = read_trained(fresh)
    for weight, value in read_trained(kept).items():
        assert torch.allclose(value, expected[weight], rtol=0, atol=2e-6), weight
    one = train(name, augment, word="augmented(1)")
    assert any(not torch.allclose(value, expected[weight], atol=1e-5) for weight, value in read_trained(one).items())


def test_views_of_another_seed_are_others(train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    augment = "preprocess.augment=[random_crop]"
    train("timm", augment, word="augmented(1)")
    filled = watch_filling(monkeypatch)
    train("timm", augment, "training.seed=1", word="augmented(1)")
    assert filled == [24]


def test_a_full_disk_costs_time_and_nothing_else(
    train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    expected = read_trained(train("bert", word="off"))
    monkeypatch.setattr(os, "posix_fallocate", full)
    found = train("bert")
    assert "every epoch passes the frozen layers: [Errno 28] No space left on device" in caplog.text
    assert all(torch.equal(value, expected[weight]) for weight, value in read_trained(found).items())
    assert not list(cache.glob("features-*"))


def test_a_run_that_dies_while_it_computes_leaves_nothing_that_is_read(
    train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    real = feature_cache._fill
    monkeypatch.setattr(feature_cache, "_fill", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train("bert")
    assert [file.suffix for file in cache.glob("features-*")] == [".part"]
    monkeypatch.setattr(feature_cache, "_fill", real)
    assert read_trained(train("bert"))
    assert len(list(cache.glob("features-*.npy"))) == 2


def test_a_resumed_run_ends_with_the_bits_of_one_that_was_not_stopped(
    write_text_recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setattr(hf_tune.proof, "_run_child", hf_tune.proof.main)
    settings = ["peft=probe", "training.lr_scheduler_type=constant", "training.max_grad_norm=0.1"]

    def run(name: str, epochs: int, mode: Any) -> bytes:
        overrides = [*settings, f"training.output_dir={tmp_path / name}", f"training.num_train_epochs={epochs}"]
        finetune(load_recipe(write_text_recipe(), overrides), mode)
        return (tmp_path / name / "model.safetensors").read_bytes()

    whole = run("whole", 4, "new")
    half = run("stopped", 2, "new")
    assert half != whole and run("stopped", 4, "resume") == whole
    for file in cache.glob("features-*"):
        file.unlink()  # computed again, they are the same
    assert run("again", 4, "new") == whole
