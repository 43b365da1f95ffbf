"""The shipped recipes, verbatim: the quick start as a user types it, the others against a loopback Hub."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


ROOT = Path(__file__).parents[1]


def launch(recipe: str, *overrides: str, env: dict[str, str] | None = None, folder: Path) -> dict[str, Any]:
    """Run a recipe as the README says and return its results."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "-m", "hf_tune.run", f"recipes/{recipe}"]
    arguments = [*overrides, f"training.output_dir={folder}"]
    done = subprocess.run([*command, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads((folder / "results.json").read_text())


def first_of_each_class(labels: list[int], count: int) -> list[int]:
    """Return the numbers of the first rows of each of ten classes."""
    rows = [[row for row, label in enumerate(labels) if label == number][:count] for number in range(10)]
    return [row for part in rows for row in part]


@pytest.fixture(scope="session")
def hub(shared: Path, tmp_path_factory: pytest.TempPathFactory, hub_server_class: Any) -> Iterator[Any]:
    """Serve CIFAR-10 in the Hub's layout, a few rows of it under another id, and the checkpoints of the recipes."""
    import datasets
    import timm
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("hub")
    real = datasets.load_dataset(str(shared / "data" / "cifar10"))
    whole = {
        "train": datasets.concatenate_datasets([real["train"], real["validation"]]).rename_column("image", "img"),
        "test": real["test"].rename_column("image", "img"),
    }
    for name, sizes in (("cifar10", None), ("cifar10_small", {"train": 100, "test": 20})):
        (folder / name / "plain_text").mkdir(parents=True)
        for split, rows in whole.items():
            kept = rows.select(first_of_each_class(rows["label"][:1000], sizes[split] // 10)) if sizes else rows
            kept.to_parquet(folder / name / "plain_text" / f"{split}-00000-of-00001.parquet")
    torch.manual_seed(0)
    for name in ("resnet50", "resnet18"):
        timm.models.save_for_hf(timm.create_model(name), folder / name, safe_serialization="both")
    vit = transformers.ViTConfig(num_hidden_layers=2, hidden_size=48, num_attention_heads=3, intermediate_size=96)
    transformers.ViTModel(vit).save_pretrained(folder / "vit")
    transformers.ViTImageProcessor().save_pretrained(folder / "vit")
    repos = {
        ("datasets", "uoft-cs/cifar10"): folder / "cifar10",
        ("models", "timm/mobilenetv2_100.ra_in1k"): shared / "models" / "timm_mobilenetv2_100",
        ("models", "timm/resnet50.a1_in1k"): folder / "resnet50",
        ("models", "timm/resnet18.a1_in1k"): folder / "resnet18",
        ("models", "google/vit-base-patch16-224-in21k"): folder / "vit",
    }
    with hub_server_class(repos) as server:
        server.small = folder / "cifar10_small"
        yield server


def test_the_quick_start_reaches_its_score_and_its_proof(tmp_path: Path) -> None:
    results = launch("resnet_digits.yaml", folder=tmp_path / "run")
    assert results["splits"]["test"]["accuracy"]["value"] >= 0.97
    assert results["proof"]["passed"]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["full", "lora", "bottleneck", "probe"])
def test_the_classic_recipe_runs_verbatim_for_a_few_steps_and_goes_to_the_hub(
    method: str, hub: Any, tmp_path: Path
) -> None:
    """Of CIFAR-10 ten rows a class are served: ResNet-50 at 224 pixels takes half a second a row here."""
    pushed = (f"hub.repo_id=alice/{method}", "card.license=mit")
    repos = dict(hub.repos)
    hub.repos["datasets", "uoft-cs/cifar10"] = hub.small
    try:
        env = hub.environment(tmp_path / "cache")
        results = launch(
            "resnet_cifar10.yaml", "training.max_steps=2", f"peft={method}", *pushed, env=env, folder=tmp_path / "run"
        )
    finally:
        hub.repos.update(repos)
    verified = json.loads(hub.files(f"alice/{method}")["results.json"])["verified"]
    assert verified["rows"] == 20 and verified["max_abs_difference"] <= 1e-4
    assert "uoft-cs/cifar10" in hub.files(f"alice/{method}")["README.md"].decode()
    assert results["proof"]["passed"] and results["method"] == method and results["steps"] == 2
    assert f"revision: {results['base']['revision']}" in (tmp_path / "run" / "recipe.yaml").read_text()
    assert results["data"]["rows"] == {"train": 90, "validation": 10, "test": 20}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["resnet18_cifar10_lora", "vit_cifar10_lora"])
def test_the_recipes_of_a_network_that_is_not_at_hand_run_a_few_steps(recipe: str, hub: Any, tmp_path: Path) -> None:
    repos = dict(hub.repos)
    hub.repos["datasets", "uoft-cs/cifar10"] = hub.small
    try:
        few = ("training.max_steps=2", "training.per_device_train_batch_size=8")
        results = launch(f"{recipe}.yaml", *few, env=hub.environment(tmp_path / "cache"), folder=tmp_path / "run")
    finally:
        hub.repos.update(repos)
    assert results["proof"]["passed"] and results["method"] == "lora" and results["steps"] == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "data", "rows"),
    [
        ("mobilenetv2_magnetic_tile", "magnetic_tile", {"train": 554, "validation": 79, "test": 159}),
        ("mobilenetv2_blood_cells", "bccd", {"train": 2804, "validation": 1137, "test": 945}),
        ("mobilenetv2_ants_bees_lora", "ants_bees", {"train": 171, "validation": 33, "test": 40}),
    ],
)
def test_the_recipes_for_real_work_run_a_few_steps_on_real_data(
    recipe: str, data: str, rows: dict[str, int], hub: Any, shared: Path, tmp_path: Path
) -> None:
    place = {"bccd": "data_set"}.get(data, "path")
    few = ("training.max_steps=3", "training.per_device_train_batch_size=8", "preprocess.image_size=32")
    where = (f"data.load.{place}={shared / 'data' / data}", "data.load.data_dir=null")
    where = where[:1] if data == "bccd" else where
    results = launch(f"{recipe}.yaml", *few, *where, env=hub.environment(tmp_path / "cache"), folder=tmp_path / "run")
    assert results["proof"]["passed"] and results["data"]["rows"] == rows and results["steps"] == 3


@pytest.mark.slow
def test_the_mobilenet_recipe_runs_verbatim(hub: Any, tmp_path: Path) -> None:
    env = hub.environment(tmp_path / "cache")
    results = launch("mobilenetv2_cifar10.yaml", "training.max_steps=3", env=env, folder=tmp_path / "run")
    assert results["proof"]["passed"] and results["data"]["rows"] == {"train": 4500, "validation": 500, "test": 2000}


def test_check_fetches_no_weights(hub: Any, tmp_path: Path) -> None:
    hub.requests.clear()
    command = [sys.executable, "-m", "hf_tune.commands.check", "recipes/resnet_cifar10.yaml", "peft=lora"]
    command.append("--no-timing")  # half a second a row
    env = hub.environment(tmp_path / "cache")
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "steps 352 an epoch" in done.stdout and "airplane" in done.stdout  # 45,000 rows in batches of 128
    assert not any("safetensors" in request or ".bin" in request for request in hub.requests)
    assert any("config.json" in request for request in hub.requests)


def test_an_unreachable_hub_is_one_sentence_and_exit_code_2(shared: Path, tmp_path: Path) -> None:
    import os

    own = {
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "0",
        "HF_DATASETS_OFFLINE": "0",
    }
    recipe = [
        f"data.load.path={shared / 'data' / 'cifar10'}",
        "data.columns.image=image",
        "data.splits.train=train[:500]",
    ]
    command = [sys.executable, "-m", "hf_tune.run", "recipes/resnet_cifar10.yaml", *recipe]
    command.append(f"training.output_dir={tmp_path / 'run'}")
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **own}, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr[-2000:]
    assert "recipes/resnet_cifar10.yaml:12: model.pretrained_model_name_or_path" in done.stderr
    assert "cannot be reached" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="session")
def text_hub(shared: Path, tmp_path_factory: pytest.TempPathFactory, hub_server_class: Any) -> Iterator[Any]:
    """Serve the text sets in the Hub's layout, with train and validation joined where the Hub has them in one."""
    import datasets

    folder, data = tmp_path_factory.mktemp("text_hub"), shared / "data"

    def save(name: str, splits: dict[str, Any]) -> None:
        (folder / name / "data").mkdir(parents=True)
        for split, rows in splits.items():
            rows.to_parquet(folder / name / "data" / f"{split}-00000-of-00001.parquet")

    names = ("banking77", "trec6", "sst2", "stsb")
    banking, trec, sst2, stsb = (datasets.load_dataset(str(data / name)) for name in names)
    trec = trec.rename_column("label", "coarse_label")
    for name, rows, rest in (("banking77", banking, "test"), ("trec", trec, "test"), ("sst2", sst2, "validation")):
        joined = datasets.concatenate_datasets([rows["train"], rows["validation"]])
        save(name, {"train": joined, rest: rows["test"]})
    save("stsb", {split: rows.map(lambda row: {"score": row["score"] / 5}) for split, rows in stsb.items()})
    repos = {
        ("datasets", "PolyAI/banking77"): folder / "banking77",
        ("datasets", "CogComp/trec"): folder / "trec",
        ("datasets", "stanfordnlp/sst2"): folder / "sst2",
        ("datasets", "sentence-transformers/stsb"): folder / "stsb",
        ("models", "sentence-transformers/all-MiniLM-L6-v2"): shared / "models" / "all-MiniLM-L6-v2",
    }
    with hub_server_class(repos) as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "method", "metric"),
    [
        ("minilm_banking77", "bottleneck", "accuracy"),
        ("minilm_trec", "full", "accuracy"),
        ("minilm_trec", "prefix", "accuracy"),
        ("minilm_sst2", "lora", "accuracy"),
        ("minilm_stsb", "full", "spearman"),
    ],
)
def test_the_text_recipes_run_verbatim_for_a_few_steps(
    recipe: str, method: str, metric: str, text_hub: Any, tmp_path: Path
) -> None:
    env = text_hub.environment(tmp_path / "cache")
    results = launch(f"{recipe}.yaml", "training.max_steps=3", f"peft={method}", env=env, folder=tmp_path / "run")
    assert results["proof"]["passed"] and results["method"] == method and results["steps"] == 3
    assert metric in results["splits"]["test"]


@pytest.mark.parametrize("recipe", ["minilm_banking77", "minilm_stsb"])
def test_a_text_recipe_is_checked_without_weights(recipe: str, text_hub: Any, tmp_path: Path) -> None:
    text_hub.requests.clear()
    command = [sys.executable, "-m", "hf_tune.commands.check", f"recipes/{recipe}.yaml", "peft=bottleneck"]
    command.append("--no-timing")
    env = text_hub.environment(tmp_path / "cache")
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "input_ids" in done.stdout and "head_learning_rate=0.01" in done.stdout
    assert not any("safetensors" in request for request in text_hub.requests)
