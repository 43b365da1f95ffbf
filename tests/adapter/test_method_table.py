"""Every method on every family of networks: trained, saved, and loaded by plain PEFT in a fresh process."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from peft import PEFT_TYPE_TO_CONFIG_MAPPING

from hf_tune.adapter.attach import attach_adapter
from hf_tune.adapter.method_table import FAMILIES, find_cell, list_methods
from hf_tune.input_error import InputError
from hf_tune.model.checkpoint_config import ModelSource
from hf_tune.model.image_processor import PictureOptions
from hf_tune.model.picture_checkpoint import load_image_classifier
from hf_tune.model.text_checkpoint import load_text_classifier
from hf_tune.model.text_processor import TextOptions
from hf_tune.task import LoadedModel


NAMES = ("a", "b", "c")
INPUTS = {
    "input_ids": torch.randint(5, 100, (6, 9), generator=torch.Generator().manual_seed(0)),
    "pixel_values": torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0)),
}
SMALL: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # Defaults are made for widths of 768 and more; these networks have 16.
        "C3A": {"block_size": 4},
        "FOURIERFT": {"n_frequency": 8},
        "MISS": {"r": 4},
        "OFT": {"oft_block_size": 4, "r": 0},
        "BOFT": {"boft_block_size": 4},
        "PSOFT": {"r": 4},
        "ROAD": {"group_size": 4},
        "SHIRA": {"r": 2},
        "VBLORA": {"vector_length": 4, "num_vectors": 8},
        "WAVEFT": {"n_frequency": 8},
        "VERA": {"r": 4},
        "PVERA": {"r": 4},
        "BOTTLENECK": {"reduction_factor": 4.0},
    }
)


def load(family: str, folders: Mapping[str, str]) -> LoadedModel:
    source = ModelSource(pretrained_model_name_or_path=folders[family])
    if family in ("vit", "timm"):
        return load_image_classifier(source, PictureOptions(image_size=32), NAMES)
    return load_text_classifier(source, TextOptions(), NAMES)


def train(model: torch.nn.Module, inputs: Mapping[str, torch.Tensor]) -> list[str]:
    """Take three steps and return the trainable tensors that did not move."""
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    before = {name: value.detach().clone() for name, value in trained.items()}
    optimiser = torch.optim.AdamW(trained.values(), lr=1e-2, weight_decay=0.0)
    model.train()
    for _ in range(3):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(**inputs).logits, labels).backward()
        optimiser.step()
    return [name for name, value in trained.items() if torch.equal(value.detach(), before[name])]


def run_cell(method: str, family: str, folders: Mapping[str, str], folder: Path) -> dict[str, Any] | str:
    """Return the cell's entry for the child process, or the sentence of its refusal."""
    torch.manual_seed(0)
    loaded = load(family, folders)
    block: Any = method if method.islower() else {"peft_type": method, **SMALL.get(method, {})}
    if method == "bottleneck":
        block = {"peft_type": "BOTTLENECK", **SMALL["BOTTLENECK"]}  # a width of one unit dies by chance
    task_type = None if family in ("vit", "timm") else "SEQ_CLS"
    try:
        model = attach_adapter(loaded, block, None, task_type)
    except InputError as error:
        return f"{error.problem}; {error.hint}"
    kind = "input_ids" if task_type else "pixel_values"
    inputs = {kind: INPUTS[kind]}
    if family == "t5":
        inputs[kind] = torch.cat([INPUTS[kind][:, :-1], torch.full((6, 1), model.config.eos_token_id)], dim=1)
    unmoved = train(model, inputs)
    assert unmoved == [], f"{method} on {family}: {unmoved[:3]} of {len(unmoved)} did not move"
    name = f"{method}-{family}"
    if method not in ("full", "probe"):
        model.save_pretrained(folder / name)
        model.config.save_pretrained(folder / name)
    model.eval()
    with torch.no_grad():
        outputs = model(**{kind: _stored(kind, family, model)}).logits.numpy()
    auto_class = "AutoModelForSequenceClassification" if task_type else "AutoModelForImageClassification"
    return {"name": name, "base": folders[family], "auto_class": auto_class, "outputs": outputs}


def _stored(kind: str, family: str, model: Any) -> torch.Tensor:
    """Return the inputs that the child process has too; every text ends as T5 needs it."""
    return ENDED if kind == "input_ids" else INPUTS[kind]


ENDED = INPUTS["input_ids"].clone()
ENDED[:, -1] = 1


def check_cells(methods: list[str], folders: Mapping[str, str], folder: Path) -> None:
    """Run all cells; raise where one differs from the table, or loads back as another model."""
    cells: list[dict[str, Any]] = []
    for method in methods:
        for family in FAMILIES:
            found = run_cell(method, family, folders, folder)
            reason = find_cell(method, family)
            if isinstance(found, str):
                assert reason is not None and reason in found, f"{method} on {family}: {found}; the table: {reason}"
            else:
                assert reason is None, f"{method} on {family} works; the table: {reason}"
                cells.append(found)
    adapters = [cell for cell in cells if (folder / cell["name"]).is_dir()]
    listed = [{name: value for name, value in cell.items() if name != "outputs"} for cell in adapters]
    (folder / "cells.json").write_text(json.dumps(listed))
    np.savez(folder / "inputs.npz", input_ids=ENDED.numpy(), pixel_values=INPUTS["pixel_values"].numpy())
    script = Path(__file__).with_name("reload_cells.py")
    child = subprocess.run([sys.executable, str(script), str(folder)], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr[-3000:]
    reloaded = np.load(folder / "outputs.npz")
    for cell in adapters:
        expected = cell["outputs"]
        difference = np.abs(reloaded[cell["name"]] - expected).max()
        assert difference <= 1e-5 * np.abs(expected).max() + 1e-7, f"{cell['name']} differs by {difference}"


WORDS = ["full", "probe", "lora", "prefix", "bottleneck"]
COMMON = [*WORDS, "IA3", "LOHA", "LOKR", "OFT", "VERA", "LN_TUNING", "PROMPT_TUNING", "P_TUNING"]


@pytest.fixture
def folders(tiny_checkpoints: dict[str, str], tiny_text_checkpoints: dict[str, str]) -> dict[str, str]:
    return {**tiny_checkpoints, **tiny_text_checkpoints}


def test_the_common_methods_do_what_the_table_says(folders: dict[str, str], tmp_path: Path) -> None:
    check_cells(COMMON, folders, tmp_path)


@pytest.mark.slow
def test_all_other_methods_of_peft_do_what_the_table_says(folders: dict[str, str], tmp_path: Path) -> None:
    check_cells([name for name in list_methods() if name not in COMMON], folders, tmp_path)


def test_every_method_of_peft_has_a_row() -> None:
    known = {str(getattr(name, "value", name)) for name in PEFT_TYPE_TO_CONFIG_MAPPING}
    assert known | set(WORDS) == set(list_methods())
