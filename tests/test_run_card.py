"""The card of a finished run: every number of it is one of results.json, and its snippets run."""

import contextlib
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from huggingface_hub import ModelCard

import hf_tune.proof
from hf_tune.finetuned import load_finetuned
from hf_tune.input_error import InputError
from hf_tune.recipe.error import RecipeError
from hf_tune.recipe.reader import load_recipe
from hf_tune.run import finetune
from hf_tune.run_card import write_card


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """Return a copy of a finished run."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def train_texts(
    write_text_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, overrides: list[str], kind: str = "class"
) -> tuple[Path, dict[str, Any]]:
    """Return the folder and the results of two steps of a text model."""
    monkeypatch.setattr(hf_tune.proof, "_run_child", hf_tune.proof.main)
    recipe = load_recipe(write_text_recipe(), ["training.max_steps=2", f"data.load.kind={kind}", *overrides])
    return recipe.output_dir, finetune(recipe)


def read_section(text: str, heading: str) -> str:
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def read_table(text: str, first: str) -> dict[str, list[str]]:
    """Return the table whose first column has this name, as its other cells by the first one."""
    lines = text.partition(f"| {first} |")[2].partition("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {name: cells for name, *cells in rows}


def execute(block: str) -> tuple[dict[str, Any], str]:
    """Run a snippet; return its names and what it printed."""
    scope: dict[str, Any] = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(block, scope)
    return scope, printed.getvalue()


def read_blocks(card: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", card, re.M | re.S)


def test_every_number_of_the_card_is_one_of_the_results(finished_run: Path) -> None:
    results = json.loads((finished_run / "results.json").read_text())
    text = (finished_run / "README.md").read_text()
    scores = read_table(read_section(text, "Results"), "metric")
    assert list(scores) == list(results["splits"]["test"])
    for metric, cells in scores.items():
        for split, cell in zip(results["splits"], cells, strict=True):
            known = results["splits"][split][metric]
            numbers = [float(each) for each in re.findall(r"[\d.]+", cell)]
            assert numbers == pytest.approx([known["value"], known["low"], known["high"]], abs=5e-5)
    classes = read_table(read_section(text, "Results"), "class")
    for row in results["details"]["classes"]:
        assert [float(each) for each in classes[row["label"]]] == pytest.approx(
            [row["precision"], row["recall"], row["f1"], row["rows"]], abs=5e-4
        )
    training = read_table(read_section(text, "Training"), "what")
    assert training["seed"] == [str(results["seed"])] and training["steps"] == [str(results["steps"])]
    assert training["method"] == [
        f"full: {results['cost']['total_parameters']:,} of "
        f"{results['cost']['trainable_parameters']:,} parameters were trained"
    ]
    assert float(training["peak memory"][0].split()[0].replace(",", "")) == round(results["cost"]["peak_memory_mib"])
    rows = ", ".join(f"{count} {split}" for split, count in results["data"]["rows"].items())
    data = read_section(text, "Data")
    assert f"Rows: {rows}." in data and results["data"]["fingerprint"] in data
    assert all(f"- {note}" in data for note in results["notes"])
    assert [line[2 : line.index("]")] for line in text.splitlines() if line.startswith("![")] == [
        f"{name.removesuffix('.png')}" for name in results["plots"]
    ]
    assert f"```yaml\n{(finished_run / 'recipe.yaml').read_text()}```" in text
    low, high = results["splits"]["test"]["accuracy"]["low"], results["splits"]["test"]["accuracy"]["high"]
    assert f"{low:.4f} to {high:.4f}, is {high - low:.4f} wide" in read_section(text, "Limits")
    data_of_card = ModelCard.load(finished_run / "README.md").data
    assert {each.metric_type: each.metric_value for each in data_of_card.eval_results} == pytest.approx(
        {name: score["value"] for name, score in results["splits"]["test"].items()}, abs=1e-6
    )


def test_written_again_a_card_is_the_same_to_the_byte(run: Path) -> None:
    before = (run / "README.md").read_bytes()
    (run / "README.md").unlink()
    assert write_card(run) == run / "README.md"
    assert (run / "README.md").read_bytes() == before and list(run.glob("*.tmp")) == []


def test_for_the_hub_a_card_has_another_name_and_says_what_was_verified(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    verified = {"commit": "c0ffee", "rows": 11, "max_abs_difference": 0.0, "date": "2026-11-25"}
    (run / "results.json").write_text(json.dumps(results | {"verified": verified}))
    write_card(run, "me/my-model")
    text = (run / "README.md").read_text()
    assert "\n# my-model\n" in text and 'load_finetuned("me/my-model")' in text and "hf-hub:me/my-model" in text
    assert "commit `c0ffee`" in text


def test_values_of_the_card_block_may_be_given_again(run: Path) -> None:
    recipe = (run / "recipe.yaml").read_bytes()
    write_card(run, overrides=["card.license=mit", "card.tags=[mine]"])
    data = ModelCard.load(run / "README.md").data
    assert (data.license, data.tags) == ("mit", ["mine"]) and (run / "recipe.yaml").read_bytes() == recipe


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("training.seed=3", "command line: training.seed=3: not of the card; a card takes `card.key=value`"),
        (
            "card.licence=mit",
            "command line: card.licence=mit: card.licence: unknown key of ModelCardData; did you mean `license`?",
        ),
        ("card", "command line: card: card: not an override"),
    ],
)
def test_a_value_that_a_card_does_not_take_is_refused(override: str, told: str, run: Path) -> None:
    before = (run / "README.md").read_bytes()
    with pytest.raises(RecipeError, match=re.escape(told)):
        write_card(run, overrides=[override])
    assert (run / "README.md").read_bytes() == before


def test_a_plot_that_was_taken_out_is_not_shown(run: Path) -> None:
    (run / "plots" / "confusion.png").unlink()
    write_card(run)
    assert "confusion.png" not in (run / "README.md").read_text()


def test_a_folder_without_results_has_no_card(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no run"):
        write_card(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["config.json", "recipe.yaml"])
def test_a_run_that_lacks_a_file_is_told_so(name: str, run: Path) -> None:
    (run / name).unlink()
    with pytest.raises(InputError, match=re.escape(name)):
        write_card(run)


def test_the_snippets_of_a_full_model_run_and_agree(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parent)
    pixels = np.random.default_rng(1).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save("some.png")
    own, plain, timm = read_blocks((run / "README.md").read_text())
    scope, printed = execute(own)
    scores = scope["model"].predict(["some.png"])[0].scores
    assert "Prediction(" in printed
    scope, printed = execute(plain)
    assert {each["label"]: each["score"] for each in scope["model"]("some.png")} == pytest.approx(scores, abs=1e-5)
    scope, printed = execute(timm)
    found = scope["model"](scope["transform"](scope["picture"]).unsqueeze(0)).softmax(1)[0].tolist()
    assert dict(zip(["red", "green", "blue"], found, strict=True)) == pytest.approx(scores, abs=1e-5)
    assert "tensor(" in printed


@pytest.mark.parametrize("method", ["lora", pytest.param("bottleneck", marks=pytest.mark.slow)])
def test_the_snippets_of_an_adapter_run_and_agree(
    method: str, write_text_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, results = train_texts(write_text_recipe, monkeypatch, [f"peft={method}"])
    assert set(results["files"]) >= {"adapter_config.json", "adapter_model.safetensors", "config.json"}
    assert set(results["files"]) >= {"tokenizer.json", "tokenizer_config.json"} and "README.md" not in results["files"]
    monkeypatch.chdir(run.parent)
    own, plain = read_blocks((run / "README.md").read_text())
    scope, _ = execute(own)
    scores = scope["model"].predict(["a text"])[0].scores
    scope, printed = execute(plain)
    with torch.no_grad():
        found = scope["model"](**scope["inputs"]).logits.softmax(1)[0].tolist()
    assert dict(zip(["blue", "green", "red"], found, strict=True)) == pytest.approx(scores, abs=1e-5)
    assert "tensor(" in printed


@pytest.mark.parametrize("kind", ["set", "number"])
def test_other_kinds_of_labels_have_a_card_too(
    kind: str, write_text_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, results = train_texts(write_text_recipe, monkeypatch, ["peft=full", "preprocess.max_length=4"], kind)
    text = (run / "README.md").read_text()
    assert "None" not in text and "nan" not in text and ("rmse" if kind == "number" else "f1_micro") in text
    cut = [note for note in results["notes"] if "were cut" in note]
    assert cut and all(f"- {note}" in read_section(text, "Limits") for note in cut)
    monkeypatch.chdir(run.parent)
    own, plain = read_blocks(text)
    scope, _ = execute(own)
    expected = scope["model"].predict(["a text"])[0]
    scope, _ = execute(plain)
    assert 'print(model("a text", truncation=True))' in plain  # a pipeline cuts nothing unasked
    if kind == "number":
        assert scope["model"]("a text", truncation=True)[0]["score"] == pytest.approx(expected.value, abs=1e-5)
    else:
        found = {each["label"]: each["score"] for each in scope["model"]("a text", truncation=True, top_k=None)}
        assert found == pytest.approx(expected.scores, abs=1e-5)
    assert load_finetuned(run).problem_type == results["problem_type"]
