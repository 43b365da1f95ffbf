"""`hf-tune merge`: a full model with the adapter's outputs, or a sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import hf_tune.proof
from hf_tune import load_finetuned
from hf_tune.commands.merge import main
from hf_tune.recipe.reader import load_recipe
from hf_tune.run import finetune


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return a function that runs a recipe for two steps and returns its folder."""
    monkeypatch.setattr(hf_tune.proof, "_run_child", hf_tune.proof.main)

    def run(recipe: Path, *overrides: str) -> Path:
        loaded = load_recipe(recipe, ["training.max_steps=2", *overrides])
        finetune(loaded)
        return loaded.output_dir

    return run


@pytest.mark.parametrize("method", ["lora", "{peft_type: IA3}", "{peft_type: LN_TUNING}", "{peft_type: LOHA}"])
def test_a_merged_model_answers_as_its_adapter_and_needs_no_peft(
    method: str, train: Any, write_text_recipe: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, merged = train(write_text_recipe(), f"peft={method}"), tmp_path / "merged"
    assert main([str(run), "--output", str(merged)]) == 0
    found = json.loads((merged / "merge.json").read_text())
    assert found["rows"] == 11 and found["agreement"] == 1.0 and found["passed"] and found["split"] == "test"
    assert "the same answer on 100.0%" in capsys.readouterr().out
    assert not (merged / "adapter_config.json").exists()
    texts = ["the old rose", "near a ruby brick sky"]
    one, other = (load_finetuned(folder).predict(texts) for folder in (run, merged))
    assert [each.scores for each in other] == [pytest.approx(each.scores, abs=1e-5) for each in one]
    model = AutoModelForSequenceClassification.from_pretrained(merged).eval()
    tokens = AutoTokenizer.from_pretrained(merged)(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        chances = model(**tokens).logits.softmax(1)[0].tolist()
    assert dict(zip(model.config.id2label.values(), chances, strict=True)) == pytest.approx(one[0].scores, abs=1e-5)


@pytest.mark.parametrize("network", ["resnet", "vit", "timm"])
def test_picture_models_merge(
    network: str, train: Any, write_recipe: Any, tiny_checkpoints: dict[str, str], tmp_path: Path
) -> None:
    run = train(write_recipe(tiny_checkpoints[network]), "peft=lora")
    assert main([str(run), "--output", str(tmp_path / "merged")]) == 0
    assert json.loads((tmp_path / "merged" / "merge.json").read_text())["passed"]
    assert load_finetuned(tmp_path / "merged").label_names == ("red", "green", "blue")


def test_numbers_have_no_agreement(train: Any, write_text_recipe: Any, tmp_path: Path) -> None:
    recipe = write_text_recipe(replace=(("tiny_texts:load", "tiny_texts:load\n    kind: number"),))
    assert main([str(train(recipe, "peft=lora")), "--output", str(tmp_path / "merged")]) == 0
    assert json.loads((tmp_path / "merged" / "merge.json").read_text())["agreement"] is None


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("full", "nothing to merge"),
        ("probe", "nothing to merge"),
        ("prefix", "PREFIX_TUNING cannot be merged: its tokens"),
        ("bottleneck", "BOTTLENECK cannot be merged: its layers are not linear"),
    ],
)
def test_what_cannot_be_merged_is_told(
    method: str, words: str, train: Any, write_text_recipe: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(write_text_recipe(), f"peft={method}")
    capsys.readouterr()
    assert main([str(run), "--output", str(tmp_path / "merged")]) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "merged").exists()


def test_a_merge_that_goes_wrong_is_told(
    train: Any, write_text_recipe: Any, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(write_text_recipe(), "peft=lora", "training.learning_rate=0.3")
    monkeypatch.setattr(peft.LoraModel, "merge_and_unload", lambda self, safe_merge: self.unload())
    assert main([str(run), "--output", str(tmp_path / "merged")]) == 4
    assert "the outputs are not the adapter's" in capsys.readouterr().err
    assert json.loads((tmp_path / "merged" / "merge.json").read_text())["passed"] is False


def test_a_method_that_peft_cannot_merge_is_told(
    train: Any, write_text_recipe: Any, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(self: Any, safe_merge: bool) -> None:
        raise NotImplementedError("not that one")

    run = train(write_text_recipe(), "peft=lora")
    monkeypatch.setattr(peft.LoraModel, "merge_and_unload", refuse)
    assert main([str(run), "--output", str(tmp_path / "merged")]) == 2
    assert "PEFT cannot merge" in capsys.readouterr().err and not (tmp_path / "merged").exists()


def test_a_folder_that_holds_something_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").touch()
    assert main(["run", "--output", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert main([str(tmp_path), "--output", str(tmp_path / "new")]) == 2
    assert "is no run of hf_tune" in capsys.readouterr().err
