"""The folder that goes to the Hub: complete, of links, and without what is private."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hf_tune.hub.hub_block import BaseModel, Hub
from hf_tune.hub_folder import (
    build_hub_folder,
    build_unfinished_folder,
    check_text,
    complete_unfinished_folder,
    name_base,
)
from hf_tune.input_error import InputError
from hf_tune.recipe.source import read_yaml
from hf_tune.tasks import get_task


TASK = get_task("image_classification")
HUB = Hub(repo_id="alice/pictures")


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """Return a copy of a finished run."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def values(run: Path) -> dict[str, Any]:
    return {**read_yaml(run / "recipe.yaml")[0], "card": {"license": "mit"}}


def test_weights_are_the_run_s_own_and_take_no_room(run: Path) -> None:
    folder = build_hub_folder(run, values(run), HUB, TASK)
    assert folder == run / "hub"
    assert os.path.samefile(folder / "model.safetensors", run / "model.safetensors")


def test_a_disk_without_links_gets_copies(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    folder = build_hub_folder(run, values(run), HUB, TASK)
    assert (folder / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_it_is_made_anew_each_time(run: Path) -> None:
    (run / "hub").mkdir()
    (run / "hub" / "secret.txt").write_text("from before")
    assert not (build_hub_folder(run, values(run), HUB, TASK) / "secret.txt").exists()


def test_nothing_that_was_not_saved_as_the_model_goes_along(run: Path) -> None:
    (run / "notes.txt").write_text("patients")
    (run / "training_args.bin").write_bytes(b"pickle")
    folder = build_hub_folder(run, values(run), HUB, TASK)
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert not there & {
        "notes.txt",
        "training_args.bin",
        "tiny_pictures.py",
        "predictions.parquet",
        "plots/mistakes.png",
    }
    assert (run / "tiny_pictures.py").exists() and (run / "predictions.parquet").exists()
    assert not any("checkpoint" in name or "optimizer" in name for name in there)


def test_the_recipe_there_is_that_of_the_run(run: Path) -> None:
    folder = build_hub_folder(run, values(run), HUB, TASK)
    assert read_yaml(folder / "recipe.yaml")[0] == values(run)


def test_a_base_of_this_disk_gets_its_name_on_the_hub(run: Path) -> None:
    (run / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/disk/base", "revision": None}))
    folder = run / "hub"
    folder.mkdir()
    os.link(run / "adapter_config.json", folder / "adapter_config.json")
    hub = Hub(repo_id="alice/a", base_model=BaseModel(id="owner/base", revision="abc"))
    named: Mapping[str, Any] = name_base(folder, values(run), hub)["model"]
    assert (named["pretrained_model_name_or_path"], named["revision"]) == ("owner/base", "abc")
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("owner/base", "abc")
    assert "/disk/base" in (run / "adapter_config.json").read_text()  # the run's own stays
    results = json.loads((build_hub_folder(run, values(run), hub, TASK) / "results.json").read_text())
    assert (results["base"]["id"], results["base"]["revision"]) == ("owner/base", "abc")


@pytest.mark.parametrize("name", ["README.md", "recipe.yaml", "results.json"])
def test_private_text_is_told_with_file_and_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("one\ntwo jane@clinic.org\n")
    with pytest.raises(InputError, match=rf"{name}:2: 'jane@clinic\.org' looks like an e-mail address"):
        check_text(tmp_path, [], None)
    check_text(tmp_path, ["jane@clinic.org"], None)


def test_the_token_itself_is_found_whatever_it_looks_like(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("plain-word")
    with pytest.raises(InputError, match="holds the token of the Hub") as told:
        check_text(tmp_path, [], "plain-word")
    assert "plain-word" not in str(told.value)


def test_a_checkpoint_becomes_a_model_that_says_it_is_unfinished(run: Path) -> None:
    from transformers import AutoModelForImageClassification

    from hf_tune.finetuned import load_finetuned

    checkpoint = next(run.glob("checkpoint-*"))
    finetuned = load_finetuned(run)
    before = (checkpoint / "model.safetensors").read_bytes()
    folder = build_unfinished_folder(checkpoint, run)
    complete_unfinished_folder(folder, finetuned.model, finetuned.encoder, values(run), HUB)
    assert {path.name for path in folder.iterdir()} == {"README.md", "config.json", "model.safetensors", "recipe.yaml"}
    assert (checkpoint / "model.safetensors").read_bytes() == before
    card = (folder / "README.md").read_text()
    assert "# alice/pictures, unfinished" in card and "Step 2 of 2." in card and "- accuracy: " in card
    assert "Nothing of it was proved or verified" in card and "license: mit" in card
    assert load_finetuned(folder).label_names == ("red", "green", "blue")
    assert AutoModelForImageClassification.from_pretrained(folder).config.id2label[0] == "red"
