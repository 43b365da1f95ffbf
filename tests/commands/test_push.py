"""`hf-tune push`: what it takes, what it lists, and the sentences of what it does not take."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import hf_tune.proof
from hf_tune.commands.push import main


@pytest.fixture
def run(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of a finished run; what is pushed is loaded in this process."""
    monkeypatch.setattr(hf_tune.proof, "_run_child", hf_tune.proof.main)
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def test_a_dry_run_lists_every_file_with_its_size_and_asks_nobody(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The suite is offline: any request would fail."""
    assert main([str(run), "alice/a", "card.license=mit", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    size = (run / "model.safetensors").stat().st_size
    assert f"{size:,}" in printed and "plots/curves.png" in printed and "nothing was sent" in printed
    assert "predictions.parquet" not in printed
    assert (run / "hub" / "README.md").exists()


def test_a_recipe_that_was_offline_is_pushed_with_its_own_name(hub: Any, run: Path) -> None:
    text = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(f"{text}hub: {{repo_id: alice/own, offline: true}}\ncard: {{license: mit}}\n")
    assert main([str(run)]) == 0
    assert "model.safetensors" in hub.files("alice/own")
    assert main([str(run), "hub.revision=dev", "alice/own"]) == 2  # a name stands before the keys


def test_keys_come_without_a_name_too(hub: Any, run: Path) -> None:
    assert main([str(run), "hub.repo_id=alice/a", "card.license=mit", "hub.commit_message=First"]) == 0
    assert hub.commits("alice/a")[0].title == "First"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["card.license=mit"], "neither the command nor the run's recipe says where to; hf-tune push"),
        (["alice/a"], "card.license: the card of a run that is pushed names its licence"),
        (["alice/two words", "card.license=mit"], "the Hub has no repository of the name 'alice/two words'"),
        (["alice/a", "training.seed=3"], "'training.seed=3' is neither a name on the Hub nor one of its keys"),
        (["alice/a", "hub.privat=true", "card.license=mit"], "did you mean `private`?"),
        (["alice/a", "card.licence=mit"], "did you mean `license`?"),
        (["alice/a", "card.license=mit"], "HF_HUB_OFFLINE is set, and the run is to be pushed"),
    ],
)
def test_a_mistake_is_told_with_exit_code_2(
    run: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(run), *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not (run / "hub").exists()


def test_what_is_no_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "alice/a"]) == 2
    assert "is no run" in capsys.readouterr().err


def test_data_that_is_gone_is_told_before_anything_is_sent(
    hub: Any, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(recipe.replace("tiny_pictures:load", "gone_pictures:load"))
    assert main([str(run), "alice/a", "card.license=mit"]) == 2
    assert "no module 'gone_pictures'" in capsys.readouterr().err
    assert not hub.repos
    assert main([str(run), "alice/a", "card.license=mit", "hub.verify=false"]) == 0
    assert "verified" not in json.loads(hub.files("alice/a")["results.json"])
