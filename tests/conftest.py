"""Fixtures shared by the whole suite: tiny pictures, tiny checkpoints, recipes written to a temporary folder."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest


os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before huggingface_hub is imported: no test reaches the network
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("HF_TUNE_SHARED", ROOT.parent / "shared"))

TINY_RECIPE = """\
task: image_classification

model:
  pretrained_model_name_or_path: {model}

data:
  load:
    path: tiny_pictures:load

preprocess:
  image_size: 32
  crop_mode: squash

peft: full

training:
  output_dir: {output}
  per_device_train_batch_size: 8
  num_train_epochs: 1
  learning_rate: 1e-2
  seed: 0
  use_cpu: true
"""

LOADER = '''\
"""Pictures of three colours with noise: what a network learns in a few steps."""

import datasets
import numpy as np
import PIL.Image


def load(rows=24, classes=3):
    """Return train, validation and test."""
    random = np.random.default_rng(0)
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["red", "green", "blue", "grey"][:classes])}
    )

    def build(count):
        labels = [number % classes for number in range(count)]
        pictures = []
        for label in labels:
            pixels = random.integers(0, 120, (20, 24, 3))
            pixels[..., label % 3] += 120
            pictures.append(PIL.Image.fromarray(pixels.astype(np.uint8)))
        return datasets.Dataset.from_dict({"image": pictures, "label": labels}, features=features)

    return datasets.DatasetDict({"train": build(rows), "validation": build(9), "test": build(11)})
'''


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real data sets and checkpoints, or skip: a clone does not bring them."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"real data and checkpoints are not at {SHARED}; set HF_TUNE_SHARED")
    return SHARED


@pytest.fixture(scope="session")
def tiny_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return folders of tiny random checkpoints with five other labels: `resnet`, `vit`, `timm` (as timm saves it)."""
    import timm
    import torch
    from transformers import (
        ConvNextImageProcessor,
        ResNetConfig,
        ResNetForImageClassification,
        ViTConfig,
        ViTForImageClassification,
        ViTImageProcessor,
    )

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoints")
    names = {number: f"old {number}" for number in range(5)}
    labels: dict[str, Any] = {"id2label": names, "label2id": {name: number for number, name in names.items()}}
    resnet = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", **labels)
    _move_statistics(ResNetForImageClassification(resnet)).save_pretrained(folder / "resnet")
    ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=1.0).save_pretrained(folder / "resnet")
    vit = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        **labels,
    )
    ViTForImageClassification(vit).save_pretrained(folder / "vit")
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder / "vit")
    own = timm.create_model("test_resnet", num_classes=5)
    _move_statistics(own)
    timm.models.save_for_hf(own, folder / "timm", model_args={"num_classes": 5}, safe_serialization=True)
    return {name: str(folder / name) for name in ("resnet", "vit", "timm")}


@pytest.fixture
def write_recipe(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Return a function that writes a tiny recipe, with its loader beside it, and returns its path.

    `replace` pairs change the text; `model` is a checkpoint's folder or a timm name.
    """

    def write(model: str = "timm/test_resnet.r160_in1k", replace: tuple[tuple[str, str], ...] = ()) -> Path:
        text = TINY_RECIPE.format(model=model, output=tmp_path / "run")
        if model.startswith("timm/"):
            text = text.replace(model, f"{model}\n  pretrained: false")
        if model.endswith("resnet"):  # its processor always keeps the aspect ratio
            text = text.replace("\n  crop_mode: squash", "")
        for old, new in replace:
            assert old in text, f"{old!r} is not in the tiny recipe"
            text = text.replace(old, new)
        (tmp_path / "tiny_pictures.py").write_text(LOADER)
        (tmp_path / "recipe.yaml").write_text(text)
        return tmp_path / "recipe.yaml"

    yield write
    import sys

    sys.modules.pop("tiny_pictures", None)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run of two steps, shared by all tests: read it, or change a copy."""
    import sys

    import hf_tune.proof
    from hf_tune.recipe.reader import load_recipe
    from hf_tune.run import finetune

    folder = tmp_path_factory.mktemp("finished")
    model = "timm/test_resnet.r160_in1k\n  pretrained: false"
    (folder / "recipe.yaml").write_text(TINY_RECIPE.format(model=model, output=folder / "run"))
    (folder / "tiny_pictures.py").write_text(LOADER)
    sys.modules.pop("tiny_pictures", None)
    with pytest.MonkeyPatch.context() as patch:  # the proof's child inside this process: a fresh one costs 8 s
        patch.setattr(hf_tune.proof, "_run_child", lambda run, work: hf_tune.proof.main(run, work))
        finetune(load_recipe(folder / "recipe.yaml", ["training.max_steps=2"]))
    sys.modules.pop("tiny_pictures", None)
    return folder / "run"


@pytest.fixture
def pictures() -> list[PIL.Image.Image]:
    """Return four RGB pictures of different sizes."""
    random = np.random.default_rng(3)
    sizes = ((40, 50), (50, 40), (33, 33), (64, 20))
    return [PIL.Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]


def _move_statistics(model: Any) -> Any:
    """Give BatchNorm statistics that a fresh model would not have, so that losing them is noticed."""
    import torch

    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(layer.running_mean, std=0.2)
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
    return model


@pytest.fixture(scope="session")
def hub_server_class() -> Any:
    """Return `HubServer` of hub_server.py beside this file, which is no package."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("hub_server", ROOT / "tests" / "hub_server.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.HubServer
