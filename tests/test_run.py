"""The whole path: recipe → trained, saved, proved model, and what plain libraries make of the files."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from hf_tune.finetuned import load_finetuned
from hf_tune.recipe.reader import load_recipe
from hf_tune.run import finetune, main


@pytest.fixture(autouse=True)
def no_child_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the proof's child inside this process, but for the tests that are marked `fresh`: it costs 8 s each."""
    if "fresh_process" in request.fixturenames:
        return
    import hf_tune.proof

    monkeypatch.setattr(hf_tune.proof, "_run_child", hf_tune.proof.main)


@pytest.fixture
def fresh_process() -> None:
    """Mark a test whose proof is to run as users' do."""


def test_a_run_leaves_everything_and_its_proof_passes_in_a_fresh_process(
    write_recipe: Callable[..., Path], tmp_path: Path, fresh_process: None
) -> None:
    recipe = write_recipe(replace=(("num_train_epochs: 1", "num_train_epochs: 3"),))
    assert main([str(recipe)]) == 0
    run = tmp_path / "run"
    results = json.loads((run / "results.json").read_text())
    assert results["proof"]["passed"] and results["proof"]["rows"] == 11
    assert results["method"] == "full" and results["batch_norm"] == "trained"
    assert set(results["splits"]) == {"validation", "test"}
    accuracy = results["splits"]["test"]["accuracy"]
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    for name in (
        "recipe.yaml",
        "predictions.parquet",
        "reference.parquet",
        "README.md",
        "log.jsonl",
        "plots/curves.png",
    ):
        assert (run / name).exists(), name
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert all("train_accuracy" in line for line in lines if "eval_loss" in line)
    card = (run / "README.md").read_text()
    assert "More information needed" not in card and "{{" not in card and "None" not in card
    assert load_recipe(run / "recipe.yaml").training == load_recipe(recipe).training


@pytest.mark.parametrize("method", ["full", "lora", "probe"])
@pytest.mark.parametrize("architecture", ["resnet", "vit", "timm"])
def test_each_method_reloads_to_the_same_outputs_and_trains_only_what_it_says(
    architecture: str, method: str, write_recipe: Callable[..., Path], tiny_checkpoints: dict[str, str], tmp_path: Path
) -> None:
    recipe = write_recipe(tiny_checkpoints[architecture])
    results = finetune(load_recipe(recipe, [f"peft={method}"]))
    assert results["proof"]["passed"]
    share = results["cost"]["trainable_parameters"] / results["cost"]["total_parameters"]
    assert share == 1 if method == "full" else share < 0.5
    assert results["batch_norm"] == ("none" if architecture == "vit" else "trained" if method == "full" else "frozen")
    finetuned = load_finetuned(tmp_path / "run")
    assert finetuned.label_names == ("red", "green", "blue")


@pytest.mark.parametrize("kind", ["timm", "vit"])
@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (("model.head={hidden: [6], dropout: 0.5}",), "has a head with hidden layers"),
        (("preprocess.image_size=48", "preprocess.tiles={size: 32, reduce: max}"), "sees pictures in tiles"),
    ],
    ids=["head", "tiles"],
)
def test_a_network_with_parts_of_ours_goes_the_whole_way(
    kind: str,
    parts: tuple[str, ...],
    said: str,
    write_recipe: Callable[..., Path],
    tiny_checkpoints: dict[str, str],
    tmp_path: Path,
) -> None:
    overrides = ["peft=lora", "linear_baseline=true", "training.num_train_epochs=2", "training.save_strategy=epoch"]
    results = finetune(load_recipe(write_recipe(tiny_checkpoints[kind]), [*overrides, *parts]))
    assert results["proof"]["passed"] and results["linear_baseline"]["features"] > 6  # those below the hidden layers
    card = (tmp_path / "run" / "README.md").read_text()
    assert f"The network {said}: hf_tune alone" in card and "PeftModel" not in card


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("kind", ["timm", "vit"])
def test_a_network_with_parts_of_ours_is_resumed_to_the_same_bits(
    kind: str, method: str, write_recipe: Callable[..., Path], tiny_checkpoints: dict[str, str], tmp_path: Path
) -> None:
    overrides = [
        "training.num_train_epochs=2",
        "training.save_total_limit=3",
        "model.head={hidden: [6], dropout: 0.5}",
    ]
    overrides += [f"peft={method}", "preprocess.image_size=48", "preprocess.tiles={size: 32, reduce: max}"]
    recipe, run = load_recipe(write_recipe(tiny_checkpoints[kind]), overrides), tmp_path / "run"
    finetune(recipe)
    weights = run / ("model.safetensors" if method == "full" else "adapter_model.safetensors")
    first = safetensors.torch.load_file(weights)
    last = max(run.glob("checkpoint-*"), key=lambda path: int(path.name.removeprefix("checkpoint-")))
    shutil.rmtree(last)
    (run / "results.json").unlink()
    weights.unlink()
    assert finetune(recipe, "resume")["proof"]["passed"]
    again = safetensors.torch.load_file(weights)
    assert all(torch.equal(value, again[name]) for name, value in first.items())


@pytest.mark.parametrize("architecture", ["resnet", "timm"])
def test_lora_with_trained_batch_norm_saves_the_statistics_that_moved(
    architecture: str, write_recipe: Callable[..., Path], tiny_checkpoints: dict[str, str]
) -> None:
    recipe = write_recipe(tiny_checkpoints[architecture])
    results = finetune(load_recipe(recipe, ["peft=lora", "batch_norm=trained"]))
    assert results["proof"]["passed"] and results["batch_norm"] == "trained"


@pytest.mark.parametrize("method", ["bottleneck", "lora"])
def test_a_half_precision_base_trains_and_reloads(
    method: str, write_recipe: Callable[..., Path], tiny_checkpoints: dict[str, str]
) -> None:
    overrides = ["model.dtype=bfloat16", f"peft={method}", "training.bf16=true"]
    results = finetune(load_recipe(write_recipe(tiny_checkpoints["resnet"]), overrides))
    assert results["proof"]["passed"]


def test_plain_transformers_and_timm_load_a_full_timm_model(
    write_recipe: Callable[..., Path], tiny_checkpoints: dict[str, str], tmp_path: Path, pictures: list
) -> None:
    """TRAPS M2, M3, M4b: one folder that both libraries read."""
    import timm
    from transformers import AutoModelForImageClassification, pipeline

    finetune(load_recipe(write_recipe(tiny_checkpoints["timm"])))
    run = str(tmp_path / "run")
    ours = load_finetuned(run)
    pixels = ours.encoder.normalise(torch.stack([ours.encoder.encode(each) for each in pictures]))
    with torch.no_grad():
        expected = ours.model(pixels).logits
        by_transformers = AutoModelForImageClassification.from_pretrained(run).eval()(pixels).logits
        by_timm = timm.create_model(f"local-dir:{run}", pretrained=True).eval()(pixels)
    assert torch.allclose(expected, by_transformers, atol=1e-6) and torch.allclose(expected, by_timm, atol=1e-6)
    predicted = ours.predict(pictures)
    for picture, own in zip(pictures, predicted, strict=True):
        plain = pipeline("image-classification", model=run)(picture)
        assert plain[0]["label"] == own.label and plain[0]["score"] == pytest.approx(own.score, abs=1e-5)


def test_plain_transformers_loads_a_full_hub_model(
    write_recipe: Callable[..., Path], tiny_checkpoints: dict[str, str], tmp_path: Path, pictures: list
) -> None:
    from transformers import pipeline

    finetune(load_recipe(write_recipe(tiny_checkpoints["resnet"])))
    own = load_finetuned(tmp_path / "run").predict(pictures)
    plain = pipeline("image-classification", model=str(tmp_path / "run"))(pictures)
    for ours, theirs in zip(own, plain, strict=True):
        assert theirs[0]["label"] == ours.label and theirs[0]["score"] == pytest.approx(ours.score, abs=1e-5)


@pytest.mark.parametrize("architecture", ["resnet", "timm"])
def test_plain_peft_loads_an_adapter_with_its_labels_and_preprocessing(
    architecture: str,
    write_recipe: Callable[..., Path],
    tiny_checkpoints: dict[str, str],
    tmp_path: Path,
    pictures: list,
) -> None:
    """TRAPS P10b: the card's own snippet."""
    from peft import PeftModel
    from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification

    finetune(load_recipe(write_recipe(tiny_checkpoints[architecture]), ["peft=lora"]))
    run = str(tmp_path / "run")
    config = AutoConfig.from_pretrained(run)
    base = AutoModelForImageClassification.from_pretrained(
        tiny_checkpoints[architecture], config=config, ignore_mismatched_sizes=True
    )
    model = PeftModel.from_pretrained(base, run).eval()
    pixels = AutoImageProcessor.from_pretrained(run)(pictures, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        probabilities = model(pixels).logits.softmax(1).numpy()
    own = load_finetuned(run).predict(pictures)
    assert list(config.id2label.values()) == ["red", "green", "blue"]
    assert np.allclose(probabilities, [list(each.scores.values()) for each in own], atol=1e-5)


def test_the_same_recipe_gives_the_same_bits(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    recipe = write_recipe(replace=(("squash", "squash\n  augment: [random_crop, horizontal_flip, rotation]"),))
    runs = []
    for name, workers, cached in (("a", 0, "true"), ("b", 2, "true"), ("c", 0, "false")):
        overrides = [f"training.output_dir={tmp_path / name}", f"training.dataloader_num_workers={workers}"]
        finetune(load_recipe(recipe, [*overrides, f"speed.decoded_cache={cached}"]))
        runs.append((tmp_path / name / "model.safetensors").read_bytes())
    assert runs[0] == runs[1] == runs[2]


def test_pixels_in_another_order_of_memory_are_saved_as_any_model(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    weights = []
    for last in ("true", "false"):
        overrides = [f"training.output_dir={tmp_path / last}", f"speed.channels_last={last}", "training.max_steps=2"]
        assert finetune(load_recipe(write_recipe(), overrides))["proof"]["passed"]
        weights.append(safetensors.torch.load_file(tmp_path / last / "model.safetensors"))
    assert all(value.is_contiguous() for value in weights[0].values())
    assert all(torch.allclose(value, weights[1][name], atol=1e-3) for name, value in weights[0].items())


def test_a_folder_that_holds_a_run_is_kept(
    write_recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe()
    assert main([str(recipe)]) == 0
    before = (tmp_path / "run" / "results.json").read_bytes()
    assert main([str(recipe)]) == 2
    message = capsys.readouterr().err
    assert "recipe.yaml:18: training.output_dir" in message and "--overwrite" in message
    assert (tmp_path / "run" / "results.json").read_bytes() == before
    assert main([str(recipe), "--overwrite", "training.max_steps=1"]) == 0
    assert main([str(recipe), "--resume"]) == 0
    assert json.loads((tmp_path / "run" / "results.json").read_text())["steps"] == 3


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("training.max_steps=4", "model.pretrained=true", "peft=lora"), ("model.pretrained", "peft")),
        (("training.max_steps=4", "data.load.rows=30"), ("data.load.rows",)),
        ((), ("training.output_dir: the run in", "is finished; raise `max_steps`")),
        (("training.max_steps=1",), ("training.max_steps: the run is finished: it has taken 2 steps",)),
    ],
)
def test_a_run_is_not_resumed_as_another_one_or_beyond_its_end(
    overrides: tuple[str, ...], told: tuple[str, ...], finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found: recipe.yaml was replaced before the mismatch was seen, and a finished run took one step more."""
    sys.modules.pop("tiny_pictures", None)
    before = {path: path.read_bytes() for path in finished_run.rglob("*") if path.is_file()}
    assert main([str(finished_run.parent / "recipe.yaml"), "--resume", "training.max_steps=2", *overrides]) == 2
    sys.modules.pop("tiny_pictures", None)
    message = capsys.readouterr().err
    assert all(words in message for words in told) and "Traceback" not in message
    assert {path: path.read_bytes() for path in finished_run.rglob("*") if path.is_file()} == before


def test_a_run_that_was_killed_while_it_was_scored_is_scored(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = load_recipe(write_recipe(), ["training.max_steps=2"])
    results = finetune(recipe)
    weights = (tmp_path / "run" / "model.safetensors").read_bytes()
    (tmp_path / "run" / "results.json").unlink()
    again = finetune(recipe, "resume")
    assert (again["steps"], again["splits"]) == (2, results["splits"])
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize("every", [(), ("training.eval_strategy=steps", "training.eval_steps=2")])
def test_the_best_checkpoint_is_what_is_saved(
    every: tuple[str, ...], write_recipe: Callable[..., Path], tiny_checkpoints: dict[str, str], tmp_path: Path
) -> None:
    """A learning rate that ruins the model later on: the scores are those of the best epoch."""
    stopping = ("peft: full", "peft: lora\n\nearly_stopping:\n  metric: accuracy\n  patience: 2")
    recipe = write_recipe(tiny_checkpoints["timm"], replace=(stopping, ("num_train_epochs: 1", "num_train_epochs: 6")))
    rates = ["training.lr_scheduler_type=constant", "training.learning_rate=0.3"]
    results = finetune(load_recipe(recipe, [*rates, *every]))
    assert results["best_checkpoint"] is not None
    history = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    best = max(entry["eval_accuracy"] for entry in history if "eval_accuracy" in entry)
    assert results["splits"]["validation"]["accuracy"]["value"] == pytest.approx(best)


def test_a_failed_proof_names_the_tensors(write_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    import hf_tune.finished_run
    from hf_tune.proof import ProofFailed

    save = hf_tune.finished_run._save

    def save_then_spoil(model: torch.nn.Module, processor: object, folder: Path) -> None:
        save(model, processor, folder)
        with torch.no_grad():
            model.get_parameter("timm_model.fc.bias").add_(1.0)

    monkeypatch.setattr(hf_tune.finished_run, "_save", save_then_spoil)
    with pytest.raises(ProofFailed, match=r"timm_model\.fc\.bias"):
        finetune(load_recipe(write_recipe()))


def test_a_corrupt_picture_is_told_and_nothing_is_written(
    write_recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import PIL.Image

    for split, label, number in ((s, c, n) for s in ("train", "test") for c in ("ant", "bee") for n in range(12)):
        folder = tmp_path / "pictures" / split / label
        folder.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", (40, 40), (number, 99, 0)).save(folder / f"{number:02}.png")
    broken = tmp_path / "pictures" / "test" / "bee" / "03.png"
    broken.write_bytes(broken.read_bytes()[:50])
    load = f"path: imagefolder\n    data_dir: {tmp_path / 'pictures'}"
    recipe = write_recipe(replace=(("path: tiny_pictures:load", load),))
    assert main([str(recipe), "data.splits.validation=0.2"]) == 2
    message = capsys.readouterr().err
    assert "recipe.yaml:8: data.load: row 15 of split 'test': not a readable picture" in message
    assert not (tmp_path / "run").exists()


OWN_TASK = """\
\"\"\"A task of one's own: pictures, judged by one more metric.\"\"\"

import dataclasses

from hf_tune.task import Score
from hf_tune.tasks import image_classification


def metrics(kept, label_names):
    \"\"\"Return the scores of image classification and the number of rows.\"\"\"
    scores = image_classification.TASK.metrics(kept, label_names)
    return {**scores, "rows": Score(value=float(len(kept["labels"])), low=0.0, high=0.0)}


NAMES = {kind: (*names, "rows") for kind, names in image_classification.TASK.metric_names.items()}
TASK = dataclasses.replace(image_classification.TASK, metrics=metrics, metric_names=NAMES)
"""


def test_a_new_task_is_one_file_and_one_recipe(
    write_recipe: Callable[..., Path], tmp_path: Path, fresh_process: None
) -> None:
    """Nothing of hf_tune changes; the proof loads the task in another process, from the copy in the run's folder."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "counted_pictures.py").write_text(OWN_TASK)
    recipe = write_recipe(replace=(("task: image_classification", "task: own.counted_pictures"),))
    results = finetune(load_recipe(recipe, ["early_stopping.metric=rows"]))
    assert results["splits"]["test"]["rows"]["value"] == 11
    assert results["proof"]["passed"] and (tmp_path / "run" / "own" / "counted_pictures.py").exists()
