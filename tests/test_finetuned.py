"""A run's folder as a model that predicts."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import PIL.Image
import pytest
import torch
from transformers import AutoModel, AutoModelForImageClassification, AutoModelForSequenceClassification

import hf_tune.proof
from hf_tune.finetuned import Finetuned, load_finetuned
from hf_tune.input_error import InputError
from hf_tune.recipe.reader import load_recipe
from hf_tune.run import finetune


@pytest.fixture(scope="module")
def finetuned(finished_run: Path) -> Finetuned:
    return load_finetuned(finished_run)


def test_labels_and_weights_are_those_that_transformers_reads(finetuned: Finetuned, finished_run: Path) -> None:
    plain = AutoModelForImageClassification.from_pretrained(finished_run)
    assert finetuned.label_names == ("red", "green", "blue") == tuple(plain.config.id2label.values())
    ours, theirs = finetuned.model.state_dict(), plain.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert not finetuned.model.training


def test_the_processor_is_the_plain_one(finetuned: Finetuned, pictures: list[PIL.Image.Image]) -> None:
    pixels = finetuned.processor(pictures, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        probabilities = finetuned.model(pixels).logits.softmax(1).numpy()
    own = [list(each.scores.values()) for each in finetuned.predict(pictures)]
    assert np.allclose(own, probabilities, atol=1e-5)


def test_a_path_its_bytes_and_its_picture_give_the_same(
    finetuned: Finetuned, pictures: list[PIL.Image.Image], tmp_path: Path
) -> None:
    pictures[0].save(tmp_path / "a.png")
    content = io.BytesIO()
    pictures[0].save(content, "PNG")
    inputs = [tmp_path / "a.png", str(tmp_path / "a.png"), content.getvalue(), pictures[0]]
    first, *others = finetuned.predict(inputs, batch_size=1)
    assert others == [first] * 3
    assert first.scores[first.label] == first.score == max(first.scores.values())
    assert sum(first.scores.values()) == pytest.approx(1)


def test_order_and_scores_do_not_depend_on_the_batch(finetuned: Finetuned, pictures: list[PIL.Image.Image]) -> None:
    alone = [finetuned.predict([picture])[0].score for picture in pictures]
    for size in (1, 3, 32):
        assert [each.score for each in finetuned.predict(pictures, size)] == pytest.approx(alone, abs=1e-5)
    assert len({round(score, 6) for score in alone}) == len(pictures)


def test_predicting_puts_the_model_into_evaluation_mode(finetuned: Finetuned, pictures: list[PIL.Image.Image]) -> None:
    before = finetuned.predict(pictures)
    finetuned.model.train()
    assert finetuned.predict(pictures) == before


def test_no_input_gives_no_prediction(finetuned: Finetuned) -> None:
    assert finetuned.predict([]) == []


def test_labels_are_kept_where_the_examples_have_them(finetuned: Finetuned, pictures: list[PIL.Image.Image]) -> None:
    examples = [{"image": picture, "label": number % 3} for number, picture in enumerate(pictures)]
    kept = finetuned.keep_rows(examples, 3)
    assert kept["labels"].tolist() == [0, 1, 2, 0] and kept["top_log_probabilities"].shape == (4, 3)
    assert kept["label_log_probability"].shape == (4,)
    assert finetuned.keep_rows([{"image": pictures[0]}]).keys() == kept.keys() - {"labels", "label_log_probability"}


def test_an_input_that_cannot_be_read_is_named_by_number_and_path(
    finetuned: Finetuned, pictures: list[PIL.Image.Image], tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"^input 1 \(.*broken\.png\): "):
        finetuned.predict([pictures[0], tmp_path / "broken.png"])
    with pytest.raises(InputError, match=r"^input 0: "):
        finetuned.predict([b"no picture"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nobody/no_such_run", "nor in the cache, and must not be fetched"),
        ("/no/such/folder", "nor a Hub id"),
        ("no such name", "nor a Hub id"),
    ],
)
def test_a_name_that_is_neither_folder_nor_hub_id_is_refused(name: str, words: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' is neither a folder {words}"):
        load_finetuned(name)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_other_versions_of_the_libraries_are_said(
    method: str, save_run: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Path(shutil.copytree(save_run("bert", method), tmp_path / "run"))
    first = load_finetuned(folder)
    assert not caplog.records
    results = json.loads((folder / "results.json").read_text())
    results["environment"]["versions"]["transformers"] = "5.1.0"
    (folder / "results.json").write_text(json.dumps(results))
    load_finetuned(folder)
    if method == "lora":
        first.add_adapter(folder)
    said = [record.getMessage() for record in caplog.records if record.name == "hf_tune.finetuned"]
    assert len(said) == (2 if method == "lora" else 1) and "made with transformers 5.1.0, and transformers" in said[0]
    (folder / "results.json").unlink()
    caplog.clear()
    load_finetuned(folder)
    assert not caplog.records


def test_the_base_is_looked_for_in_the_same_cache(
    save_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, asked = save_run("bert", "lora"), []
    plain = AutoModelForSequenceClassification.from_pretrained

    def load(*arguments: Any, cache_dir: Any, local_files_only: bool, **options: Any) -> Any:
        asked.append((cache_dir, local_files_only))
        return plain(*arguments, **options)

    monkeypatch.setattr(AutoModelForSequenceClassification, "from_pretrained", load)
    load_finetuned(folder, cache_dir="there", local_files_only=True)
    assert asked == [("there", True)]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no recipe\.yaml"):
        load_finetuned(tmp_path)


def test_a_run_that_has_not_saved_a_model_is_refused(finished_run: Path, tmp_path: Path) -> None:
    shutil.copy(finished_run / "recipe.yaml", tmp_path)
    with pytest.raises(InputError, match="has not saved a model yet; finish it with --resume"):
        load_finetuned(tmp_path)


def test_an_adapter_without_its_base_names_it(finished_run: Path, tmp_path: Path) -> None:
    for name in ("recipe.yaml", "config.json"):
        shutil.copy(finished_run / name, tmp_path)
    peft.LoraConfig(base_model_name_or_path=str(tmp_path / "gone")).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"the adapter's base '.*gone' cannot be loaded"):
        load_finetuned(tmp_path)


@pytest.fixture
def adapter_run(
    write_text_recipe: Callable[..., Path], tiny_text_checkpoints: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return a run of LoRA on a copy of a tiny BERT, which a test may change."""
    monkeypatch.setattr(hf_tune.proof, "_run_child", hf_tune.proof.main)
    recipe = write_text_recipe()
    base = recipe.with_name("base")
    shutil.copytree(tiny_text_checkpoints["bert"], base)
    overrides = ["peft=lora", "training.max_steps=2", f"model.pretrained_model_name_or_path={base}"]
    finetune(load_recipe(recipe, overrides))
    return recipe.with_name("run")


def test_an_adapter_on_a_base_of_another_architecture_is_refused(
    adapter_run: Path, tiny_text_checkpoints: dict[str, str]
) -> None:
    """transformers 5.23 fills what is absent with random weights, and the adapter would answer by them."""
    assert load_finetuned(adapter_run).predict(["rose"])
    base = adapter_run.with_name("base")
    shutil.rmtree(base)
    shutil.copytree(tiny_text_checkpoints["roberta"], base)
    with pytest.raises(InputError, match=r"is not the base of this adapter: it holds no fitting bert\."):
        load_finetuned(adapter_run)


def test_an_adapter_on_a_base_with_other_weights_is_refused(adapter_run: Path) -> None:
    base = adapter_run.with_name("base")
    model = AutoModel.from_pretrained(base)
    with torch.no_grad():
        model.encoder.layer[1].output.dense.bias[3] += 1e-3
    model.save_pretrained(base)
    with pytest.raises(InputError, match="holds other weights than when this adapter was trained; put the checkpoint"):
        load_finetuned(adapter_run)


@pytest.mark.parametrize("kind", ["resnet", "timm"])
def test_a_base_whose_file_lacks_a_buffer_is_still_the_base_of_its_adapter(
    kind: str,
    write_recipe: Callable[..., Path],
    tiny_checkpoints: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Old files have no `num_batches_tracked`: the run of an adapter trained to its end and then failed its proof."""
    from safetensors.torch import load_file, save_file

    monkeypatch.setattr(hf_tune.proof, "_run_child", hf_tune.proof.main)
    recipe = write_recipe(tiny_checkpoints[kind])
    base = Path(shutil.copytree(tiny_checkpoints[kind], recipe.with_name("base")))
    tensors = load_file(base / "model.safetensors")
    kept = {name: value for name, value in tensors.items() if "num_batches_tracked" not in name}
    assert len(kept) < len(tensors)
    save_file(kept, base / "model.safetensors", metadata={"format": "pt"})
    overrides = ["peft=lora", "training.max_steps=2", f"model.pretrained_model_name_or_path={base}"]
    assert finetune(load_recipe(recipe, overrides))["proof"]["passed"]


def test_damaged_results_beside_an_adapter_are_told(adapter_run: Path) -> None:
    (adapter_run / "results.json").write_text("{")
    with pytest.raises(InputError, match=r"results\.json is damaged"):
        load_finetuned(adapter_run)
